/*
 * The topics that Lockstep uses, and how each shall be: for check_kafka.c, and check_rights.c,
 * which says what may be done with them.
 */
#ifndef CTL_CHECK_KAFKA_H
#define CTL_CHECK_KAFKA_H

#include "common/kafka.h"
#include "common/kafka_look.h"
#include "common/tables.h"

#define CTL_KAFKA_TOPICS (LS_T_COUNT + 16)

struct kafka_topic {
    struct ls_topic_look look;
    enum ls_topic_kept kept;
    int partitions; /* as many as it shall have */
    bool named;     /* its shape has a line of its own, also when it is right */
};
/* Fills up to CTL_KAFKA_TOPICS; names are borrowed from the configuration. */
size_t ctl_kafka_topics(const struct ls_config *config, struct kafka_topic *topics);

struct check;
/* check_rights.c: by the brokers' rules where they are told, else by trying. */
void check_rights(struct check *check, const struct ls_cluster_look *cluster,
                  const struct kafka_topic *topics, size_t n);

#endif
