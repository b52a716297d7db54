/* SPDX-License-Identifier: Apache-2.0 */
/* `sallyport audit`: reading the audit log. */
#ifndef SALLYPORT_CLI_AUDIT_H
#define SALLYPORT_CLI_AUDIT_H

/* argv[0] is "audit". Returns the exit code: 0 done, 1 it failed, 2 usage. */
int cli_audit(int argc, char **argv);

#endif
