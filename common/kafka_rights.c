/*
 * Rules about topics, groups and transactional ids, and fetches that are refused or not.
 *
 * librdkafka 2.0.2 does not know transactional ids as a kind of resource: they can be asked for
 * only among all rules, and come as UNKNOWN. So do delegation tokens and users, but of their
 * operations only All is one that a transactional id needs, too: such a rule is taken for one about
 * a transactional id of that name. Rules count as Kafka's own authorizer reads them: whatever
 * denies wins, a literal "*" is any name, "User:*" is anybody. A rule for one host counts for all:
 * which host the broker sees is not known here. What cannot be known either is who is a super user;
 * the broker's configuration says that, to those who may read it.
 */
#include "common/kafka_rights.h"
#include "common/kafka_parts.h"
#include "common/run.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ASK_MS 10000
#define TRY_MS 10000
#define TRANSACTIONAL_ID 5 /* as Kafka numbers it, and librdkafka once it knows it */

/* -1: it is about something else. */
static int
about_of(const rd_kafka_AclBinding_t *acl)
{
    switch ((int)rd_kafka_AclBinding_restype(acl)) {
    case RD_KAFKA_RESOURCE_TOPIC:
        return LS_ABOUT_TOPIC;
    case RD_KAFKA_RESOURCE_GROUP:
        return LS_ABOUT_GROUP;
    case RD_KAFKA_RESOURCE_BROKER: /* librdkafka's word for the cluster */
        return LS_ABOUT_CLUSTER;
    case RD_KAFKA_RESOURCE_UNKNOWN:
    case TRANSACTIONAL_ID:
        return LS_ABOUT_TRANSACTIONAL_ID;
    default:
        return -1;
    }
}

static void
take_rule(struct ls_rule *rule, const rd_kafka_AclBinding_t *acl, enum ls_about about)
{
    rule->about = about;
    rule->prefixed =
        rd_kafka_AclBinding_resource_pattern_type(acl) == RD_KAFKA_RESOURCE_PATTERN_PREFIXED;
    rule->allow = rd_kafka_AclBinding_permission_type(acl) == RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
    rule->operation = (unsigned)rd_kafka_AclBinding_operation(acl);
    (void)snprintf(rule->name, sizeof(rule->name), "%s", rd_kafka_AclBinding_name(acl));
    (void)snprintf(rule->principal, sizeof(rule->principal), "%s",
                   rd_kafka_AclBinding_principal(acl));
}

static int
take_rules(struct ls_rights *rights, rd_kafka_event_t *event, struct ls_err *err)
{
    size_t n;
    const rd_kafka_AclBinding_t **acls =
        rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(event), &n);
    struct ls_rule *rules = realloc(rights->rules, (rights->n + n + 1) * sizeof(*rules));

    if (!rules)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    rights->rules = rules;
    for (size_t i = 0; i < n; i++) {
        int about = about_of(acls[i]);

        if (about >= 0)
            take_rule(&rules[rights->n++], acls[i], (enum ls_about)about);
    }
    return 0;
}

static int
ask_rules(rd_kafka_t *rk, struct ls_rights *rights, struct ls_err *err)
{
    char text[160];
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(rk, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
        RD_KAFKA_RESOURCE_ANY, NULL, RD_KAFKA_RESOURCE_PATTERN_ANY, NULL, NULL,
        RD_KAFKA_ACL_OPERATION_ANY, RD_KAFKA_ACL_PERMISSION_TYPE_ANY, text, sizeof(text));
    rd_kafka_event_t *event = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int r;

    rd_kafka_AdminOptions_set_request_timeout(options, ASK_MS, text, sizeof(text));
    if (filter) {
        rd_kafka_DescribeAcls(rk, filter, options, queue);
        event = rd_kafka_queue_poll(queue, ASK_MS + 1000);
    }
    if (event)
        code = rd_kafka_event_error(event);
    if (code == RD_KAFKA_RESP_ERR_SECURITY_DISABLED)
        r = ls_fail_cause(err, LS_ERR_FATAL, code, "no-authorizer", "there is no authorizer");
    else if (code)
        r = kafka_fail(err, code, "access control lists");
    else
        r = take_rules(rights, event, err);
    if (event)
        rd_kafka_event_destroy(event);
    if (filter)
        rd_kafka_AclBinding_destroy(filter);
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(options);
    return r;
}

int
ls_rights_read(const struct ls_config *config, struct ls_rights *ret, struct ls_err *err)
{
    struct ls_rights rights = {0};
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    int r = -1;

    if (kafka_conf_new(config, NULL, &conf, err) == 0 &&
        kafka_client_new(RD_KAFKA_PRODUCER, conf, &rk, err) == 0 &&
        ask_rules(rk, &rights, err) == 0)
        r = 0;
    if (rk)
        rd_kafka_destroy(rk);
    if (r == 0)
        *ret = rights;
    else
        ls_rights_free(&rights);
    return r;
}

void
ls_rights_free(struct ls_rights *rights)
{
    free(rights->rules);
    rights->rules = NULL;
    rights->n = 0;
}

static bool
is_his(const struct ls_rule *rule, const char *principal)
{
    return strcmp(rule->principal, principal) == 0 || strcmp(rule->principal, "User:*") == 0;
}

static bool
is_about(const struct ls_rule *rule, enum ls_about about, const char *name)
{
    if (rule->about != about)
        return false;
    if (rule->prefixed)
        return strncmp(name, rule->name, strlen(rule->name)) == 0;
    return strcmp(rule->name, "*") == 0 || strcmp(rule->name, name) == 0;
}

/* What is allowed implies more; what is denied does not. */
static bool
covers(const struct ls_rule *rule, enum ls_right right)
{
    static const unsigned operations[] = {
        [LS_RIGHT_READ] = RD_KAFKA_ACL_OPERATION_READ,
        [LS_RIGHT_WRITE] = RD_KAFKA_ACL_OPERATION_WRITE,
        [LS_RIGHT_DESCRIBE] = RD_KAFKA_ACL_OPERATION_DESCRIBE,
        [LS_RIGHT_DESCRIBE_CONFIGS] = RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        [LS_RIGHT_CREATE] = RD_KAFKA_ACL_OPERATION_CREATE,
    };
    unsigned op = rule->operation;

    if (op == RD_KAFKA_ACL_OPERATION_ALL || op == operations[right])
        return true;
    if (!rule->allow)
        return false;
    if (right == LS_RIGHT_DESCRIBE)
        return op == RD_KAFKA_ACL_OPERATION_READ || op == RD_KAFKA_ACL_OPERATION_WRITE ||
               op == RD_KAFKA_ACL_OPERATION_DELETE || op == RD_KAFKA_ACL_OPERATION_ALTER;
    return right == LS_RIGHT_DESCRIBE_CONFIGS && op == RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS;
}

bool
ls_rights_allow(const struct ls_rights *rights, const char *principal, enum ls_right right,
                enum ls_about about, const char *name)
{
    bool allowed = false;

    for (size_t i = 0; i < rights->n; i++) {
        const struct ls_rule *rule = &rights->rules[i];

        if (!is_his(rule, principal) || !is_about(rule, about, name) || !covers(rule, right))
            continue;
        if (!rule->allow)
            return false;
        allowed = true;
    }
    return allowed;
}

size_t
ls_rights_count(const struct ls_rights *rights, const char *principal)
{
    size_t n = 0;

    for (size_t i = 0; i < rights->n; i++)
        n += is_his(&rights->rules[i], principal);
    return n;
}

/* ---- who */

struct who {
    char protocol[32], mechanism[32], user[200];
};

static int
take_option(void *arg, const char *key, const char *value)
{
    struct who *who = arg;

    if (strcmp(key, "security.protocol") == 0)
        (void)snprintf(who->protocol, sizeof(who->protocol), "%s", value);
    else if (strcmp(key, "sasl.mechanism") == 0 || strcmp(key, "sasl.mechanisms") == 0)
        (void)snprintf(who->mechanism, sizeof(who->mechanism), "%s", value);
    else if (strcmp(key, "sasl.username") == 0)
        (void)snprintf(who->user, sizeof(who->user), "%s", value);
    return 0;
}

void
ls_kafka_principal(const struct ls_config *config, char *out, size_t size)
{
    struct who who = {"", "", ""};

    ls_config_each(config, "kafka", take_option, &who);
    out[0] = '\0';
    if (!who.protocol[0] || strcasecmp(who.protocol, "plaintext") == 0)
        (void)snprintf(out, size, "User:ANONYMOUS");
    else if (strncasecmp(who.protocol, "sasl_", 5) == 0 && who.user[0] &&
             (strcasecmp(who.mechanism, "PLAIN") == 0 ||
              strncasecmp(who.mechanism, "SCRAM", 5) == 0))
        (void)snprintf(out, size, "User:%s", who.user);
}

/* ---- trying */

static size_t
take_answer(const rd_kafka_message_t *message, const char *const *topics, size_t n, int *ret)
{
    const char *name = message->rkt ? rd_kafka_topic_name(message->rkt) : "";

    for (size_t i = 0; i < n; i++) {
        if (strcmp(topics[i], name) != 0 || ret[i] >= 0)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            ret[i] = 0;
        else if (!message->err || message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ret[i] = 1;
        return ret[i] >= 0;
    }
    return 0;
}

int
ls_kafka_try_read(const struct ls_config *config, const char *const *topics, size_t n, int *ret,
                  struct ls_err *err)
{
    static const char *const defaults[] = {"fetch.wait.max.ms", "50", NULL};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n + 1);
    int64_t until = ls_mono_ms() + TRY_MS;
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    size_t answers = 0;
    int r = -1;

    for (size_t i = 0; i < n; i++) {
        ret[i] = -1;
        rd_kafka_topic_partition_list_add(list, topics[i], 0)->offset = RD_KAFKA_OFFSET_END;
    }
    if (kafka_conf_new(config, defaults, &conf, err) < 0)
        goto out;
    kafka_conf_set(conf, "group.id", "lockstep-check"); /* assigned only: no group is joined */
    kafka_conf_set(conf, "enable.auto.commit", "false");
    kafka_conf_set(conf, "enable.partition.eof", "true");
    if (kafka_client_new(RD_KAFKA_CONSUMER, conf, &rk, err) < 0)
        goto out;
    rd_kafka_poll_set_consumer(rk);
    if (n > 0)
        rd_kafka_assign(rk, list);
    while (answers < n && ls_mono_ms() < until) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);

        if (!message)
            continue;
        answers += take_answer(message, topics, n, ret);
        rd_kafka_message_destroy(message);
    }
    r = 0;
out:
    if (rk) {
        rd_kafka_assign(rk, NULL);
        rd_kafka_destroy(rk);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}

/* A refusal comes to the consumer, from its search for the coordinator, and lets the question for
 * offsets time out. (DescribeConsumerGroups would tell at once, but librdkafka 2.0.2 aborts when
 * that runs out of time.) */
int
ls_kafka_try_group(const struct ls_config *config, const char *group, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int64_t until = ls_mono_ms() + TRY_MS;
    rd_kafka_conf_t *conf;
    rd_kafka_t *rk = NULL;
    struct ls_err err = {0};
    int r = -1;

    rd_kafka_topic_partition_list_add(list, topic, 0);
    if (kafka_conf_new(config, NULL, &conf, &err) < 0)
        goto out;
    kafka_conf_set(conf, "group.id", group);
    kafka_conf_set(conf, "enable.auto.commit", "false");
    if (kafka_client_new(RD_KAFKA_CONSUMER, conf, &rk, &err) < 0)
        goto out;
    rd_kafka_poll_set_consumer(rk);
    while (r < 0 && ls_mono_ms() < until) {
        rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, 300);
        rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 0);

        if (!code)
            code = list->elems[0].err;
        if (message && message->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
            code = message->err;
        if (message)
            rd_kafka_message_destroy(message);
        if (!code)
            r = 1;
        else if (code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
            r = 0;
    }
out:
    if (rk)
        rd_kafka_destroy(rk);
    rd_kafka_topic_partition_list_destroy(list);
    return r;
}
