/*
 * What brokers tell of a cluster, its topics and its ACLs: read for `lockstep check`, which changes
 * nothing. What is not told is said as that, never guessed.
 */
#ifndef LS_KAFKA_LOOK_H
#define LS_KAFKA_LOOK_H

#include "common/config.h"
#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>

#define LS_LOOK_SETTINGS 10

struct ls_topic_look {
    const char *name;  /* to be set: its full name */
    int partitions;    /* 0: it is not there */
    int copies;        /* of the partition that has the fewest */
    int in_sync;       /* copies in sync, of the partition that has the fewest */
    int leaderless;    /* partitions that nobody leads */
    struct ls_err err; /* other than NONE: it may not be described, and nothing else is known */
    bool told;         /* its settings are known */
    char value[LS_LOOK_SETTINGS][32];
};
/* The value of one of the settings that are asked for; "" when it was not told. */
const char *ls_topic_setting(const struct ls_topic_look *topic, const char *setting);

struct ls_cluster_look {
    int brokers;
    bool told;             /* the settings below are known, else `why` not */
    char why[160];         /* a clause */
    char protocol[32];     /* inter.broker.protocol.version; "": brokers from 4.0 on have none */
    char authorizer[160];  /* authorizer.class.name; "": everybody may do everything */
    char super_users[512]; /* super.users, "User:a;User:b" */
};

/* Asks the cluster, and for these topics. -1: no broker answers, or it refuses the sign-in. */
int ls_kafka_look(const struct ls_config *config, struct ls_cluster_look *ret,
                  struct ls_topic_look *topics, size_t n, struct ls_err *err);

#endif
