/*
 * MariaDB's GTIDs: domain-server-sequence, and the state "last GTID of each domain".
 */
#ifndef CAP_GTID_H
#define CAP_GTID_H

#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cap_flavour { CAP_MARIADB, CAP_MYSQL };

struct cap_gtid {
    uint32_t domain;
    uint32_t server;
    uint64_t seq;
};
#define CAP_GTID_TEXT 48 /* "4294967295-4294967295-18446744073709551615" */
/* Exactly "d-s-n", nothing around it. */
int cap_gtid_parse(struct ls_str text, struct cap_gtid *ret);
void cap_gtid_print(struct cap_gtid gtid, char out[CAP_GTID_TEXT]);

#define CAP_GTID_DOMAINS 32
#define CAP_GTID_SET_TEXT ((size_t)CAP_GTID_DOMAINS * CAP_GTID_TEXT)
struct cap_gtid_set {
    size_t n;
    struct cap_gtid last[CAP_GTID_DOMAINS];
};
/* "0-1-100,5-1-7", blanks allowed around the commas; "" is the empty set. */
int cap_gtid_set_parse(struct ls_str text, struct cap_gtid_set *ret, struct ls_err *err);
void cap_gtid_set_print(const struct cap_gtid_set *set, char out[CAP_GTID_SET_TEXT]);
/* Replaces the domain's last GTID. *ret_gap: numbers were left out (legal, worth counting). */
int cap_gtid_set_add(struct cap_gtid_set *set, struct cap_gtid gtid, bool *ret_gap,
                     struct ls_err *err);

#endif
