/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/version.h"

#include <cjson/cJSON.h>
#include <mbedtls/version.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "cli/exit.h"

int cli_version(int argc, char **argv)
{
    static const char usage[] =
        "usage: sallyport version\n\nPrints the version, and those of the libraries in use.\n";
    if (argc > 1) {
        bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
        fputs(usage, help ? stdout : stderr);
        return help ? EXIT_DONE : EXIT_USAGE;
    }
    char mbedtls[24];
    mbedtls_version_get_string_full(mbedtls);
    printf("sallyport %s (%s, libuv %s, cJSON %s)\n", SALLYPORT_VERSION, mbedtls,
           uv_version_string(), cJSON_Version());
    return EXIT_DONE;
}
