/*
 * GTIDs of both flavours, and sets of them: what has been taken so far.
 *
 * MariaDB: domain-server-sequence; a set is the last GTID of each domain, all before it included.
 * MySQL: uuid:number; a set is intervals of numbers for each uuid. Both have a fixed size and are
 * copied by value; a source that needs more room is refused (FATAL, cause "gtid-set"), never
 * followed in part. An empty set (n == 0) has no flavour yet: it takes that of its first GTID.
 */
#ifndef CAP_GTID_H
#define CAP_GTID_H

#include "common/buf.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cap_flavour { CAP_MARIADB, CAP_MYSQL };

#define CAP_UUID_BYTES 16
struct cap_gtid {
    enum cap_flavour flavour;
    uint32_t domain, server;      /* MariaDB */
    uint8_t uuid[CAP_UUID_BYTES]; /* MySQL */
    uint64_t seq;
};
#define CAP_GTID_TEXT 64 /* a uuid, ':' and 19 digits, or "d-s-n" */
/* Exactly "d-s-n" or "uuid:n", nothing around it. */
int cap_gtid_parse(struct ls_str text, struct cap_gtid *ret);
void cap_gtid_print(const struct cap_gtid *gtid, char out[CAP_GTID_TEXT]);
bool cap_gtid_equal(const struct cap_gtid *a, const struct cap_gtid *b);
/* Whether they are numbered in one sequence: the same domain, or the same uuid. */
bool cap_gtid_same_source(const struct cap_gtid *a, const struct cap_gtid *b);

#define CAP_GTID_DOMAINS 32
#define CAP_GTID_UUIDS 32
#define CAP_GTID_INTERVALS 256 /* of all uuids together */
/* Longer than any set's text: a longer list, cut to this, still has too much in it to be taken. */
#define CAP_GTID_SET_TEXT ((size_t)16384)

struct cap_gtid_interval {
    uint64_t first, last; /* both in it */
};
struct cap_gtid_set {
    enum cap_flavour flavour;
    size_t n; /* domains or uuids */
    union {
        struct cap_gtid last[CAP_GTID_DOMAINS];
        struct {
            uint8_t uuids[CAP_GTID_UUIDS][CAP_UUID_BYTES]; /* ascending */
            uint16_t counts[CAP_GTID_UUIDS];               /* how many intervals each has */
            struct cap_gtid_interval intervals[CAP_GTID_INTERVALS]; /* by uuid, ascending, apart */
        };
    };
};
/*
 * "0-1-100,5-1-7" or "uuid:1-5:7,uuid:1-3", blanks allowed around the commas; "" is the empty set.
 * FATAL cause "gtid" when it is neither, "gtid-tagged" for MySQL's tagged GTIDs (8.3 and later).
 */
int cap_gtid_set_parse(struct ls_str text, struct cap_gtid_set *ret, struct ls_err *err);
/* As the server prints it, without line breaks: uuids ascending, intervals merged. */
void cap_gtid_set_print(const struct cap_gtid_set *set, char out[CAP_GTID_SET_TEXT]);
/*
 * MariaDB: replaces the domain's last GTID. MySQL: one number more. *ret_gap: numbers of this
 * domain or uuid were left out in front of it (legal, worth counting).
 */
int cap_gtid_set_add(struct cap_gtid_set *set, const struct cap_gtid *gtid, bool *ret_gap,
                     struct ls_err *err);
bool cap_gtid_set_has(const struct cap_gtid_set *set, const struct cap_gtid *gtid);
/* Whether all of `part` is in `set`. */
bool cap_gtid_set_contains(const struct cap_gtid_set *set, const struct cap_gtid_set *part);
/* What is in `a` and not in `b`. Of MariaDB's domains the result has the end that `b` lacks. */
int cap_gtid_set_minus(const struct cap_gtid_set *a, const struct cap_gtid_set *b,
                       struct cap_gtid_set *ret, struct ls_err *err);
/* All of `from` into `set`. MariaDB: the later GTID of a domain stays. */
int cap_gtid_set_unite(struct cap_gtid_set *set, const struct cap_gtid_set *from,
                       struct ls_err *err);

/* MySQL's binary form, as COM_BINLOG_DUMP_GTID and PREVIOUS_GTIDS have it. -1: no room in `out`. */
int cap_gtid_set_encode(const struct cap_gtid_set *set, struct ls_buf *out);
int cap_gtid_set_decode(const uint8_t *p, size_t n, struct cap_gtid_set *ret, struct ls_err *err);

#endif
