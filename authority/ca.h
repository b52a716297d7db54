/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four certificate authorities (DESIGN.md, I11): one kind never vouches for another's. Each is
 * an ECDSA P-256 key in DIRECTORY/keys/<kind>-<number>.key and a self-signed certificate in the
 * store, "CN=Sallyport <kind> CA <number>,O=<trust domain>".
 *
 * A rotation goes through phases, which are those of the newer CA; each step is asked for on its
 * own and can be taken back until the older CA is dropped:
 *
 *              newer CA     older CA    certificates are  bundles
 *              (none)       signing     signed by older   older
 *      │ ▲
 *      ▼ │
 *     standby  standby      signing     older             older
 *      │ ▲
 *      ▼ │
 *     trusted  trusted      signing     older             both
 *      │ ▲
 *      ▼ │
 *     signing  signing      old         newer             both
 *      │
 *      ▼
 *     dropped  signing      dropped     newer             newer
 *
 * Numbers are not used twice: what was dropped stays in the store, without its key.
 */
#ifndef SALLYPORT_AUTHORITY_CA_H
#define SALLYPORT_AUTHORITY_CA_H

#include "authority/core.h"
#include "tls/certificate.h"
#include "tls/key.h"

#define AUTHORITY_CA_KINDS    4
#define AUTHORITY_CAS_OF_KIND 2 /* that are not dropped */
/* Room for all certificates of one kind. */
#define AUTHORITY_BUNDLE_SIZE (AUTHORITY_CAS_OF_KIND * STORE_PEM_SIZE)

enum authority_phase {
    AUTHORITY_STANDBY = 1,
    AUTHORITY_TRUSTED,
    AUTHORITY_SIGNING,
    AUTHORITY_OLD,
    AUTHORITY_DROPPED,
};

struct authority_ca {
    enum store_authority_kind kind;
    int64_t number;
    enum authority_phase phase;
    int64_t created_us;
    int64_t phase_since_us;
    int64_t not_after_us;
    uint8_t pin[TLS_PIN_SIZE];                /* SHA-256 of its SubjectPublicKeyInfo */
    char subject_line[CERTIFICATE_LINE_SIZE]; /* as a database's REQUIRE ISSUER has it */
    char certificate[STORE_PEM_SIZE];         /* PEM */
    char key_file[STORE_FILE_SIZE];
    struct tls_key *key;
};

/*
 * Where a store has no CAs yet, all four are made, in one transaction; else their keys are read. A
 * key that is missing, damaged, open to others or not that of its certificate is an error that
 * names the file, and so are keys without a store that knows them: nothing is made anew then.
 */
bool authority_cas_open(struct authority *authority, int64_t now_us, struct error *err) MUST_USE;
void authority_cas_close(struct authority *authority);

/* The one that signs certificates now; there always is one. It lives until the next rotation. */
const struct authority_ca *authority_ca_signing(const struct authority *authority,
                                                enum store_authority_kind kind);

/* The certificates of those that are trusted (trusted, signing, old), as PEM. The text is good
 * until the next rotation. */
const char *authority_ca_bundle(const struct authority *authority, enum store_authority_kind kind);

/* Those of a kind that are not dropped, older first: at most AUTHORITY_CAS_OF_KIND. */
size_t authority_ca_list(const struct authority *authority, enum store_authority_kind kind,
                         const struct authority_ca *list[AUTHORITY_CAS_OF_KIND]);

/* "standby", "trusted", "signing", "old", "dropped". */
const char *authority_phase_name(enum authority_phase phase);

/* Where a rotation stands, or is to go. */
enum authority_rotation {
    AUTHORITY_ROTATION_NONE = 1, /* one CA alone */
    AUTHORITY_ROTATION_STANDBY,
    AUTHORITY_ROTATION_TRUSTED,
    AUTHORITY_ROTATION_SIGNING,
    AUTHORITY_ROTATION_DROPPED, /* only as a target; then it is NONE again */
};

/* "none", "standby", "trusted", "signing", "dropped". */
const char *authority_rotation_name(enum authority_rotation rotation);
bool authority_rotation_parse(const char *name, enum authority_rotation *rotation) MUST_USE;

enum authority_rotation authority_ca_rotation(const struct authority *authority,
                                              enum store_authority_kind kind);

/*
 * Takes one step, forwards or back; being there already is no error, except for "dropped". Not
 * within a group (ERROR_STATE).
 *
 * CONTROL_CONFLICT: it is not the next step (the message says which is), or it would harm somebody
 * and `force` was not given; the message says whom, and until when to wait:
 *   trusted → signing   bots and proxies whose certificates are older than the phase "trusted" may
 * not know the newer CA yet. (database-client: whether the databases know it cannot be seen from
 * here, so this step always wants `force`.) signing → dropped   the older CA signed certificates
 * that have not expired trusted → standby   the newer CA signed certificates that have not expired,
 * after a step back
 */
bool authority_ca_rotate(struct authority *authority, enum store_authority_kind kind,
                         enum authority_rotation to, bool force, int64_t now_us,
                         struct authority_refusal *refusal, struct error *err) MUST_USE;

#endif
