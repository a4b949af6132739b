/*
 * Inside of gtid.c and gtid_mysql.c: one uuid's intervals.
 */
#ifndef CAP_GTID_PARTS_H
#define CAP_GTID_PARTS_H

#include "capture/binlog/gtid.h"

#define CAP_UUID_TEXT 36
#define CAP_GTID_MAX_NUMBER ((uint64_t)INT64_MAX - 1)

/* Digits at *p up to `end`, at most `max`. */
int cap_gtid_number(const char **p, const char *end, uint64_t max, uint64_t *ret);

int cap_hex_digit(char c); /* -1: none */
int cap_uuid_parse(struct ls_str text, uint8_t ret[CAP_UUID_BYTES]);
void cap_uuid_print(const uint8_t uuid[CAP_UUID_BYTES], char out[CAP_UUID_TEXT + 1]);

/* "uuid:1-5:7" into the set. */
int cap_mysql_parse_source(struct cap_gtid_set *set, struct ls_str text, struct ls_err *err);
void cap_mysql_print(const struct cap_gtid_set *set, char out[CAP_GTID_SET_TEXT]);
/* *ret_gap: the number in front of the interval is not in the set. */
int cap_mysql_add(struct cap_gtid_set *set, const uint8_t uuid[CAP_UUID_BYTES],
                  struct cap_gtid_interval interval, bool *ret_gap, struct ls_err *err);
bool cap_mysql_has(const struct cap_gtid_set *set, const uint8_t uuid[CAP_UUID_BYTES],
                   struct cap_gtid_interval interval);
bool cap_mysql_contains(const struct cap_gtid_set *set, const struct cap_gtid_set *part);
int cap_mysql_minus(const struct cap_gtid_set *a, const struct cap_gtid_set *b,
                    struct cap_gtid_set *set, struct ls_err *err);
int cap_mysql_unite(struct cap_gtid_set *set, const struct cap_gtid_set *from, struct ls_err *err);

#endif
