/*
 * check: which Lockstep runs where.
 *
 * Stages of two versions understand each other one way only: the newer reads what the older wrote.
 * What runs is in the status topic, where each stage writes once a second; whoever has been silent
 * for ten minutes is taken to be gone.
 */
#include "common/run.h"
#include "ctl/check/check.h"
#include "ctl/status.h"
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <string.h>

#define GONE_US ((int64_t)600 * 1000000)

void
ctl_versions_line(const json_t *stages, int64_t now_us, struct ctl_lines *lines)
{
    char running[400] = "", other[400] = "", instance[64];
    const char *key;
    json_t *stage;

    json_object_foreach((json_t *)stages, key, stage)
    {
        const char *version = json_string_value(json_object_get(stage, "version"));
        bool same = version && strcmp(version, LS_VERSION) == 0;
        char *out = same ? running : other;
        size_t n = strlen(out);

        if (json_integer_value(json_object_get(stage, "time_us")) < now_us - GONE_US)
            continue;
        ctl_plain(key, instance, sizeof instance);
        if (same)
            snprintf(out + n, sizeof running - n, "%s%s", n ? ", " : "", instance);
        else
            snprintf(out + n, sizeof other - n, "%s%s is %.40s", n ? ", " : "", instance,
                     version ? version : "unknown");
    }
    ctl_line(lines, CTL_PASS, "kafka", NULL, "lockstep %s with librdkafka %s here%s%s", LS_VERSION,
             rd_kafka_version_str(), running[0] ? ", the same Lockstep in " : "", running);
    if (other[0])
        ctl_line(
            lines, CTL_WARN, "kafka",
            "upgrade capture, transform, apply in this order: an older one does not read what a "
            "newer one writes",
            "another Lockstep runs: %s", other);
}

void
check_versions(struct check *check)
{
    json_t *stages = NULL;
    struct ls_err err = {0};

    /* where the topic is not there, or may not be read, other lines say so */
    (void)ctl_status_load(check->config, &stages, &err);
    ctl_versions_line(stages, ls_now_us(), check->lines);
    json_decref(stages);
}
