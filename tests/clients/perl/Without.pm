# SPDX-License-Identifier: Apache-2.0
# What both drivers do not do.
package Without;
use strict;
use warnings;

our %CASES = (
    'long-data' => 'the driver does not send pieces of a parameter',
    'cursor' => 'the driver opens no cursors at the server',
    'session-track' => 'the driver does not show it',
    'pipelining' => 'the driver waits for each answer',
    'zstd' => 'the driver has zlib only',
    'attributes' => 'the driver has no query attributes',
    'change-user' => 'the driver does not change the user',
    'reset-connection' => 'the driver does not reset connections',
);

1;
