/*
 * lockstep-transform: rows of ownCloud 10 to desired states of oCIS.
 *
 * Start, run, and one exit status for each way to end (common/err.h). At the start Kafka may not be
 * there yet: that is waited for.
 */
#include "common/log.h"
#include "common/run.h"
#include "transform/pipeline.h"

#include <string.h>

static const struct {
    const char *cause;
    enum ls_exit status;
} exits[] = {
    {"fenced", LS_EXIT_FENCED},
    {"offset-lost", LS_EXIT_PURGED},
    {"config", LS_EXIT_USAGE},
    {"control-key", LS_EXIT_USAGE},
    {"topics", LS_EXIT_KAFKA},
    {"kafka-authentication", LS_EXIT_KAFKA},
    {"kafka-authorization", LS_EXIT_KAFKA},
    {"kafka-policy", LS_EXIT_KAFKA},
    {"kafka-version", LS_EXIT_KAFKA},
    {"kafka", LS_EXIT_KAFKA},
    {"registry", LS_EXIT_KAFKA},
    {"registry-auth", LS_EXIT_KAFKA},
    {"registry-incompatible", LS_EXIT_KAFKA},
};

static int
exit_status(const struct ls_err *err)
{
    if (err->kind == LS_ERR_RETRY) /* nobody has to mend it: a new start may be all */
        return LS_EXIT_FAILURE;
    for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++) {
        if (strcmp(err->cause, exits[i].cause) == 0)
            return (int)exits[i].status;
    }
    return LS_EXIT_FAILURE;
}

static int
start(const struct ls_config *config, struct tf_status *status, struct tf_pipeline **ret,
      struct ls_err *err)
{
    struct ls_backoff backoff = {.first_ms = 200, .max_ms = 10000};

    while (tf_pipeline_new(config, status, ret, err) < 0) {
        if (err->kind != LS_ERR_RETRY || ls_run_stopping())
            return -1;
        ls_log_err(LS_WARN, "start-retry", err);
        ls_run_notify_ready();
        ls_run_notify_state(err->msg);
        ls_run_sleep_ms(ls_backoff_next_ms(&backoff));
    }
    return 0;
}

int
main(int argc, char **argv)
{
    struct ls_config *config = NULL;
    struct tf_status *status = NULL;
    struct tf_pipeline *pipeline = NULL;
    struct ls_err err = {0};
    int code = LS_EXIT_OK, r;

    ls_log_init("lockstep-transform", LS_INFO);
    r = ls_config_main(argc, argv, "lockstep-transform", NULL, NULL, &config, &code, &err);
    if (r > 0)
        return code;
    if (r < 0) {
        ls_log_err(LS_ERROR, "configuration", &err);
        return code;
    }
    ls_run_signals();
    if (tf_status_new(config, &status, &err) < 0 || start(config, status, &pipeline, &err) < 0)
        goto out;
    ls_log(LS_INFO, "started", LS_S("version", LS_VERSION),
           LS_S("instance", ls_config_str(config, "lockstep", "instance")));
    ls_run_notify_ready();
    if (tf_pipeline_run(pipeline, &err) == 0)
        err = (struct ls_err){0};
out:
    if (err.kind != LS_ERR_NONE && !(err.kind == LS_ERR_RETRY && ls_run_stopping())) {
        ls_log_err(LS_ERROR, "stopped", &err);
        code = exit_status(&err);
    } else {
        ls_log(LS_INFO, "stopped");
    }
    tf_pipeline_free(pipeline);
    tf_status_free(status);
    ls_config_free(config);
    return code;
}
