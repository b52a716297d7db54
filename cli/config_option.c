/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/config_option.h"

#include <getopt.h>
#include <stdio.h>

#include "cli/exit.h"

bool config_option(int argc, char **argv, const char *usage, const char **file, int *code)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    *file = NULL;
    *code = EXIT_USAGE;
    optind = 1;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c') {
            *file = optarg;
        } else if (option == 'h') {
            fputs(usage, stdout);
            *code = EXIT_DONE;
            return false;
        } else {
            fputs(usage, stderr);
            return false;
        }
    }
    if (*file && optind == argc)
        return true;
    fprintf(stderr, "sallyport %s: %s\n%s", argv[0],
            *file ? "there is more on the command line than -c FILE" : "-c FILE is missing", usage);
    return false;
}
