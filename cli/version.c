/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/version.h"

#include <cjson/cJSON.h>
#include <mbedtls/version.h>
#include <stdio.h>
#include <uv.h>

#include "cli/exit.h"

int cli_version(int argc, char **argv)
{
    (void)argv;
    if (argc > 1) {
        fputs(
            "usage: sallyport version\n\nPrints the version, and those of the libraries in use.\n",
            stdout);
        return EXIT_DONE;
    }
    char mbedtls[24];
    mbedtls_version_get_string_full(mbedtls);
    printf("sallyport %s (%s, libuv %s, cJSON %s)\n", SALLYPORT_VERSION, mbedtls,
           uv_version_string(), cJSON_Version());
    return EXIT_DONE;
}
