/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport proxy`: the proxies that have joined. */
#ifndef SALLYPORT_CLI_PROXY_H
#define SALLYPORT_CLI_PROXY_H

int cli_proxy(int argc, char **argv);

#endif
