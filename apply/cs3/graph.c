/*
 * Graph, as far as people go.
 *
 * The target's ways, measured: a mail address it finds invalid (an empty or a non-ASCII one)
 * fails the whole user, so he is made without one; any name but the empty one is taken as it is,
 * and the empty one is called taken; making a member twice is fine, unmaking one twice is 404.
 * Names and ids go into the path percent-encoded, byte by byte.
 *
 * A proxy may answer in its place while it is away, with a page and any status: 200 would be taken
 * for done, 404 for somebody who is not there. Graph answers with JSON or with nothing, and its 404
 * names an error.
 */
#include "apply/cs3/graph.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { REPLY_CAP = 4 << 20, PASSWORD_LEN = 32, URL_MAX = 65536 };

struct ap_graph {
    struct ap_http *http;
    struct cs3_client *cs3;
    char *base, *user, *password, *as;
};

int
ap_graph_new(const struct ls_config *config, struct ap_http *http, struct cs3_client *cs3,
             struct ap_graph **ret, struct ls_err *err)
{
    struct ap_graph *graph = calloc(1, sizeof(*graph));
    const char *base = ls_config_str(config, "target", "graph");
    const char *user = ls_config_str(config, "target", "graph_user");
    const char *password = ls_config_str(config, "target", "graph_password");

    if (!graph)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    graph->http = http;
    graph->cs3 = cs3;
    graph->base = strdup(base ? base : "");
    graph->user = strdup(user ? user : "");
    graph->password = password ? strdup(password) : NULL;
    if (asprintf(&graph->as, CS3_NAMED "%s", user ? user : "") < 0)
        graph->as = NULL;
    if (!graph->as || !graph->base || !graph->user || (password && !graph->password)) {
        ap_graph_free(graph);
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    }
    *ret = graph;
    return 0;
}

void
ap_graph_free(struct ap_graph *graph)
{
    if (!graph)
        return;
    if (graph->password)
        explicit_bzero(graph->password, strlen(graph->password));
    free(graph->password);
    free(graph->as);
    free(graph->user);
    free(graph->base);
    free(graph);
}

const char *
ap_graph_as(const struct ap_graph *graph)
{
    return graph->as;
}

/* ---- requests */
static void
escape(struct ls_buf *out, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '~')
            ls_buf_append(out, &c, 1);
        else
            ls_buf_printf(out, "%%%02X", c);
    }
}

/* base + "/v1.0/" + parts; every second part is a name to be escaped. */
static int
url_make(const struct ap_graph *graph, struct ls_buf *out, const char *const *parts, size_t n,
         struct ls_err *err)
{
    size_t len = strlen(graph->base);

    while (len && graph->base[len - 1] == '/')
        len--;
    ls_buf_clear(out);
    ls_buf_append(out, graph->base, len);
    ls_buf_append(out, "/v1.0/", 6);
    for (size_t i = 0; i < n; i++)
        if (i % 2)
            escape(out, parts[i]);
        else
            ls_buf_append(out, parts[i], strlen(parts[i]));
    if (!ls_buf_text(out))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a name too long for a URL");
    return 0;
}

/* One request; a token that is refused is renewed once. The body (may be NULL) is stolen. */
static int
request_do(struct ap_graph *graph, struct ap_http_request *request, struct ap_http_reply *reply,
           struct ls_err *err)
{
    char *token = NULL, *refused = NULL;
    int r = -1;

    if (graph->password) {
        request->user = graph->user;
        request->password = graph->password;
        return ap_http_do(graph->http, request, reply, err);
    }
    for (int try = 0; try < 2; try++) {
        if (cs3_token(graph->cs3, graph->as, refused, &token, err) < 0)
            goto out;
        request->token = token;
        r = ap_http_do(graph->http, request, reply, err);
        if (r < 0 || reply->status != 401)
            goto out;
        free(refused);
        refused = token;
        token = NULL;
    }
out:
    request->token = NULL;
    free(token);
    free(refused);
    return r;
}

static bool
is_graphs_own(const struct ap_http_reply *reply)
{
    json_t *json = json_loadb((const char *)reply->body.p, reply->body.n, 0, NULL);
    bool own = reply->status == 404 ? json_is_object(json_object_get(json, "error"))
                                    : json || reply->body.n == 0;

    json_decref(json);
    return own;
}

/* Calls, and parses an answer of 2xx into *ret_json (may be NULL). Returns the HTTP status, or -1
 * when there was no answer; what a status other than 2xx means is the caller's. */
static long
graph_call(struct ap_graph *graph, const char *method, const char *label, const char *const *parts,
           size_t n_parts, const json_t *body, json_t **ret_json, struct ls_err *err)
{
    struct ap_http_request request = {.label = label, .method = method};
    struct ap_http_reply reply = {0};
    char *text = NULL;
    struct ls_buf url;
    long status = -1;

    ls_buf_init(&url, URL_MAX);
    ls_buf_init(&reply.body, REPLY_CAP);
    if (url_make(graph, &url, parts, n_parts, err) < 0)
        goto out;
    request.url = ls_buf_text(&url);
    if (body) {
        text = json_dumps(body, JSON_COMPACT);
        if (!text) {
            ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a name that is not UTF-8");
            goto out;
        }
        request.content_type = "application/json";
        request.body = text;
        request.body_len = strlen(text);
    }
    if (request_do(graph, &request, &reply, err) < 0)
        goto out;
    status = reply.status;
    if (status == 401) { /* also what its proxy says while the target starts */
        ls_fail_cause(err, LS_ERR_RETRY, 401, "target-down",
                      "%s: Graph refuses target.graph_user: HTTP 401", label);
        status = -1;
    } else if (status == 403) { /* also while the service that knows the roles is away */
        ls_fail_cause(err, LS_ERR_RETRY, 403, "graph-refused",
                      "%s: target.graph_user may not do that: HTTP 403", label);
        status = -1;
    } else if ((status == 404 || (status / 100 == 2 && !ret_json)) && !is_graphs_own(&reply)) {
        ls_fail_cause(err, LS_ERR_RETRY, (int)status, "target-down",
                      "%s: HTTP %ld, but not of Graph", label, status);
        status = -1;
    } else if (status / 100 != 2) {
        ap_http_fail(&request, &reply, err);
    } else if (ret_json) {
        *ret_json = json_loadb((const char *)reply.body.p, reply.body.n, 0, NULL);
        if (!*ret_json) {
            ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s: an answer that is no JSON", label);
            status = -1;
        }
    }
out:
    if (text) {
        explicit_bzero(text, strlen(text)); /* it may hold a password */
        free(text);
    }
    ls_buf_free(&url);
    ls_buf_free(&reply.body);
    return status;
}

static int
id_give(const json_t *json, char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    const char *id = json_string_value(json_object_get(json, "id"));

    if (!id || !*id || strlen(id) >= AP_ID_SIZE)
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "Graph: an answer without an id");
    snprintf(ret_id, AP_ID_SIZE, "%s", id);
    return 0;
}

static int
missing(const char *what, const char *name, struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_RETRY, 404, "grantee-missing", "the target has no %s \"%s\"",
                         what, name);
}

/* ---- users */
static int
user_give(const json_t *json, struct ap_graph_user *ret, struct ls_err *err)
{
    const char *name = json_string_value(json_object_get(json, "displayName"));
    struct ap_graph_user user = {.enabled = true};

    if (id_give(json, user.id, err) < 0)
        return -1;
    snprintf(user.display_name, sizeof(user.display_name), "%s", name ? name : "");
    name = json_string_value(json_object_get(json, "onPremisesSamAccountName"));
    snprintf(user.name, sizeof(user.name), "%s", name ? name : "");
    if (json_is_false(json_object_get(json, "accountEnabled")))
        user.enabled = false;
    *ret = user;
    return 0;
}

int
ap_graph_user_get(struct ap_graph *graph, const char *name, struct ap_graph_user *ret,
                  struct ls_err *err)
{
    const char *const parts[] = {"users/", name};
    json_t *json = NULL;
    long status;
    int r;

    if (!*name)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a user without a name");
    status = graph_call(graph, "GET", "graph GET user", parts, 2, NULL, &json, err);
    if (status == 404)
        return missing("user", name, err);
    if (status / 100 != 2)
        return -1;
    r = user_give(json, ret, err);
    json_decref(json);
    return r;
}

/* A name that looks like somebody's id is found as well: that is not him. */
int
ap_graph_user_by_id(struct ap_graph *graph, const char *id, struct ap_graph_user *ret,
                    struct ls_err *err)
{
    struct ap_graph_user user;

    if (ap_graph_user_get(graph, id, &user, err) < 0)
        return -1;
    if (strcasecmp(user.id, id) != 0)
        return missing("user", id, err);
    *ret = user;
    return 0;
}

int
ap_graph_user_of(struct ap_graph *graph, const char *as, struct ap_graph_user *ret,
                 struct ls_err *err)
{
    char id[AP_ID_SIZE];

    switch (cs3_match_of(graph->cs3, as, id)) {
    case CS3_BY_ID:
        return ap_graph_user_by_id(graph, id, ret, err);
    case CS3_NOBODY:
        return missing("user", as, err);
    default:
        return ap_graph_user_get(graph, as, ret, err);
    }
}

/* Letters, digits and a sign of each kind, so that it meets any policy. */
static int
password_make(char out[PASSWORD_LEN + 1], struct ls_err *err)
{
    static const char signs[] = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789-_.!";
    uint8_t random[PASSWORD_LEN];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return ls_fail(err, LS_ERR_RETRY, errno, "no random numbers");
    for (int i = 0; i < PASSWORD_LEN; i++)
        out[i] = signs[random[i] % (sizeof(signs) - 1)];
    memcpy(out, "aZ7!", 4);
    out[PASSWORD_LEN] = '\0';
    return 0;
}

static long
user_post(struct ap_graph *graph, const char *name, const char *display_name, const char *mail,
          json_t **ret_json, struct ls_err *err)
{
    const char *const parts[] = {"users"};
    char password[PASSWORD_LEN + 1];
    json_t *body;
    long status;

    if (password_make(password, err) < 0)
        return -1;
    body = json_pack("{s:s, s:s, s:{s:s}}", "onPremisesSamAccountName", name, "displayName",
                     display_name, "passwordProfile", "password", password);
    explicit_bzero(password, sizeof(password));
    if (!body) {
        ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a name that is not UTF-8");
        return -1;
    }
    if (mail)
        json_object_set_new(body, "mail", json_string(mail));
    status = graph_call(graph, "POST", "graph POST user", parts, 1, body, ret_json, err);
    json_decref(body);
    return status;
}

int
ap_graph_user_create(struct ap_graph *graph, const char *name, const char *display_name,
                     const char *mail, struct ap_graph_user *ret, struct ls_err *err)
{
    json_t *json = NULL;
    long status;
    int r;

    if (!*name)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a user without a name");
    status = user_post(graph, name, display_name, mail, &json, err);
    if (status == 400 && mail)
        status = user_post(graph, name, display_name, NULL, &json, err);
    if (status == 400)
        return ls_fail_cause(err, LS_ERR_POISON, 400, "name-refused",
                             "Graph refuses the user \"%s\"", name);
    if (status / 100 != 2)
        return -1;
    r = user_give(json, ret, err);
    json_decref(json);
    return r;
}

/* The answer's status, or -1. */
static long
user_patch(struct ap_graph *graph, const char *user_id, json_t *body, struct ls_err *err)
{
    const char *const parts[] = {"users/", user_id};
    long status;

    if (!body) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        return -1;
    }
    status = graph_call(graph, "PATCH", "graph PATCH user", parts, 2, body, NULL, err);
    json_decref(body);
    return status;
}

int
ap_graph_user_update(struct ap_graph *graph, const char *user_id, const char *display_name,
                     const char *mail, struct ls_err *err)
{
    struct ls_err why = {0};
    long status;

    if (!display_name && !mail)
        return 0;
    status = user_patch(graph, user_id,
                        json_pack("{s:s*, s:s*}", "displayName", display_name, "mail", mail), &why);
    if (status == 400 && mail)
        return ap_graph_user_update(graph, user_id, display_name, NULL, err);
    if (status / 100 == 2)
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
ap_graph_user_enable(struct ap_graph *graph, const char *user_id, bool enabled, struct ls_err *err)
{
    json_t *body = json_pack("{s:b}", "accountEnabled", enabled ? 1 : 0);

    return user_patch(graph, user_id, body, err) / 100 == 2 ? 0 : -1;
}

/* ---- roles */
#define USER_ROLE "d7beeea8-8ff4-406b-8fb6-ab2dd81e6b11" /* "User", the same in every oCIS */

static int
has_role(struct ap_graph *graph, const char *user_id, bool *ret, struct ls_err *err)
{
    const char *const parts[] = {"users/", user_id, "/appRoleAssignments"};
    json_t *json = NULL, *list;
    long status = graph_call(graph, "GET", "graph GET roles", parts, 3, NULL, &json, err);

    if (status / 100 != 2)
        return -1;
    list = json_object_get(json, "value");
    *ret = json_array_size(list) > 0;
    status = json_is_array(list) ? 0 : -1;
    json_decref(json);
    return status == 0
               ? 0
               : ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "Graph: roles that are no list");
}

/* The id of the application that has the role: roles are given for it. */
static int
application_get(struct ap_graph *graph, char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    const char *const parts[] = {"applications"};
    json_t *json = NULL, *application, *role;
    size_t i, k;
    int r = -1;
    long status = graph_call(graph, "GET", "graph GET applications", parts, 1, NULL, &json, err);

    if (status / 100 != 2)
        return -1;
    json_array_foreach(json_object_get(json, "value"), i, application)
    {
        json_array_foreach(json_object_get(application, "appRoles"), k, role)
        {
            const char *id = json_string_value(json_object_get(role, "id"));
            if (r < 0 && id && !strcmp(id, USER_ROLE))
                r = id_give(application, ret_id, err);
        }
    }
    json_decref(json);
    return r == 0 ? 0
                  : ls_fail_cause(err, LS_ERR_RETRY, 0, "internal",
                                  "Graph: no application has the role User");
}

int
ap_graph_role_give(struct ap_graph *graph, const char *user_id, bool *ret, struct ls_err *err)
{
    const char *const parts[] = {"users/", user_id, "/appRoleAssignments"};
    char application[AP_ID_SIZE];
    bool has = false;
    json_t *body;
    long status;

    if (has_role(graph, user_id, &has, err) < 0)
        return -1;
    *ret = !has;
    if (has)
        return 0;
    if (application_get(graph, application, err) < 0)
        return -1;
    body = json_pack("{s:s, s:s, s:s}", "appRoleId", USER_ROLE, "principalId", user_id,
                     "resourceId", application);
    if (!body)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    status = graph_call(graph, "POST", "graph POST role", parts, 3, body, NULL, err);
    json_decref(body);
    return status / 100 == 2 ? 0 : -1;
}

/* ---- spaces */
int
ap_graph_drive_quota(struct ap_graph *graph, const char *drive, int64_t bytes, struct ls_err *err)
{
    const char *const parts[] = {"drives/", drive};
    json_t *body = json_pack("{s:{s:I}}", "quota", "total", (json_int_t)bytes);
    long status;

    if (!body)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    status = graph_call(graph, "PATCH", "graph PATCH drive", parts, 2, body, NULL, err);
    json_decref(body);
    if (status == 404)
        return ls_fail_cause(err, LS_ERR_RETRY, 404, "gone", "the target has no space %s", drive);
    return status / 100 == 2 ? 0 : -1;
}

/* A number of a drive's quota; `missing` where it is left out. */
static int
quota_number(const json_t *drive, const char *key, int64_t missing, int64_t *ret,
             struct ls_err *err)
{
    const json_t *value = json_object_get(json_object_get(drive, "quota"), key);

    if (value && !json_is_null(value) && !json_is_integer(value))
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "Graph: a quota that is no number");
    *ret = json_is_integer(value) ? json_integer_value(value) : missing;
    return 0;
}

static int
drive_get(struct ap_graph *graph, const char *drive, json_t **ret, struct ls_err *err)
{
    const char *const parts[] = {"drives/", drive};
    long status = graph_call(graph, "GET", "graph GET drive", parts, 2, NULL, ret, err);

    if (status == 404)
        return ls_fail_cause(err, LS_ERR_RETRY, 404, "gone", "the target has no space %s", drive);
    return status / 100 == 2 ? 0 : -1;
}

int
ap_graph_drive_quota_get(struct ap_graph *graph, const char *drive, int64_t *ret_bytes,
                         struct ls_err *err)
{
    json_t *json = NULL;
    int r;

    if (drive_get(graph, drive, &json, err) < 0)
        return -1;
    r = quota_number(json, "total", 0, ret_bytes, err); /* 0 is left out */
    json_decref(json);
    return r;
}

int
ap_graph_drive_room(struct ap_graph *graph, const char *drive, int64_t *ret_bytes,
                    int64_t *ret_left, struct ls_err *err)
{
    json_t *json = NULL;
    int r;

    if (drive_get(graph, drive, &json, err) < 0)
        return -1;
    r = quota_number(json, "total", 0, ret_bytes, err);
    if (r == 0)
        r = quota_number(json, "remaining", -1, ret_left, err);
    json_decref(json);
    return r;
}

/* ---- groups */
/* His groups are asked for: there are fewer of them than a group has members. */
int
ap_graph_member_get(struct ap_graph *graph, const char *group_id, const char *user_id, bool *ret,
                    struct ls_err *err)
{
    const char *const parts[] = {"users/", user_id, "?$expand=memberOf"};
    json_t *json = NULL, *group;
    const char *id;
    size_t i;
    long status = graph_call(graph, "GET", "graph GET user", parts, 3, NULL, &json, err);

    if (status == 404)
        return missing("user", user_id, err);
    if (status / 100 != 2)
        return -1;
    *ret = false;
    json_array_foreach(json_object_get(json, "memberOf"), i, group)
    {
        id = json_string_value(json_object_get(group, "id"));
        if (id && !strcmp(id, group_id))
            *ret = true;
    }
    json_decref(json);
    return 0;
}

int
ap_graph_group_get(struct ap_graph *graph, const char *name, char ret_id[AP_ID_SIZE],
                   struct ls_err *err)
{
    const char *const parts[] = {"groups/", name};
    json_t *json = NULL;
    long status;
    int r;

    if (!*name)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a group without a name");
    status = graph_call(graph, "GET", "graph GET group", parts, 2, NULL, &json, err);
    if (status == 404)
        return missing("group", name, err);
    if (status / 100 != 2)
        return -1;
    r = id_give(json, ret_id, err);
    json_decref(json);
    return r;
}

int
ap_graph_group_by_id(struct ap_graph *graph, const char *id, char ret_id[AP_ID_SIZE],
                     struct ls_err *err)
{
    char found[AP_ID_SIZE];

    if (ap_graph_group_get(graph, id, found, err) < 0)
        return -1;
    if (strcasecmp(found, id) != 0)
        return missing("group", id, err);
    memcpy(ret_id, found, sizeof(found));
    return 0;
}

int
ap_graph_group_create(struct ap_graph *graph, const char *name, char ret_id[AP_ID_SIZE],
                      struct ls_err *err)
{
    const char *const parts[] = {"groups"};
    json_t *body = json_pack("{s:s}", "displayName", name), *json = NULL;
    long status;
    int r;

    if (!body)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused", "a name that is not UTF-8");
    status = graph_call(graph, "POST", "graph POST group", parts, 1, body, &json, err);
    json_decref(body);
    if (status == 400)
        return ls_fail_cause(err, LS_ERR_POISON, 400, "name-refused",
                             "Graph refuses the group \"%s\"", name);
    if (status / 100 != 2)
        return -1;
    r = id_give(json, ret_id, err);
    json_decref(json);
    return r;
}

int
ap_graph_group_remove(struct ap_graph *graph, const char *group_id, struct ls_err *err)
{
    const char *const parts[] = {"groups/", group_id};
    long status = graph_call(graph, "DELETE", "graph DELETE group", parts, 2, NULL, NULL, err);

    return status / 100 == 2 || status == 404 ? 0 : -1;
}

/* A group that goes in the same moment is refused with 405, as one that nobody may change. */
static int
member_remove(struct ap_graph *graph, const char *group_id, const char *user_id, struct ls_err *err)
{
    const char *const parts[] = {"groups/", group_id, "/members/", user_id, "/$ref"};
    struct ls_err why = {0}, missing = {0};
    bool is = true;
    long status = graph_call(graph, "DELETE", "graph DELETE member", parts, 5, NULL, NULL, &why);

    if (status / 100 == 2 || status == 404)
        return 0;
    if (status == 405 && (ap_graph_member_get(graph, group_id, user_id, &is, &missing) == 0
                              ? !is
                              : ap_cause_is(&missing, "grantee-missing")))
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
ap_graph_member_set(struct ap_graph *graph, const char *group_id, const char *user_id, bool member,
                    struct ls_err *err)
{
    const char *const add[] = {"groups/", group_id, "/members/$ref"};
    json_t *body = NULL;
    char *target = NULL;
    long status;

    if (!member)
        return member_remove(graph, group_id, user_id, err);
    if (asprintf(&target, "%s/v1.0/users/%s", graph->base, user_id) < 0)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    body = json_pack("{s:s}", "@odata.id", target);
    free(target);
    if (!body)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    status = graph_call(graph, "POST", "graph POST member", add, 3, body, NULL, err);
    json_decref(body);
    return status / 100 == 2 ? 0 : -1;
}
