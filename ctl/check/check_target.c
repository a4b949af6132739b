/*
 * check: the target.
 *
 * What only shows when it is too late: a machine key that is refused, a storage id of another
 * oCIS, a Graph that does not know its admin, settings under which links or names are refused.
 * Settings are not all readable: /ocs/v1.php/cloud/capabilities says whether links must have a
 * password, and only the proxy serves it (target.graph may be the graph service itself); the
 * rest is a note with the setting's name. Nothing is created there.
 */
#include "apply/cs3/cs3.h"
#include "apply/cs3/graph.h"
#include "apply/cs3/http.h"
#include "ctl/check/check_people.h"
#include "ctl/check/check_room.h"
#include <stdlib.h>
#include <string.h>

struct at {
    struct check *check;
    struct cs3_client *cs3;
    struct ap_http *http;
    struct ap_graph *graph;
    const char *user;
    size_t n_spaces, n_other; /* of the storage id that is configured, and of others */
    char storage_id[AP_ID_SIZE];
    char drive[2 * AP_ID_SIZE + 2]; /* his own space; "" when he has none */
    bool answers;                   /* Graph */
    int64_t max_quota;              /* of any space; 0: no limit, -1: not told */
};

static int
take_space(void *arg, const struct cs3_space_info *space)
{
    struct at *at = arg;
    const char *want = ls_config_str(at->check->config, "target", "storage_id");

    if (strcmp(space->type, "personal") != 0 && strcmp(space->type, "project") != 0)
        return 0;
    at->n_spaces++;
    if (want && strcmp(want, space->storage_id) != 0)
        at->n_other++;
    snprintf(at->storage_id, sizeof at->storage_id, "%s", space->storage_id);
    if (strcmp(space->type, "personal") == 0)
        snprintf(at->drive, sizeof at->drive, "%s$%s", space->storage_id, space->space_id);
    return 0;
}

static void
check_storage_id(struct at *at)
{
    const char *want = ls_config_str(at->check->config, "target", "storage_id");
    struct ctl_lines *lines = at->check->lines;
    struct ls_err err = {0};

    if (cs3_list_spaces(at->cs3, at->user, NULL, take_space, at, &err) < 0)
        ctl_line(lines, CTL_FAIL, "target", "check [target] provider: it is storage-users' address",
                 "spaces of %s: %s", at->user, err.msg);
    else if (at->n_spaces == 0)
        ctl_line(lines, CTL_NOTE, "target", NULL,
                 "%s has no space yet, so the storage id cannot be compared", at->user);
    else if (at->n_other > 0)
        ctl_line(lines, CTL_FAIL, "target",
                 "set [target] storage_id to STORAGE_USERS_MOUNT_ID, or leave it unset",
                 "storage id is %s, not %s", at->storage_id, want);
    else
        ctl_line(lines, CTL_PASS, "target", NULL, "storage id %s", at->storage_id);
}

static void
check_graph(struct at *at)
{
    struct ctl_lines *lines = at->check->lines;
    const char *base = ls_config_str(at->check->config, "target", "graph");
    struct ap_graph_user user;
    struct ls_err err = {0};

    if (ap_http_new(at->check->config, NULL, NULL, &at->http, &err) < 0 ||
        ap_graph_new(at->check->config, at->http, at->cs3, &at->graph, &err) < 0 ||
        ap_graph_user_get(at->graph, at->user, &user, &err) < 0)
        ctl_line(lines, CTL_FAIL, "target",
                 err.code == 401 || err.code == 403 || strcmp(err.cause, "sign-in") == 0
                     ? "check [target] graph_user and graph_password, and that the proxy has "
                       "PROXY_ENABLE_BASIC_AUTH=true"
                     : "check [target] graph and tls_verify",
                 "Graph at %s: %s", base, err.msg);
    else {
        at->answers = true;
        ctl_line(lines, CTL_PASS, "target", NULL, "Graph at %s knows %s", base, at->user);
    }
}

/* The public capabilities; NULL where they are not served. */
static json_t *
capabilities(struct at *at)
{
    const char *base = ls_config_str(at->check->config, "target", "graph");
    size_t n = strlen(base);
    struct ap_http_reply reply = {0};
    struct ap_http_request request = {.label = "capabilities", .method = "GET"};
    json_t *document = NULL, *found;
    char url[1024];
    struct ls_err err = {0};

    while (n > 0 && base[n - 1] == '/')
        n--;
    if (!at->http || n < 6 || n > 900 || strncmp(base + n - 6, "/graph", 6) != 0)
        return NULL;
    snprintf(url, sizeof url, "%.*s/ocs/v1.php/cloud/capabilities?format=json", (int)(n - 6), base);
    request.url = url;
    ls_buf_init(&reply.body, 1 << 20);
    if (ap_http_do(at->http, &request, &reply, &err) == 0 && reply.status == 200)
        document = json_loadb((const char *)reply.body.p, reply.body.n, 0, NULL);
    ls_buf_free(&reply.body);
    found =
        json_object_get(json_object_get(json_object_get(document, "ocs"), "data"), "capabilities");
    json_incref(found);
    json_decref(document);
    return found;
}

static const struct {
    const char *flag, *setting;
} link_flags[] = {
    {"read_only", "OCIS_SHARING_PUBLIC_SHARE_MUST_HAVE_PASSWORD"},
    {"read_write", "OCIS_SHARING_PUBLIC_WRITEABLE_SHARE_MUST_HAVE_PASSWORD"},
};

static void
check_links(struct at *at, const json_t *caps)
{
    struct ctl_lines *lines = at->check->lines;
    const json_t *flags = json_object_get(caps, "files_sharing");
    long long n = check_count(at->check, "links without a password",
                              "SELECT COUNT(*) FROM {p}share WHERE share_type=3 AND (share_with IS "
                              "NULL OR share_with='')");

    if (n <= 0)
        return;
    flags = json_object_get(json_object_get(json_object_get(flags, "public"), "password"),
                            "enforced_for");
    if (!flags) {
        ctl_line(
            lines, CTL_WARN, "target",
            "OCIS_SHARING_PUBLIC_SHARE_MUST_HAVE_PASSWORD=false and "
            "OCIS_SHARING_PUBLIC_WRITEABLE_SHARE_MUST_HAVE_PASSWORD=false, or they are refused",
            "%lld links without a password; whether oCIS takes them cannot be read here", n);
        return;
    }
    for (size_t i = 0; i < sizeof link_flags / sizeof link_flags[0]; i++) {
        bool enforced = json_is_true(json_object_get(flags, link_flags[i].flag));
        ctl_line(lines, enforced ? CTL_FAIL : CTL_PASS, "target",
                 enforced ? "set it to false until all links are carried" : NULL, "%s=%s%s",
                 link_flags[i].setting, enforced ? "true" : "false",
                 enforced ? ": links without a password are refused" : "");
    }
}

static void
check_names(struct at *at)
{
    bool create = strcmp(ls_config_str(at->check->config, "people", "mode"), "create") == 0;
    long long n = check_count(at->check, "user names beyond oCIS's default",
                              "SELECT COUNT(*) FROM {p}accounts WHERE state<>3 AND user_id NOT "
                              "REGEXP '^[a-zA-Z_][a-zA-Z0-9._-]*$'");

    if (n > 0 && create)
        ctl_line(
            at->check->lines, CTL_WARN, "target",
            "set GRAPH_USERNAME_MATCH=none in oCIS, or they cannot be made (it cannot be read)",
            "%lld user names have characters beyond letters, digits and ._-", n);
    else if (n == 0)
        ctl_line(at->check->lines, CTL_PASS, "target", NULL,
                 "every user name fits oCIS's default pattern");
}

/* What is left on the storage: of a space without a quota that is what the driver counts. -1 when
 * it does not. */
static int64_t
room(struct at *at)
{
    int64_t total = 0, left = -1;
    struct ls_err err = {0};

    if (!at->graph || !at->drive[0] ||
        ap_graph_drive_room(at->graph, at->drive, &total, &left, &err) < 0 || total > 0)
        return -1;
    return left;
}

/* Credentials that are used only when shares are written, or a disabled user is looked at: a wrong
 * one would show in the middle of the migration. */
static void
check_credentials(struct at *at)
{
    const struct ls_config *config = at->check->config;
    struct ctl_lines *lines = at->check->lines;
    struct cs3_client *system = NULL;
    struct ls_err err = {0};

    if (ls_config_str(config, "target", "service_account_id")) {
        bool good = cs3_sign_in(at->cs3, CS3_SERVICE_ACCOUNT, NULL, &err) == 0;
        ctl_line(lines, good ? CTL_PASS : CTL_FAIL, "target",
                 good ? NULL : "check [target] service_account_id and service_account_secret",
                 "service account%s%s", good ? "" : ": ", good ? " signs in" : err.msg);
    }
    if (ls_config_str(config, "target", "system_user_id") &&
        ls_config_str(config, "target", "system_user_key")) {
        bool good = cs3_system_client_new(config, NULL, NULL, &system, &err) == 0 &&
                    cs3_sign_in(system, cs3_system_user(system), NULL, &err) == 0;
        ctl_line(lines, good ? CTL_PASS : CTL_FAIL, "target",
                 good ? NULL
                      : "check [target] system, system_user_id and system_user_key: shares are "
                        "written with them",
                 "system user%s%s", good ? "" : ": ", good ? " signs in" : err.msg);
        cs3_client_free(system);
    }
}

static void
check_settings(struct at *at)
{
    json_t *caps = capabilities(at);
    const json_t *status = json_object_get(json_object_get(caps, "core"), "status");
    const char *version = json_string_value(json_object_get(status, "productversion"));
    const json_t *found;

    if (version)
        ctl_line(at->check->lines, CTL_PASS, "target", NULL, "%s %s",
                 json_string_value(json_object_get(status, "productname"))
                     ? json_string_value(json_object_get(status, "productname"))
                     : "oCIS",
                 version);
    else
        ctl_line(
            at->check->lines, CTL_NOTE, "target",
            "oCIS 7 is what was tried; [target] graph by the proxy (https://.../graph) would tell",
            "the version of oCIS cannot be read here");
    found = json_object_get(json_object_get(caps, "spaces"), "max_quota");
    at->max_quota = json_is_integer(found) ? json_integer_value(found) : -1;
    check_links(at, caps);
    check_names(at);
    ctl_line(at->check->lines, CTL_NOTE, "target",
             "OCIS_ASYNC_UPLOADS=false during the migration: with it each file is first \"in "
             "processing\" and takes longer",
             "asynchronous uploads cannot be read from outside");
    json_decref(caps);
}

void
check_target(struct check *check)
{
    const struct ls_config *config = check->config;
    struct at at = {.check = check, .user = ls_config_str(config, "target", "graph_user")};
    const char *gateway = ls_config_str(config, "target", "gateway");
    const char *provider = ls_config_str(config, "target", "provider");
    char id[AP_ID_SIZE];
    struct ls_err err = {0};

    if (cs3_client_new(config, NULL, NULL, &at.cs3, &err) < 0) {
        ctl_line(check->lines, CTL_FAIL, "target", "set [target] machine_key or machine_key_file",
                 "%s", err.msg);
    } else if (cs3_ping(at.cs3, &err) < 0) {
        ctl_line(check->lines, CTL_FAIL, "target",
                 "check [target] gateway and provider, and that oCIS runs",
                 "gateway %s, provider "
                 "%s: %s",
                 gateway, provider, err.msg);
    } else {
        ctl_line(check->lines, CTL_PASS, "target", NULL, "gateway %s and provider %s answer",
                 gateway, provider);
        if (cs3_sign_in(at.cs3, at.user, id, &err) < 0) {
            ctl_line(check->lines, CTL_FAIL, "target",
                     strcmp(err.cause, "target-config") == 0
                         ? "machine_key must be OCIS_MACHINE_AUTH_API_KEY of this oCIS"
                         : "check [target] graph_user: he must exist and be enabled",
                     "machine sign-in as %s: %s", at.user, err.msg);
        } else {
            ctl_line(check->lines, CTL_PASS, "target", NULL, "machine sign-in as %s", at.user);
            check_storage_id(&at);
            check_credentials(&at);
        }
    }
    if (at.cs3)
        check_graph(&at);
    check_people(check, at.answers ? at.graph : NULL);
    check_settings(&at);
    check_room(check, at.max_quota, room(&at));
    ap_graph_free(at.graph);
    ap_http_free(at.http);
    cs3_client_free(at.cs3);
}
