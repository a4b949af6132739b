/*
 * oCIS's side of verify, over the same CS3 client as apply but with none of its state.
 *
 * Every user is looked at as himself (impersonated), so what is compared is what he will see. A
 * space is found by listing, not from the ledger.
 */
#include "ctl/verify/target_room.h"
#include <stdlib.h>

static int
open_service(struct target *target, const struct ls_config *config, struct ls_err *err)
{
    const char *id = ls_config_str(config, "target", "service_account_id");
    const char *secret = ls_config_str(config, "target", "service_account_secret");

    if (!id && !secret)
        return 0;
    if (ap_graph_new(config, target->http, target->cs3, &target->graph, err) < 0)
        return -1;
    /* a wrong secret is said now, not by the first disabled user */
    return cs3_sign_in(target->cs3, CS3_SERVICE_ACCOUNT, NULL, err);
}

/* Whether it answers, and tells of spaces, shows with the first one that is asked for. */
static int
open_quotas(struct target *target, const struct ls_config *config, struct ls_err *err)
{
    const char *name = ls_config_str(config, "target", "graph_user");

    return name ? ap_graph_new(config, target->http, target->cs3, &target->quotas, err) : 0;
}

int
target_open(const struct ls_config *config, struct target **ret, struct ls_err *err)
{
    struct target *target = calloc(1, sizeof *target);

    if (!target)
        return ls_fail(err, LS_ERR_FATAL, 0, "out of memory");
    target->config = config;
    pthread_mutex_init(&target->lock, NULL);
    pthread_mutex_init(&target->homes_lock, NULL);
    pthread_mutex_init(&target->away_lock, NULL);
    if (cs3_client_new(config, NULL, NULL, &target->cs3, err) < 0 ||
        ap_http_new(config, NULL, NULL, &target->http, err) < 0 ||
        ap_data_new(config, target->http, target->cs3, &target->data, err) < 0 ||
        cs3_ping(target->cs3, err) < 0 || open_service(target, config, err) < 0 ||
        open_quotas(target, config, err) < 0) {
        target_close(target);
        return -1;
    }
    *ret = target;
    return 0;
}

void
target_close(struct target *target)
{
    if (!target)
        return;
    target_sessions_free(target);
    ap_graph_free(target->quotas);
    ap_graph_free(target->graph);
    ap_data_free(target->data);
    ap_http_free(target->http);
    cs3_client_free(target->cs3);
    pthread_mutex_destroy(&target->away_lock);
    pthread_mutex_destroy(&target->homes_lock);
    pthread_mutex_destroy(&target->lock);
    free(target);
}

bool
target_has_service(const struct target *target)
{
    return target->graph != NULL;
}
