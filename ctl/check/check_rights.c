/*
 * check: what may be done with Lockstep's topics, and by whom.
 *
 * Two ways to know. The brokers' rules, where this principal may read them: then each program's
 * needs (docs/security.md) are compared with what he has, for one principal may be all programs' or
 * only the command's. And trying, which shows what he may read and describe; a right to write can
 * only be tried by writing, and one to a transactional id by fencing the stage that has it, so
 * without the rules they are not known, and said to be so.
 */
#include "common/kafka_rights.h"
#include "ctl/check/check.h"
#include "ctl/check/check_kafka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPTURE = 1, TRANSFORM = 2, APPLY = 4, COMMAND = 8 };

static const struct {
    const char *name;
    const char *group; /* "-transform": of which it needs `group_right` */
    const char *id;    /* its transactional id */
    int program;
    enum ls_right group_right;
    bool by_instance; /* that is one for each instance */
} programs[] = {
    {"capture", NULL, "-capture", CAPTURE, LS_RIGHT_READ, false},
    {"transform", "-transform", "-transform-", TRANSFORM, LS_RIGHT_READ, true},
    {"apply", "-apply", "-apply", APPLY, LS_RIGHT_READ, false},
    {"the command", NULL, NULL, COMMAND, LS_RIGHT_DESCRIBE, false},
};

/* By the beginning of what follows the prefix; docs/security.md says the same. */
static const struct {
    const char *suffix;
    int readers, writers;
} needs[] = {
    {"oc10.", CAPTURE | TRANSFORM | COMMAND, CAPTURE},
    {"cs3.", TRANSFORM | APPLY | COMMAND, TRANSFORM},
    {"position", CAPTURE | COMMAND, CAPTURE},
    {"counters", TRANSFORM | COMMAND, TRANSFORM},
    {"schemas", CAPTURE | TRANSFORM | APPLY | COMMAND, CAPTURE | TRANSFORM},
    {"dlq", COMMAND, CAPTURE | TRANSFORM | APPLY},
    {"status", COMMAND, CAPTURE | TRANSFORM | APPLY},
    {"ledger", APPLY | COMMAND, APPLY},
    {"applier", APPLY | COMMAND, APPLY},
    {"replay", TRANSFORM | APPLY | COMMAND, TRANSFORM | COMMAND},
    {"control", CAPTURE | COMMAND, COMMAND},
};

struct lack {
    size_t n, wanted;
    char first[400];
};

static void
want(struct lack *lack, const struct ls_rights *rights, const char *principal, enum ls_right right,
     enum ls_about about, const char *name)
{
    static const char *const rights_names[] = {"Read", "Write", "Describe", "DescribeConfigs",
                                               "Create"};
    static const char *const abouts[] = {"topic", "group", "transactional id", "cluster"};

    lack->wanted++;
    if (ls_rights_allow(rights, principal, right, about, name) || lack->n++ > 0)
        return;
    snprintf(lack->first, sizeof lack->first, "%s on %s %s", rights_names[right], abouts[about],
             name);
}

static void
want_topic(struct check *check, struct lack *lack, const struct ls_rights *rights,
           const char *principal, int program, const char *name)
{
    size_t skip = strlen(ls_config_str(check->config, "lockstep", "prefix")) + 1;
    bool commands = ls_config_str(check->config, "control", "key") != NULL;

    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (strncmp(name + skip, needs[i].suffix, strlen(needs[i].suffix)) != 0)
            continue;
        if (needs[i].readers & program)
            want(lack, rights, principal, LS_RIGHT_READ, LS_ABOUT_TOPIC, name);
        /* without a key the command sends nothing, and nothing comes in replay */
        bool needless = !commands && (program == COMMAND || strcmp(needs[i].suffix, "replay") == 0);

        if ((needs[i].writers & program) && !needless)
            want(lack, rights, principal, LS_RIGHT_WRITE, LS_ABOUT_TOPIC, name);
    }
}

/* Without one a program still begins, and ends at its first transaction. apply has one for its
 * mirror. */
static void
want_id(struct check *check, struct lack *lack, const struct ls_rights *rights,
        const char *principal, size_t p)
{
    const struct ls_config *config = check->config;
    char id[300];

    if (!programs[p].id ||
        (programs[p].program == APPLY && !ls_config_bool(config, "apply", "mirror")))
        return;
    snprintf(id, sizeof id, "%s%s%s", ls_config_str(config, "lockstep", "prefix"), programs[p].id,
             programs[p].by_instance ? ls_config_str(config, "lockstep", "instance") : "");
    want(lack, rights, principal, LS_RIGHT_WRITE, LS_ABOUT_TRANSACTIONAL_ID, id);
}

static void
tell_program(struct check *check, const char *principal, size_t p, const struct lack *lack,
             const struct lack *id)
{
    bool command = programs[p].program == COMMAND;
    size_t n = lack->n + id->n;
    char more[64] = "";

    if (n > 1)
        snprintf(more, sizeof more, " (and %zu more)", n - 1);
    if (n == 0)
        ctl_line(check->lines, CTL_PASS, "kafka", NULL, "%s may do with %s what %s does", principal,
                 id->wanted ? "topics, groups and its transactional id" : "topics and groups",
                 programs[p].name);
    else if (lack->n == 0)
        ctl_line(check->lines, CTL_WARN, "kafka",
                 "grant it, or it ends with status 7 at its first transaction; fine where it has "
                 "another principal that may (docs/security.md)",
                 "%s lacks for %s nothing but %s", principal, programs[p].name, id->first);
    else
        ctl_line(check->lines, command ? CTL_WARN : CTL_NOTE, "kafka",
                 command ? "grant it (docs/security.md has the rights of each program)"
                         : "fine where that has a principal of its own, else grant it "
                           "(docs/security.md)",
                 "%s lacks for %s: %s%s", principal, programs[p].name, lack->first, more);
}

static void
check_program(struct check *check, const struct ls_rights *rights, const char *principal, size_t p,
              const struct kafka_topic *topics, size_t n)
{
    bool command = programs[p].program == COMMAND;
    struct lack lack = {0}, id = {0};
    char group[300];

    for (size_t i = 0; i < n; i++)
        want_topic(check, &lack, rights, principal, programs[p].program, topics[i].look.name);
    for (size_t g = 0; g < sizeof programs / sizeof programs[0]; g++) {
        /* his own, and the command looks at all of them */
        if (!programs[g].group || (g != p && !command))
            continue;
        snprintf(group, sizeof group, "%s%s", ls_config_str(check->config, "lockstep", "prefix"),
                 programs[g].group);
        want(&lack, rights, principal, programs[p].group_right, LS_ABOUT_GROUP, group);
    }
    want_id(check, &id, rights, principal, p);
    tell_program(check, principal, p, &lack, &id);
}

/* Topics that are not there are made by whoever needs one first. */
static void
check_making(struct check *check, const struct ls_rights *rights, const char *principal,
             const struct kafka_topic *topics, size_t n)
{
    struct lack lack = {0};

    if (!ls_config_bool(check->config, "lockstep", "create_topics") ||
        ls_rights_allow(rights, principal, LS_RIGHT_CREATE, LS_ABOUT_CLUSTER, LS_CLUSTER))
        return;
    for (size_t i = 0; i < n; i++)
        if (topics[i].look.partitions == 0)
            want(&lack, rights, principal, LS_RIGHT_CREATE, LS_ABOUT_TOPIC, topics[i].look.name);
    if (lack.n > 0)
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "fine where the daemons' principals may; else grant it, or make the topics "
                 "yourself and set [lockstep] create_topics = false",
                 "%s may not make %zu topics that are not there: no %s", principal, lack.n,
                 lack.first);
}

/* User:a;User:b */
static bool
is_super(const struct ls_cluster_look *cluster, const char *principal)
{
    const char *at = cluster->super_users;
    size_t n = strlen(principal);

    for (; *at; at += *at == ';') {
        size_t len = strcspn(at, ";");

        if (len == n && strncmp(at, principal, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static void
check_rules(struct check *check, const struct ls_cluster_look *cluster,
            const struct ls_rights *rights, const struct kafka_topic *topics, size_t n)
{
    char principal[256];

    ls_kafka_principal(check->config, principal, sizeof principal);
    if (!principal[0])
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "compare with docs/security.md: kafka-acls.sh --list",
                 "%zu rules are there; as whom this signs in is not in [kafka]", rights->n);
    else if (is_super(cluster, principal))
        ctl_line(check->lines, CTL_WARN, "kafka",
                 "give each program a principal with its own rights (docs/security.md)",
                 "%s is a super user: it may do everything", principal);
    else if (ls_rights_count(rights, principal) == 0)
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "is it a super user, or named otherwise by the broker?",
                 "no rule is about %s, of %zu", principal, rights->n);
    else {
        for (size_t p = 0; p < sizeof programs / sizeof programs[0]; p++)
            check_program(check, rights, principal, p, topics, n);
        check_making(check, rights, principal, topics, n);
    }
}

/* What can be seen without rules: fetches, and the groups' offsets. */
static void
check_reading(struct check *check, const struct kafka_topic *topics, size_t n)
{
    const char *names[CTL_KAFKA_TOPICS], *refused = NULL;
    const char *prefix = ls_config_str(check->config, "lockstep", "prefix");
    int may[CTL_KAFKA_TOPICS];
    struct ls_err err = {0};
    size_t there = 0, no = 0, yes = 0;
    char group[300];

    for (size_t i = 0; i < n; i++)
        if (topics[i].look.partitions > 0)
            names[there++] = topics[i].look.name;
    if (there == 0)
        return;
    if (ls_kafka_try_read(check->config, names, there, may, &err) < 0) {
        ctl_line(check->lines, CTL_NOTE, "kafka", NULL, "reading was not tried: %s", err.msg);
        return;
    }
    for (size_t i = 0; i < there; i++) {
        yes += may[i] == 1;
        if (may[i] == 0 && no++ == 0)
            refused = names[i];
    }
    if (no > 0)
        ctl_line(check->lines, CTL_WARN, "kafka",
                 "grant Read: status, lag, id, dlq and replay read them (docs/security.md)",
                 "%zu of %zu topics may not be read, %s first", no, there, refused);
    if (yes + no < there)
        ctl_line(check->lines, CTL_NOTE, "kafka", NULL, "of %zu topics no answer came in time",
                 there - yes - no);
    if (no == 0 && yes == there)
        ctl_line(check->lines, CTL_PASS, "kafka", NULL, "all %zu topics may be read", there);
    for (size_t i = 1; i < 3; i++) {
        snprintf(group, sizeof group, "%s%s", prefix, programs[i].group);
        if (ls_kafka_try_group(check->config, group, names[0]) == 0)
            ctl_line(check->lines, CTL_WARN, "kafka",
                     "grant Describe on it: lag asks for its offsets (docs/security.md)",
                     "group %s may not be looked at", group);
    }
}

void
check_rights(struct check *check, const struct ls_cluster_look *cluster,
             const struct kafka_topic *topics, size_t n)
{
    struct ls_rights rights = {0};
    struct ls_err err = {0};

    int r = ls_rights_read(check->config, &rights, &err);

    if (r == 0 && rights.n > 0) {
        check_rules(check, cluster, &rights, topics, n);
    } else if (strcmp(err.cause, "no-authorizer") == 0 ||
               (r == 0 && cluster->told && !cluster->authorizer[0])) {
        ctl_line(
            check->lines, CTL_WARN, "kafka",
            "give Kafka an authorizer and each program its rights (docs/security.md): who writes "
            "the cs3 topics writes oCIS",
            "Kafka asks nobody for rights: everybody who reaches it may read and write all");
        return;
    } else {
        ctl_line(check->lines, CTL_NOTE, "kafka",
                 "Describe on the cluster would tell; a right to write can only be tried by "
                 "writing, and "
                 "one to a transactional id by taking it from its stage, so it is not",
                 "rights to write were not told: %s",
                 r < 0 ? err.msg : "there are no rules, or they may not be read");
    }
    ls_rights_free(&rights);
    check_reading(check, topics, n);
}
