# SPDX-License-Identifier: Apache-2.0
"""What the integration tests stand on: real servers, the real executable, real clients, and a raw wire for what no
real peer would send."""
