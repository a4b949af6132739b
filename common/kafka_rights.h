/*
 * Who may do what with topics, groups and transactional ids: the brokers' rules, read for `lockstep
 * check`; and what can be tried without them.
 */
#ifndef LS_KAFKA_RIGHTS_H
#define LS_KAFKA_RIGHTS_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

enum ls_right {
    LS_RIGHT_READ,
    LS_RIGHT_WRITE,
    LS_RIGHT_DESCRIBE,
    LS_RIGHT_DESCRIBE_CONFIGS,
    LS_RIGHT_CREATE
};
enum ls_about { LS_ABOUT_TOPIC, LS_ABOUT_GROUP, LS_ABOUT_TRANSACTIONAL_ID, LS_ABOUT_CLUSTER };
#define LS_CLUSTER "kafka-cluster" /* as rules name it */

struct ls_rule {
    enum ls_about about;
    bool prefixed, allow;
    unsigned operation; /* as librdkafka numbers them */
    char name[256], principal[256];
};

struct ls_rights {
    struct ls_rule *rules;
    size_t n;
};

/* All rules about topics, groups, transactional ids and the cluster. cause "no-authorizer": the
 * brokers ask nobody for rights; "kafka-authorization": this principal may not read them (Describe
 * on the cluster). librdkafka 2.0.2 tells neither, but that there are no rules at all. */
int ls_rights_read(const struct ls_config *config, struct ls_rights *ret, struct ls_err *err);
void ls_rights_free(struct ls_rights *rights);
/* By the rules alone, hosts disregarded: a rule that denies wins, Read and Write imply Describe. */
bool ls_rights_allow(const struct ls_rights *rights, const char *principal, enum ls_right right,
                     enum ls_about about, const char *name);
/* Rules that are about him or everybody. */
size_t ls_rights_count(const struct ls_rights *rights, const char *principal);

/* "User:name" of who signs in by [kafka]; "" when that is not told there (a certificate, Kerberos,
 * a token). */
void ls_kafka_principal(const struct ls_config *config, char *out, size_t size);

/* Whether records of these topics, which exist, may be read: a fetch at their end. ret[i]: 1, 0, or
 * -1 when no answer came. */
int ls_kafka_try_read(const struct ls_config *config, const char *const *topics, size_t n, int *ret,
                      struct ls_err *err);
/* Whether a group's offset in this topic may be asked for, without joining it: 1, 0, or -1 when
 * that was not told. */
int ls_kafka_try_group(const struct ls_config *config, const char *group, const char *topic);

#endif
