/*
 * From [kafka] to a librdkafka configuration.
 *
 * The section is passed through, so that TLS, SASL and tuning need no word of
 * ours. What can go wrong: an option that exactly-once rests on is set to
 * something else and everything still seems to work. Such options are refused.
 * And a client that cannot be made is no word against the configuration when the
 * system has no thread left, or when one could be made of it before: then it is a
 * certificate that is just replaced, or a lack of descriptors, which passes.
 */
#include "common/config_parts.h"
#include "common/kafka_parts.h"
#include "common/log.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *key;
    const char *why;
} owned[] = {
    {"transactional.id", "each stage has its own"},
    {"isolation.level", "Lockstep reads committed records only"},
    {"enable.auto.commit", "offsets are committed with what was made of the records"},
    {"auto.commit.enable", "offsets are committed with what was made of the records"},
    {"enable.auto.offset.store", "offsets are committed with what was made of the records"},
    {"enable.idempotence", "the order of records rests on it"},
    {"enable.gapless.guarantee", "a fatal producer error is handled by a new producer"},
    {"acks", "a record is only sent when all replicas have it"},
    {"request.required.acks", "a record is only sent when all replicas have it"},
    {"auto.offset.reset", "a lost offset must stop a stage, not move it"},
    {"group.id", "the groups are <prefix>-transform and <prefix>-apply"},
    {"enable.partition.eof", "Lockstep looks for the end of a topic itself"},
    {"partition.assignment.strategy", "the partitions of all topics move together"},
};

int
ls_kafka_option_check(const char *key, const char *value, char *why, size_t size)
{
    rd_kafka_conf_t *conf;
    char text[256] = "";
    int r = 0;

    for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++) {
        if (strcmp(key, owned[i].key) == 0) {
            snprintf(why, size, "cannot be set, %s", owned[i].why);
            return -1;
        }
    }
    conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, key, value, text, sizeof(text)) != RD_KAFKA_CONF_OK) {
        /* librdkafka's text quotes the value. */
        snprintf(why, size, "%s",
                 config_kafka_secret(key) ? "librdkafka does not take this value" : text);
        r = -1;
    }
    rd_kafka_conf_destroy(conf);
    return r;
}

static void
on_log(const rd_kafka_t *rk, int severity, const char *facility, const char *text)
{
    enum ls_log_level level = severity <= 3   ? LS_ERROR
                              : severity <= 4 ? LS_WARN
                              : severity <= 6 ? LS_INFO
                                              : LS_DEBUG;

    /* [kafka] is one section for producers and consumers; that each leaves out the other's options
     * is what we want. Of rules of a kind that it does not know it complains one by one
     * (common/kafka_rights.c). */
    if (strcmp(facility, "CONFWARN") == 0 || strcmp(facility, "DESCRIBEACLSRESPONSE") == 0)
        level = LS_DEBUG;
    ls_log(level, "librdkafka", LS_S("client", rd_kafka_name(rk)), LS_S("facility", facility),
           LS_S("text", text));
}

/* Errors of connections: librdkafka mends them itself, fatal ones come back from the calls. */
static void
on_error(rd_kafka_t *rk, int code, const char *reason, void *arg)
{
    (void)arg;
    ls_log(LS_WARN, "kafka", LS_S("client", rd_kafka_name(rk)),
           LS_S("code", rd_kafka_err2name((rd_kafka_resp_err_t)code)), LS_S("text", reason));
}

static int
pass_through(void *arg, const char *key, const char *value)
{
    char text[128];

    return rd_kafka_conf_set(arg, key, value, text, sizeof(text)) == RD_KAFKA_CONF_OK ? 0 : -1;
}

int
kafka_conf_new(const struct ls_config *config, const char *const *defaults, rd_kafka_conf_t **ret,
               struct ls_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    kafka_conf_set(conf, "client.id", "lockstep");
    kafka_conf_set(conf, "log.connection.close", "false");
    /* a broker that is back is to be found soon; the default is 10 s */
    kafka_conf_set(conf, "reconnect.backoff.max.ms", "2000");
    for (; defaults && *defaults; defaults += 2)
        kafka_conf_set(conf, defaults[0], defaults[1]);
    if (ls_config_each(config, "kafka", pass_through, conf) != 0) {
        rd_kafka_conf_destroy(conf);
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "config", "[kafka] is not taken");
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    *ret = conf;
    return 0;
}

void
kafka_conf_set(rd_kafka_conf_t *conf, const char *key, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, key, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
        return;
    ls_log(LS_ERROR, "bug", LS_S("message", text));
    abort();
}

int
kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret, struct ls_err *err)
{
    static atomic_bool was_good;
    char text[200];
    rd_kafka_t *rk = rd_kafka_new(type, conf, text, sizeof(text));
    rd_kafka_resp_err_t code = rk ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();

    if (!rk) {
        rd_kafka_conf_destroy(conf);
        if (code == RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE || atomic_load(&was_good))
            return ls_fail_cause(err, LS_ERR_RETRY, code, "kafka", "no client of Kafka: %s", text);
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "config", "[kafka]: %s", text);
    }
    atomic_store(&was_good, true);
    *ret = rk;
    return 0;
}

/* Codes that say what to do; all others may pass. */
static const struct {
    rd_kafka_resp_err_t code;
    enum ls_err_kind kind;
    const char *cause;
} kinds[] = {
    {RD_KAFKA_RESP_ERR__FENCED, LS_ERR_FATAL, "fenced"},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, LS_ERR_FATAL, "fenced"},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, LS_ERR_FATAL, "fenced"},
    {RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET, LS_ERR_FATAL, "offset-lost"},
    {RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE, LS_ERR_FATAL, "offset-lost"},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, LS_ERR_POISON, "too-large"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, LS_ERR_FATAL, "kafka-authentication"},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, LS_ERR_FATAL, "kafka-authentication"},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, LS_ERR_FATAL, "kafka-authorization"},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, LS_ERR_FATAL, "kafka-authorization"},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, LS_ERR_FATAL, "kafka-authorization"},
    {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, LS_ERR_FATAL, "kafka-authorization"},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, LS_ERR_FATAL, "kafka-policy"},
    {RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, LS_ERR_FATAL, "kafka-version"},
    {RD_KAFKA_RESP_ERR__INVALID_ARG, LS_ERR_FATAL, "kafka-use"},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, LS_ERR_RETRY, "no-topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, LS_ERR_RETRY, "no-topic"},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, LS_ERR_RETRY, "no-topic"},
};

int
kafka_fail(struct ls_err *err, rd_kafka_resp_err_t code, const char *what)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (kinds[i].code == code)
            return ls_fail_cause(err, kinds[i].kind, code, kinds[i].cause, "%s: %s", what,
                                 rd_kafka_err2str(code));
    }
    return ls_fail_cause(err, LS_ERR_RETRY, code, "kafka", "%s: %s", what, rd_kafka_err2str(code));
}

int
kafka_fail_error(struct ls_err *err, rd_kafka_error_t *error, const char *what)
{
    struct ls_err known;

    kafka_fail(&known, rd_kafka_error_code(error), what);
    ls_fail_cause(err, known.kind, known.code, known.cause, "%s: %s", what,
                  rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return -1;
}
