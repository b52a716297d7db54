/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mbed TLS's slow arithmetic by libcrypto (meson option `libcrypto`). Nobody calls this by name:
 * Mbed TLS does, through its *_ALT hooks (tls/mbedtls_config.h) and through the one function here,
 * by which the build replaces mbedtls_ecp_mul() in the files of Mbed TLS that make keys outside of
 * those hooks (subprojects/packagefiles/mbedtls/meson.build).
 * docs/decisions/0104-libcrypto-behind-mbedtls.md has the figures.
 */
#ifndef SALLYPORT_TLS_ACCELERATE_H
#define SALLYPORT_TLS_ACCELERATE_H

#include <mbedtls/ecp.h>

/*
 * R = m * P, as mbedtls_ecp_mul() of mbedtls/ecp.h; R may be P. Curves that libcrypto is not asked
 * for are left to that function. Returns 0 or an error code of Mbed TLS.
 */
int accelerate_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *R, const mbedtls_mpi *m,
                       const mbedtls_ecp_point *P, int (*f_rng)(void *, unsigned char *, size_t),
                       void *p_rng);

#endif
