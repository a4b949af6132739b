/*
 * check: Kafka. Every topic that Lockstep uses, as it stands in the brokers.
 *
 * Kafka holds what the stages know, so a topic that is kept otherwise loses it in silence: one that
 * shall be compacted and is deleted after a week has no state left for a replay or a second
 * applier; one that shall be deleted and is compacted loses letters of one key. What is wrong in
 * many topics is one line with the first of them. Many brokers tell their settings only to some:
 * then a note says so, and the rest is looked at all the same.
 */
#include "ctl/check/check_kafka.h"
#include "common/control.h"
#include "common/kafka.h"
#include "common/registry.h"
#include "common/replay.h"
#include "common/tables.h"
#include "ctl/check/check.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS ((int64_t)86400 * 1000)
#define KEPT_MS (14 * DAY_MS)
#define START_MS ((int64_t)3600 * 1000) /* a topic that is read whole: segments closed so soon */
#define START_BYTES ((int64_t)64 << 20) /* ... or so small */

static const struct {
    const char *suffix;
    enum ls_topic_kept kept;
    bool by_storage;
} others[] = {
    {"cs3.resource", LS_KEPT_LAST, true},     {"cs3.space", LS_KEPT_LAST, false},
    {"cs3.person", LS_KEPT_LAST, false},      {"cs3.share", LS_KEPT_LAST, false},
    {"cs3.annotation", LS_KEPT_LAST, false},  {"position", LS_KEPT_STATE, false},
    {"counters", LS_KEPT_STATE, false},       {"schemas", LS_KEPT_LAST, false},
    {"dlq", LS_KEPT_14_DAYS, false},          {"status", LS_KEPT_STATE, false},
    {"ledger", LS_KEPT_STATE, false},         {"applier", LS_KEPT_STATE, false},
    {LS_REPLAY_TOPIC, LS_KEPT_14_DAYS, true}, {LS_CONTROL_TOPIC, LS_KEPT_14_DAYS, false},
};

size_t
ctl_kafka_topics(const struct ls_config *config, struct kafka_topic *topics)
{
    bool mirror = ls_config_bool(config, "apply", "mirror");
    bool control = ls_config_str(config, "control", "key") != NULL;
    int partitions = (int)ls_config_int(config, "lockstep", "partitions");
    size_t n = 0;

    for (size_t i = 0; i < LS_T_COUNT; i++) {
        char suffix[64];

        (void)snprintf(suffix, sizeof suffix, "oc10.oc_%s", ls_tables[i].name);
        topics[n++] = (struct kafka_topic){
            .look.name = ls_config_topic(config, suffix),
            .kept = LS_KEPT_LAST,
            .partitions = ls_tables[i].by_storage ? partitions : 1,
            .named = ls_tables[i].by_storage,
        };
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        bool mirrored =
            strcmp(others[i].suffix, "ledger") == 0 || strcmp(others[i].suffix, "applier") == 0;

        if ((mirrored && !mirror) || (strcmp(others[i].suffix, LS_CONTROL_TOPIC) == 0 && !control))
            continue;
        topics[n++] = (struct kafka_topic){
            .look.name = ls_config_topic(config, others[i].suffix),
            .kept = others[i].kept,
            .partitions = others[i].by_storage ? partitions : 1,
            .named = true,
        };
    }
    return n;
}

/* ---- the shape of each */

static void
check_shape(struct check *check, const struct kafka_topic *topic)
{
    const struct ls_topic_look *look = &topic->look;
    bool made = ls_config_bool(check->config, "lockstep", "create_topics");
    bool good = look->partitions == topic->partitions;

    if (look->err.kind != LS_ERR_NONE)
        ctl_line(check->lines, CTL_FAIL, "kafka",
                 "grant Describe on it (docs/security.md has the rights of each program)", "%s: %s",
                 look->name, look->err.msg);
    else if (look->partitions == 0 && (!made || topic->named))
        ctl_line(check->lines, made ? CTL_PASS : CTL_FAIL, "kafka",
                 made ? NULL
                      : "create it (docs/architecture.md lists the topics and how they are kept)",
                 "topic %s is not there yet%s", look->name, made ? ", it will be made" : "");
    else if (look->partitions > 0 && (!good || topic->named))
        ctl_line(check->lines, good ? CTL_PASS : CTL_FAIL, "kafka",
                 good ? NULL
                      : "partition counts are fixed for a prefix's life: use another prefix or set "
                        "[lockstep] partitions",
                 "topic %s has %d partitions%s", look->name, look->partitions,
                 good ? "" : ", not what [lockstep] partitions says");
}

/* ---- how they are kept */

enum problem {
    NOT_COMPACTED,
    NOT_DELETED,
    KEPT_SHORT,
    KEPT_BY_SIZE,
    COMPACTED_SOON,
    DELETIONS_SHORT,
    READ_LONG,
    TAKES_LITTLE,
    UNCLEAN,
    NO_WRITES_EVER,
    NO_WRITES_NOW,
    NO_BROKER_MAY_FAIL,
    ONE_COPY,
    ONE_IN_SYNC,
    BEHIND,
    LEADERLESS,
    PROBLEMS
};

static const struct {
    enum ctl_level level;
    const char *todo;
} problems[PROBLEMS] = {
    [NOT_COMPACTED] = {CTL_FAIL,
                       "set cleanup.policy=compact: it holds the last state of everything, "
                       "and what was deleted by age or size is lost to whoever starts anew"},
    [NOT_DELETED] = {CTL_FAIL,
                     "set cleanup.policy=delete: records of one key are not the same thing "
                     "there, compaction would lose some"},
    [KEPT_SHORT] = {CTL_WARN,
                    "set retention.ms=1209600000 (14 days): so long a stage, or an answer to "
                    "a letter, may take"},
    [KEPT_BY_SIZE] = {CTL_WARN,
                      "set retention.bytes=-1: many records at once would push others out"},
    [COMPACTED_SOON] = {CTL_WARN,
                        "set min.compaction.lag.ms=1209600000 (14 days), as Lockstep makes "
                        "it: older states are what a replay by time or GTID looks for"},
    [DELETIONS_SHORT] = {CTL_WARN,
                         "set delete.retention.ms=1209600000 (14 days): a stage that is away "
                         "for longer does not hear of a deletion"},
    [READ_LONG] = {CTL_WARN,
                   "set min.compaction.lag.ms=0, segment.ms=600000, segment.bytes=8388608: "
                   "it is read whole at each start"},
    [TAKES_LITTLE] = {CTL_FAIL,
                      "raise max.message.bytes: 65536 for position, 16384 for the others are "
                      "the least, the daemons do not start with less"},
    [UNCLEAN] = {CTL_WARN,
                 "set unclean.leader.election.enable=false: a leader that was behind loses "
                 "records that stages have gone past"},
    [NO_WRITES_EVER] = {CTL_FAIL, "no record is ever taken: lower min.insync.replicas, or give the "
                                  "topic more replicas"},
    [NO_WRITES_NOW] = {CTL_FAIL, "no record is taken until brokers are back"},
    [NO_BROKER_MAY_FAIL] = {CTL_WARN, "one broker that is away stops everything: "
                                      "min.insync.replicas=2 with three replicas"},
    [ONE_COPY] = {CTL_WARN,
                  "a broker's disk that is lost takes it along: three brokers and [lockstep] "
                  "replication = 3 in earnest"},
    [ONE_IN_SYNC] = {CTL_WARN,
                     "set min.insync.replicas=2: a record that only one broker has counts as "
                     "written"},
    [BEHIND] = {CTL_WARN, "is a broker away? copies are missing until it is back"},
    [LEADERLESS] = {CTL_FAIL, "bring its brokers back"},
};

/* What was found of one kind, in all topics. */
struct tally {
    size_t n;
    char first[400];
};

static void found(struct tally *tally, const struct ls_topic_look *topic, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
found(struct tally *tally, const struct ls_topic_look *topic, const char *fmt, ...)
{
    char text[120];
    va_list args;

    if (tally->n++ > 0)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(tally->first, sizeof tally->first, "topic %s: %s", topic->name, text);
}

/* A number among the settings; `fallback` where it was not told. */
static int64_t
number(const struct ls_topic_look *topic, const char *setting, int64_t fallback)
{
    const char *text = ls_topic_setting(topic, setting);

    return text[0] ? strtoll(text, NULL, 10) : fallback;
}

static void
less(struct tally *tally, const struct ls_topic_look *topic, const char *setting, int64_t least)
{
    int64_t value = number(topic, setting, least);

    if (value < least)
        found(tally, topic, "%s = %" PRId64, setting, value);
}

static void
more(struct tally *tally, const struct ls_topic_look *topic, const char *setting, int64_t most)
{
    int64_t value = number(topic, setting, most);

    if (value > most)
        found(tally, topic, "%s = %" PRId64, setting, value);
}

static void
judge_kept(const struct kafka_topic *topic, struct tally *tallies)
{
    const struct ls_topic_look *look = &topic->look;
    const char *policy = ls_topic_setting(look, "cleanup.policy");
    bool deletes = strstr(policy, "delete") != NULL, compacts = strstr(policy, "compact") != NULL;

    if (topic->kept == LS_KEPT_14_DAYS) {
        if (compacts)
            found(&tallies[NOT_DELETED], look, "cleanup.policy = %s", policy);
        if (number(look, "retention.ms", -1) >= 0)
            less(&tallies[KEPT_SHORT], look, "retention.ms", KEPT_MS);
        if (number(look, "retention.bytes", -1) >= 0)
            more(&tallies[KEPT_BY_SIZE], look, "retention.bytes", -1);
        return;
    }
    if (deletes || !compacts)
        found(&tallies[NOT_COMPACTED], look, "cleanup.policy = %s", policy);
    if (topic->kept == LS_KEPT_LAST) {
        less(&tallies[COMPACTED_SOON], look, "min.compaction.lag.ms", KEPT_MS);
        less(&tallies[DELETIONS_SHORT], look, "delete.retention.ms", KEPT_MS);
    } else {
        more(&tallies[READ_LONG], look, "min.compaction.lag.ms", START_MS);
        more(&tallies[READ_LONG], look, "segment.ms", START_MS);
        more(&tallies[READ_LONG], look, "segment.bytes", START_BYTES);
    }
}

static void
judge_copies(const struct ls_topic_look *look, struct tally *tallies)
{
    int least = (int)number(look, "min.insync.replicas", 1);

    if (look->leaderless > 0)
        found(&tallies[LEADERLESS], look, "%d partitions have no leader", look->leaderless);
    if (look->copies < least)
        found(&tallies[NO_WRITES_EVER], look, "%d replicas, min.insync.replicas = %d", look->copies,
              least);
    else if (look->in_sync < least)
        found(&tallies[NO_WRITES_NOW], look, "%d replicas in sync, min.insync.replicas = %d",
              look->in_sync, least);
    else if (look->in_sync < look->copies)
        found(&tallies[BEHIND], look, "%d of %d replicas in sync", look->in_sync, look->copies);
    if (look->copies == 1)
        found(&tallies[ONE_COPY], look, "one replica");
    else if (look->told && look->copies == least)
        found(&tallies[NO_BROKER_MAY_FAIL], look, "%d replicas, min.insync.replicas = %d",
              look->copies, least);
    else if (look->told && least == 1)
        found(&tallies[ONE_IN_SYNC], look, "min.insync.replicas = 1");
}

static void
judge(const struct kafka_topic *topic, struct tally *tallies)
{
    const struct ls_topic_look *look = &topic->look;

    judge_copies(look, tallies);
    if (!look->told)
        return;
    judge_kept(topic, tallies);
    less(&tallies[TAKES_LITTLE], look, "max.message.bytes", ls_topic_takes_least(look->name));
    if (strcmp(ls_topic_setting(look, "unclean.leader.election.enable"), "true") == 0)
        found(&tallies[UNCLEAN], look, "unclean.leader.election.enable = true");
}

static void
check_kept(struct check *check, const struct kafka_topic *topics, size_t n)
{
    struct tally tallies[PROBLEMS] = {0};
    size_t there = 0, told = 0, wrong = 0;

    for (size_t i = 0; i < n; i++) {
        if (topics[i].look.partitions == 0)
            continue;
        there++;
        told += topics[i].look.told;
        judge(&topics[i], tallies);
    }
    for (size_t i = 0; i < PROBLEMS; i++) {
        char others_too[64] = "";

        if (tallies[i].n == 0)
            continue;
        wrong++;
        if (tallies[i].n > 1)
            snprintf(others_too, sizeof others_too, " (and so it is with %zu more)",
                     tallies[i].n - 1);
        ctl_line(check->lines, problems[i].level, "kafka", problems[i].todo, "%s%s",
                 tallies[i].first, others_too);
    }
    if (told < there)
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "grant DescribeConfigs on the topics, or compare by hand with "
                 "docs/architecture.md",
                 "how %zu of %zu topics are kept was not told", there - told, there);
    else if (there > 0 && wrong == 0)
        ctl_line(check->lines, CTL_PASS, "kafka", NULL,
                 "%zu topics are kept and copied as they must be", there);
    else if (there > 0)
        ctl_line(check->lines, CTL_NOTE, "kafka", NULL, "%zu topics were looked at", there);
}

/* ---- the cluster */

static void
check_cluster(struct check *check, const struct ls_cluster_look *cluster,
              const struct kafka_topic *topics, size_t n)
{
    int replication = (int)ls_config_int(check->config, "lockstep", "replication");
    bool new_release = cluster->told && !cluster->protocol[0];
    bool good = new_release || strncmp(cluster->protocol, "3.9", 3) == 0;
    size_t missing = 0;

    if (!cluster->told)
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "3.9 and 4.x are supported; DescribeConfigs on the cluster would tell",
                 "%d brokers; their version was not told: %s", cluster->brokers, cluster->why);
    else
        ctl_line(check->lines, good ? CTL_PASS : CTL_WARN, "kafka",
                 good ? NULL : "3.9 and 4.x are supported: upgrade, or try it elsewhere first",
                 "%d brokers, Kafka %s%s", cluster->brokers,
                 new_release ? "4.0 or newer" : cluster->protocol,
                 new_release ? "" : " (inter.broker.protocol.version)");
    for (size_t i = 0; i < n; i++)
        missing += topics[i].look.partitions == 0 && topics[i].look.err.kind == LS_ERR_NONE;
    if (missing > 0 && replication > cluster->brokers)
        ctl_line(check->lines, CTL_FAIL, "kafka",
                 "lower [lockstep] replication, or start more brokers",
                 "%zu topics are to be made with %d replicas, there are %d brokers", missing,
                 replication, cluster->brokers);
}

/* Whatever keeps capture and transform from starting; nothing is registered. */
static void
check_registry(struct check *check)
{
    static const struct {
        const char *cause, *todo;
    } todos[] = {
        {"registry-auth", "check [registry] user and password: they may read and write subjects"},
        {"registry-incompatible",
         "loosen the subject's rule (its compatibility), or use another [lockstep] prefix"},
        {"registry", "check [registry] url and ca: capture and transform do not start without it"},
    };
    size_t all, known, i = 0;
    struct ls_err err = {0};

    if (ls_registry_check(check->config, &all, &known, &err) < 0) {
        while (i < sizeof todos / sizeof todos[0] - 1 && strcmp(todos[i].cause, err.cause) != 0)
            i++; /* the last one is for all others */
        ctl_line(check->lines, CTL_FAIL, "kafka", todos[i].todo, "%s", err.msg);
    } else if (all > 0) {
        ctl_line(check->lines, CTL_PASS, "kafka", NULL,
                 "the schema registry knows %zu of %zu schemas%s", known, all,
                 known < all ? ", and would take the others" : "");
    }
}

void
check_kafka(struct check *check)
{
    struct kafka_topic *topics = calloc(CTL_KAFKA_TOPICS, sizeof *topics);
    struct ls_topic_look *looks = calloc(CTL_KAFKA_TOPICS, sizeof *looks);
    struct ls_cluster_look cluster;
    struct ls_err err = {0};
    size_t n;

    if (!topics || !looks) {
        ctl_line(check->lines, CTL_FAIL, "kafka", NULL, "out of memory");
        goto out;
    }
    n = ctl_kafka_topics(check->config, topics);
    for (size_t i = 0; i < n; i++)
        looks[i] = topics[i].look;
    if (ls_kafka_look(check->config, &cluster, looks, n, &err) < 0) {
        ctl_line(check->lines, CTL_FAIL, "kafka",
                 "check [kafka] bootstrap.servers and its credentials", "%s", err.msg);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        topics[i].look = looks[i];
    check_cluster(check, &cluster, topics, n);
    check_versions(check);
    for (size_t i = 0; i < n; i++)
        check_shape(check, &topics[i]);
    check_kept(check, topics, n);
    check_rights(check, &cluster, topics, n);
    check_registry(check);
out:
    free(looks);
    free(topics);
}
