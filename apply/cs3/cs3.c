/*
 * The CS3 client: connections, tokens, and what a status means.
 *
 * Success of a call is said twice: by gRPC (did the call arrive, was the token good) and by the
 * status inside the reply. A token may be refused in either place; it is renewed once, a second
 * refusal is sign-in. Tokens live 86,400 s with default settings; ours are renewed well before.
 * When many workers need the same new token, one signs in and the others wait for it.
 *
 * The gateway answers OK with CODE_NOT_FOUND when a deadline runs out inside it, and while the
 * server stops: a sign-in that finds no user is therefore RETRY, never a verdict. The sharing
 * service then says that somebody lacks the permission, since it was told of none. So what is said
 * when the time is over is no verdict either.
 */
#include "apply/cs3/cs3_call.h"
#include "apply/cs3/grpc.h"
#include "common/run.h"
#include "cs3/types.pb-c.h"
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TOKEN_MS (INT64_C(1000) * 60 * 60 * 20)
#define REQUEST_CAP (1u << 20)
#define LOGIN_SIZE 1024
#define CS3_PATIENCE 4 /* times target.timeout_ms */

struct token {
    char *as; /* key */
    char *text;
    enum cs3_match match;
    char id[AP_ID_SIZE]; /* of BY_ID */
    unsigned matched;    /* how often that has changed */
    struct cs3_user user;
    char *groups; /* their ids, each with a newline before and behind it; NULL: none */
    int64_t got_ms;
    bool busy; /* somebody is signing in */
    struct token *chain;
    UT_hash_handle hh;
};

struct cs3_client {
    struct ap_grpc *gateway, *provider, *sharing;
    char *key;
    const char *key_name;              /* of its option */
    char *system_user;                 /* "userid:<uuid>", or NULL */
    char *service_id, *service_secret; /* may be NULL */
    int timeout_ms;
    ap_call_fn *call_counter;
    void *arg;
    pthread_mutex_t mutex; /* tokens */
    pthread_cond_t signed_in;
    struct token *tokens, *chain;
    enum cs3_match unsaid; /* who somebody is of whom nothing was said */
    cs3_no_user_fn *no_user;
    void *no_user_arg;
};

static const char *const services[] = {
    [CS3_AT_GATEWAY] = "/cs3.gateway.v1beta1.GatewayAPI/",
    [CS3_AT_PROVIDER] = "/cs3.storage.provider.v1beta1.ProviderAPI/",
    [CS3_AT_PROVIDER_SPACES] = "/cs3.storage.provider.v1beta1.SpacesAPI/",
    [CS3_AT_SHARING] = "/cs3.sharing.collaboration.v1beta1.CollaborationAPI/",
};

/* ---- statuses */
static const struct {
    int code;
    enum ls_err_kind kind;
    const char *cause;
} meanings[] = {
    {CS3_CANCELLED, LS_ERR_RETRY, "timeout"},
    {CS3_INVALID_ARGUMENT, LS_ERR_POISON, "refused"},
    {CS3_DEADLINE_EXCEEDED, LS_ERR_RETRY, "timeout"},
    {CS3_NOT_FOUND, LS_ERR_RETRY, "gone"},
    {CS3_ALREADY_EXISTS, LS_ERR_RETRY, "taken"},
    {CS3_PERMISSION_DENIED, LS_ERR_POISON, "denied"},
    {CS3_UNAUTHENTICATED, LS_ERR_RETRY, "sign-in"},
    {CS3_RESOURCE_EXHAUSTED, LS_ERR_RETRY, "slow-down"},
    {CS3_FAILED_PRECONDITION, LS_ERR_RETRY, "parent-gone"},
    {CS3_ABORTED, LS_ERR_RETRY, "busy"},
    {CS3_OUT_OF_RANGE, LS_ERR_POISON, "refused"},
    {CS3_UNIMPLEMENTED, LS_ERR_FATAL, "target-config"},
    {CS3_UNAVAILABLE, LS_ERR_RETRY, "target-down"},
    {CS3_INSUFFICIENT_STORAGE, LS_ERR_RETRY, "quota"},
    {CS3_LOCKED, LS_ERR_RETRY, "busy"},
    {CS3_TOO_EARLY, LS_ERR_RETRY, "busy"},
};

static int
status_check(const char *method, const Cs3__Status *status, struct ls_err *err)
{
    int code = status ? status->code : 0;
    const char *message = status ? cs3_text(status->message) : "a reply without a status";

    if (code == CS3_OK)
        return 0;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].code == code)
            return ls_fail_cause(err, meanings[i].kind, code == CS3_RESOURCE_EXHAUSTED ? 0 : code,
                                 meanings[i].cause, "%s: CS3 status %d: %s", method, code, message);
    return ls_fail_cause(err, LS_ERR_RETRY, code, "internal", "%s: CS3 status %d: %s", method, code,
                         message);
}

/* The field `status` stands at another number in some replies: found by name. */
static const Cs3__Status *
status_of(const ProtobufCMessage *reply)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(reply->descriptor, "status");
    const void *at = field ? (const char *)reply + field->offset : NULL;

    return at ? *(const Cs3__Status *const *)at : NULL;
}

/* ---- one try of one call */

static void
too_late(struct ls_err *err)
{
    struct ls_err why = *err;

    ls_fail_cause(err, LS_ERR_RETRY, why.code, "timeout", "too late: %.200s", why.msg);
}

/* The gateway makes, changes and takes away a share in two steps, and leaves the second undone when
 * its caller's time is over (ocis_shares.c): that shall be rare, however busy it is. */
static int
patience(const char *method)
{
    static const char *const in_steps[] = {"CreateShare", "UpdateShare", "RemoveShare"};

    for (size_t i = 0; i < sizeof(in_steps) / sizeof(in_steps[0]); i++)
        if (strcmp(method, in_steps[i]) == 0)
            return CS3_PATIENCE;
    return 1;
}

static int
call_once(struct cs3_client *client, enum cs3_service service, const char *method,
          const char *token, const ProtobufCMessage *req, const ProtobufCMessageDescriptor *type,
          ProtobufCMessage **ret, struct ls_err *err)
{
    struct ap_grpc *to = service == CS3_AT_GATEWAY   ? client->gateway
                         : service == CS3_AT_SHARING ? client->sharing
                                                     : client->provider;
    size_t len = protobuf_c_message_get_packed_size(req);
    ProtobufCMessage *reply = NULL;
    struct ls_buf body;
    uint8_t *packed = NULL;
    char path[160];
    int deadline_ms = client->timeout_ms * patience(method), r = -1;
    int64_t start = ls_mono_ms();

    ls_buf_init(&body, AP_GRPC_MAX_REPLY);
    if (len > REQUEST_CAP) {
        ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "%s: a request of %zu bytes", method, len);
        goto out;
    }
    packed = malloc(len ? len : 1);
    if (!packed) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    protobuf_c_message_pack(req, packed);
    snprintf(path, sizeof(path), "%s%s", services[service], method);
    if (ap_grpc_call_patient(to, path, token, packed, len, client->timeout_ms, deadline_ms, &body,
                             NULL, err) < 0)
        goto out;
    reply = protobuf_c_message_unpack(type ? type : &cs3__status_reply__descriptor, NULL, body.n,
                                      body.p);
    if (!reply) {
        ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "%s: a reply that is no message", method);
        goto out;
    }
    if (status_check(method, status_of(reply), err) < 0) {
        if (to != client->provider && ls_mono_ms() - start >= deadline_ms)
            too_late(err);
        goto out;
    }
    if (ret) {
        *ret = reply;
        reply = NULL;
    }
    r = 0;
out:
    if (reply)
        protobuf_c_message_free_unpacked(reply, NULL);
    ls_buf_free(&body);
    free(packed);
    return r;
}

static int
call_counted(struct cs3_client *client, enum cs3_service service, const char *method,
             const char *token, const ProtobufCMessage *req, const ProtobufCMessageDescriptor *type,
             ProtobufCMessage **ret, struct ls_err *err)
{
    struct ls_err why = {0};
    int64_t start = ls_mono_ms();
    int r = call_once(client, service, method, token, req, type, ret, &why);

    if (client->call_counter)
        client->call_counter(client->arg, method, r < 0 ? why.cause : "ok",
                             (double)(ls_mono_ms() - start) / 1000.0);
    if (r < 0 && err)
        *err = why;
    return r;
}

int
cs3_call(struct cs3_client *client, enum cs3_service service, const char *method, const char *as,
         const ProtobufCMessage *req, const ProtobufCMessageDescriptor *type,
         ProtobufCMessage **ret, struct ls_err *err)
{
    struct ls_err why = {0};
    char *token = NULL, *refused = NULL;
    int r = -1;

    for (int try = 0; try < 2; try++) {
        if (as && cs3_token(client, as, refused, &token, &why) < 0)
            break;
        r = call_counted(client, service, method, token, req, type, ret, &why);
        if (r == 0 || strcmp(why.cause, "sign-in") != 0 || !as)
            break;
        free(refused);
        refused = token;
        token = NULL;
    }
    free(token);
    free(refused);
    if (r < 0 && err)
        *err = why;
    return r;
}

/* ---- signing in */
static int
authenticate_fill(const struct cs3_client *client, const char *as, const char *login,
                  Cs3__AuthenticateRequest *req, struct ls_err *err)
{
    bool service = strcmp(as, CS3_SERVICE_ACCOUNT) == 0;

    if (service && (!client->service_id || !client->service_secret))
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "target.service_account_id and target.service_account_secret are "
                             "not both set");
    req->type = cs3_borrow(service ? "serviceaccounts" : "machine");
    req->client_id = cs3_borrow(service ? client->service_id : login);
    req->client_secret = service ? client->service_secret : client->key;
    return 0;
}

/* What the refusal of a sign-in means; that of the service account looks like the target's own
 * trouble, so both are named. */
static void
authenticate_failed(const struct cs3_client *client, const char *as, const struct ls_err *why,
                    struct ls_err *err)
{
    if (strcmp(as, CS3_SERVICE_ACCOUNT) == 0)
        /* "gone" is what was asked for, never who asks */
        ls_fail_cause(err, why->kind, why->code,
                      strcmp(why->cause, "gone") == 0 ? "no-user" : why->cause,
                      "the service account (target.service_account_id and "
                      "target.service_account_secret) is not signed in: %s",
                      why->msg);
    else if (why->code == CS3_NOT_FOUND && !strcmp(why->cause, "gone"))
        ls_fail_cause(err, LS_ERR_RETRY, why->code, "no-user",
                      "the target has no such user, or he is disabled: %s", as);
    else if (!strcmp(why->cause, "sign-in") || why->kind == LS_ERR_POISON)
        ls_fail_cause(err, LS_ERR_FATAL, why->code, "target-config", "%s is refused (%s)",
                      client->key_name, why->msg);
    else if (err)
        *err = *why;
}

static char *
groups_joined(const Cs3__User *user)
{
    size_t room = 2, n = 1;
    char *out;

    for (size_t i = 0; i < user->n_groups; i++)
        room += strlen(user->groups[i]) + 1;
    out = malloc(room);
    if (!out)
        return NULL;
    memcpy(out, "\n", 2);
    for (size_t i = 0; i < user->n_groups; i++)
        n += (size_t)snprintf(out + n, room - n, "%s\n", user->groups[i]);
    return out;
}

static int
authenticate_once(struct cs3_client *client, const char *as, const char *login, char **ret_token,
                  struct cs3_user *ret_user, char **ret_groups, struct ls_err *err)
{
    Cs3__AuthenticateRequest req = CS3__AUTHENTICATE_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    const Cs3__AuthenticateReply *reply;
    struct ls_err why = {0};
    int r = -1;

    if (authenticate_fill(client, as, login, &req, err) < 0)
        return -1;
    if (call_counted(client, CS3_AT_GATEWAY, "Authenticate", NULL, &req.base,
                     &cs3__authenticate_reply__descriptor, &message, &why) < 0) {
        authenticate_failed(client, login, &why, err);
        return -1;
    }
    reply = (const Cs3__AuthenticateReply *)message;
    if (!reply->token || !*reply->token || !reply->user || !reply->user->id ||
        strlen(cs3_text(reply->user->id->opaque_id)) >= AP_ID_SIZE) {
        ls_fail_cause(err, LS_ERR_RETRY, 0, "internal", "a sign-in without a token or a user");
        goto out;
    }
    *ret_token = strdup(reply->token);
    *ret_groups = groups_joined(reply->user);
    if (!*ret_token || !*ret_groups) {
        free(*ret_token);
        free(*ret_groups);
        *ret_token = *ret_groups = NULL;
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    snprintf(ret_user->id, sizeof(ret_user->id), "%s", cs3_text(reply->user->id->opaque_id));
    snprintf(ret_user->idp, sizeof(ret_user->idp), "%s", cs3_text(reply->user->id->idp));
    r = 0;
out:
    protobuf_c_message_free_unpacked(message, NULL);
    return r;
}

/* What the target is to call `as`, as said of him when this began; "": nobody. */
static void
login_make(const struct token *token, char *out, size_t size)
{
    const char *as = token->as;

    if (strncmp(as, CS3_NAMED, strlen(CS3_NAMED)) == 0)
        as += strlen(CS3_NAMED);
    if (token->match == CS3_NOBODY)
        out[0] = '\0';
    else
        snprintf(out, size, "%s%s", token->match == CS3_BY_ID ? "userid:" : "",
                 token->match == CS3_BY_ID ? token->id : as);
}

static int
authenticate(struct cs3_client *client, const char *as, const char *login, char **ret_token,
             struct cs3_user *ret_user, char **ret_groups, struct ls_err *err)
{
    struct ls_err why = {0};
    int r;

    if (!*login)
        return ls_fail_cause(err, LS_ERR_RETRY, CS3_NOT_FOUND, "no-user",
                             "whom the target has for %s is not known", as);
    r = authenticate_once(client, as, login, ret_token, ret_user, ret_groups, &why);
    if (r < 0 && why.code == CS3_NOT_FOUND && client->no_user && strcmp(as, login) == 0 &&
        client->no_user(client->no_user_arg, as, true) == 0) {
        r = authenticate_once(client, as, login, ret_token, ret_user, ret_groups, &why);
        client->no_user(client->no_user_arg, as, false);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

void
cs3_on_no_user(struct cs3_client *client, cs3_no_user_fn *fn, void *arg)
{
    client->no_user = fn;
    client->no_user_arg = arg;
}

/* Of whom nothing was said. Those that are no names of the source go by themselves. */
static enum cs3_match
unsaid_of(const struct cs3_client *client, const char *as)
{
    return as[0] == '\n' || strncmp(as, "userid:", 7) == 0 ? CS3_BY_NAME : client->unsaid;
}

/* Found or made; the mutex is held. NULL when memory is out. */
static struct token *
token_slot(struct cs3_client *client, const char *as)
{
    struct token *token;

    HASH_FIND_STR(client->tokens, as, token);
    if (token)
        return token;
    token = calloc(1, sizeof(*token));
    if (token)
        token->as = strdup(as);
    if (!token || !token->as) {
        free(token);
        return NULL;
    }
    token->match = unsaid_of(client, as);
    HASH_ADD_KEYPTR(hh, client->tokens, token->as, strlen(token->as), token);
    token->chain = client->chain;
    client->chain = token;
    return token;
}

/* The mutex is held, but not while signing in. What comes for him when he has become somebody else
 * meanwhile is not kept. */
static int
token_renew(struct cs3_client *client, struct token *token, struct ls_err *err)
{
    struct cs3_user user = {0};
    char *fresh = NULL, *groups = NULL, login[LOGIN_SIZE];
    unsigned matched = token->matched;
    int r;

    login_make(token, login, sizeof(login));
    token->busy = true;
    pthread_mutex_unlock(&client->mutex);
    r = authenticate(client, token->as, login, &fresh, &user, &groups, err);
    pthread_mutex_lock(&client->mutex);
    token->busy = false;
    pthread_cond_broadcast(&client->signed_in);
    if (r < 0)
        return -1;
    if (token->matched != matched) {
        free(fresh);
        free(groups);
        return ls_fail_cause(err, LS_ERR_RETRY, 0, "sign-in", "%s is somebody else now", token->as);
    }
    free(token->text);
    free(token->groups);
    token->text = fresh;
    token->groups = groups;
    token->user = user;
    token->got_ms = ls_mono_ms();
    return 0;
}

/* Gives a good token's copy, or signs in. The mutex is held. */
static int
token_get(struct cs3_client *client, const char *as, const char *refused, char **ret,
          struct cs3_user *ret_user, struct ls_err *err)
{
    struct token *token = token_slot(client, as);

    if (!token)
        return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    while (token->busy)
        pthread_cond_wait(&client->signed_in, &client->mutex);
    if ((!token->text || ls_mono_ms() - token->got_ms > TOKEN_MS ||
         (refused && !strcmp(refused, token->text))) &&
        token_renew(client, token, err) < 0)
        return -1;
    if (ret) {
        *ret = strdup(token->text);
        if (!*ret)
            return ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    if (ret_user)
        *ret_user = token->user;
    return 0;
}

int
cs3_token(struct cs3_client *client, const char *as, const char *refused, char **ret,
          struct ls_err *err)
{
    int r;

    pthread_mutex_lock(&client->mutex);
    r = token_get(client, as, refused, ret, NULL, err);
    pthread_mutex_unlock(&client->mutex);
    return r;
}

int
cs3_user_of(struct cs3_client *client, const char *as, struct cs3_user *ret, struct ls_err *err)
{
    int r;

    pthread_mutex_lock(&client->mutex);
    r = token_get(client, as, NULL, NULL, ret, err);
    pthread_mutex_unlock(&client->mutex);
    return r;
}

int
cs3_groups_of(struct cs3_client *client, const char *as, char **ret, struct ls_err *err)
{
    struct cs3_user user;
    struct token *token;
    int r;

    pthread_mutex_lock(&client->mutex);
    r = token_get(client, as, NULL, NULL, &user, err);
    if (r == 0) {
        HASH_FIND_STR(client->tokens, as, token);
        *ret = strdup(token && token->groups ? token->groups : "\n");
        if (!*ret)
            r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    }
    pthread_mutex_unlock(&client->mutex);
    return r;
}

int
cs3_sign_in(struct cs3_client *client, const char *as, char ret_id[AP_ID_SIZE], struct ls_err *err)
{
    struct cs3_user user;

    if (cs3_user_of(client, as, &user, err) < 0)
        return -1;
    if (ret_id)
        memcpy(ret_id, user.id, AP_ID_SIZE);
    return 0;
}

void
cs3_token_forget(struct cs3_client *client, const char *user_id)
{
    pthread_mutex_lock(&client->mutex);
    for (struct token *t = client->tokens; t; t = t->hh.next)
        if (!t->busy && (!user_id || !strcmp(t->user.id, user_id))) {
            free(t->text);
            t->text = NULL;
        }
    pthread_mutex_unlock(&client->mutex);
}

void
cs3_match_strictly(struct cs3_client *client)
{
    client->unsaid = CS3_NOBODY;
}

int
cs3_match_set(struct cs3_client *client, const char *as, enum cs3_match match, const char *id,
              struct ls_err *err)
{
    struct token *token;
    int r = 0;

    if (match == CS3_BY_ID && (!*id || strlen(id) >= AP_ID_SIZE))
        return ls_fail_cause(err, LS_ERR_POISON, 0, "refused", "no user has such an id");
    pthread_mutex_lock(&client->mutex);
    token = token_slot(client, as);
    if (!token) {
        r = ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
    } else if (token->match != match || (match == CS3_BY_ID && strcmp(token->id, id) != 0)) {
        token->match = match;
        snprintf(token->id, sizeof(token->id), "%s", match == CS3_BY_ID ? id : "");
        token->matched++;
        free(token->text);
        token->text = NULL;
    }
    pthread_mutex_unlock(&client->mutex);
    return r;
}

enum cs3_match
cs3_match_of(struct cs3_client *client, const char *as, char ret_id[AP_ID_SIZE])
{
    enum cs3_match match = unsaid_of(client, as);
    struct token *token;

    pthread_mutex_lock(&client->mutex);
    HASH_FIND_STR(client->tokens, as, token);
    if (token) {
        match = token->match;
        memcpy(ret_id, token->id, AP_ID_SIZE);
    }
    pthread_mutex_unlock(&client->mutex);
    return match;
}

/* A call without a token is refused by a server that is there, so refusal is the good answer. */
static int
ping_one(struct cs3_client *client, enum cs3_service service, struct ls_err *err)
{
    Cs3__RefRequest req = CS3__REF_REQUEST__INIT;
    struct ls_err why = {0};

    if (call_once(client, service, "Stat", NULL, &req.base, NULL, NULL, &why) == 0 ||
        (strcmp(why.cause, "target-down") != 0 && strcmp(why.cause, "timeout") != 0))
        return 0;
    if (err)
        *err = why;
    return -1;
}

int
cs3_ping(struct cs3_client *client, struct ls_err *err)
{
    if (ping_one(client, CS3_AT_PROVIDER, err) < 0)
        return -1;
    return ping_one(client, CS3_AT_GATEWAY, err);
}

/* ---- life */
/* Where the services of a client are, and how it signs in. Any may be NULL, but for the addresses.
 */
struct endpoints {
    const char *gateway, *provider, *sharing;
    const char *key, *key_name, *service_id, *service_secret, *system_user_id;
};

static int
strings_copy(struct cs3_client *client, const struct endpoints *at)
{
    client->key = strdup(at->key);
    client->key_name = at->key_name;
    client->service_id = at->service_id ? strdup(at->service_id) : NULL;
    client->service_secret = at->service_secret ? strdup(at->service_secret) : NULL;
    if (at->system_user_id && asprintf(&client->system_user, "userid:%s", at->system_user_id) < 0) {
        client->system_user = NULL;
        return -1;
    }
    return client->key && (!at->service_id || client->service_id) &&
                   (!at->service_secret || client->service_secret)
               ? 0
               : -1;
}

static int
client_make(const struct ls_config *config, const struct endpoints *at, ap_call_fn *call_counter,
            void *arg, struct cs3_client **ret, struct ls_err *err)
{
    struct cs3_client *client = calloc(1, sizeof(*client));

    if (!client)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    pthread_mutex_init(&client->mutex, NULL);
    pthread_cond_init(&client->signed_in, NULL);
    client->call_counter = call_counter;
    client->arg = arg;
    client->timeout_ms = (int)ls_config_int(config, "target", "timeout_ms");
    if (strings_copy(client, at) < 0) {
        ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
        goto fail;
    }
    if (ap_grpc_new(at->gateway, &client->gateway, err) < 0 ||
        ap_grpc_new(at->provider, &client->provider, err) < 0 ||
        ap_grpc_new(at->sharing, &client->sharing, err) < 0)
        goto fail;
    *ret = client;
    return 0;
fail:
    cs3_client_free(client);
    return -1;
}

int
cs3_client_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
               struct cs3_client **ret, struct ls_err *err)
{
    const struct endpoints at = {
        .gateway = ls_config_str(config, "target", "gateway"),
        .provider = ls_config_str(config, "target", "provider"),
        .sharing = ls_config_str(config, "target", "sharing"),
        .key = ls_config_str(config, "target", "machine_key"),
        .key_name = "target.machine_key",
        .service_id = ls_config_str(config, "target", "service_account_id"),
        .service_secret = ls_config_str(config, "target", "service_account_secret"),
    };

    if (!at.key || !*at.key)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "target.machine_key is not set: the applier cannot act for users");
    return client_make(config, &at, call_counter, arg, ret, err);
}

int
cs3_system_client_new(const struct ls_config *config, ap_call_fn *call_counter, void *arg,
                      struct cs3_client **ret, struct ls_err *err)
{
    const char *address = ls_config_str(config, "target", "system");
    const struct endpoints at = {
        .gateway = address,
        .provider = address,
        .sharing = address,
        .key = ls_config_str(config, "target", "system_user_key"),
        .key_name = "target.system_user_key",
        .system_user_id = ls_config_str(config, "target", "system_user_id"),
    };

    if (!at.key || !*at.key || !at.system_user_id || !*at.system_user_id)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "target-config",
                             "target.system_user_id and target.system_user_key are not both set");
    return client_make(config, &at, call_counter, arg, ret, err);
}

const char *
cs3_system_user(const struct cs3_client *client)
{
    return client->system_user ? client->system_user : "";
}

void
cs3_client_free(struct cs3_client *client)
{
    struct token *token, *next;

    if (!client)
        return;
    ap_grpc_free(client->gateway);
    ap_grpc_free(client->provider);
    ap_grpc_free(client->sharing);
    HASH_CLEAR(hh, client->tokens); /* of the table; the chain goes on */
    for (token = client->chain; token; token = next) {
        next = token->chain;
        free(token->as);
        free(token->text);
        free(token->groups);
        free(token);
    }
    pthread_cond_destroy(&client->signed_in);
    pthread_mutex_destroy(&client->mutex);
    free(client->key);
    free(client->system_user);
    free(client->service_id);
    free(client->service_secret);
    free(client);
}

/* ---- shapes that storage and sharing have in common */
int
cs3_ref_fill(struct cs3_ref *ref, const struct cs3_place *place, struct ls_err *err)
{
    cs3__reference__init(&ref->ref);
    cs3__resource_id__init(&ref->id);
    ref->id.storage_id = cs3_borrow(place->storage_id);
    ref->id.space_id = cs3_borrow(place->space_id);
    ref->id.opaque_id = cs3_borrow(place->id);
    ref->ref.resource_id = &ref->id;
    ref->path[0] = '\0';
    if (place->name) {
        int n = snprintf(ref->path, sizeof(ref->path), "./%s", place->name);
        if (n < 0 || (size_t)n >= sizeof(ref->path))
            return ls_fail_cause(err, LS_ERR_POISON, 0, "name-refused",
                                 "a name of %zu bytes is too long", strlen(place->name));
    }
    ref->ref.path = ref->path;
    return 0;
}

/* CS3_PERM_* and the field of each. */
#define FIELD(name) offsetof(Cs3__ResourcePermissions, name)
static const struct {
    int64_t bit;
    size_t field;
} permission_fields[] = {
    {CS3_PERM_ADD_GRANT, FIELD(add_grant)},
    {CS3_PERM_CREATE_CONTAINER, FIELD(create_container)},
    {CS3_PERM_DELETE, FIELD(delete_)},
    {CS3_PERM_GET_PATH, FIELD(get_path)},
    {CS3_PERM_GET_QUOTA, FIELD(get_quota)},
    {CS3_PERM_INITIATE_FILE_DOWNLOAD, FIELD(initiate_file_download)},
    {CS3_PERM_INITIATE_FILE_UPLOAD, FIELD(initiate_file_upload)},
    {CS3_PERM_LIST_GRANTS, FIELD(list_grants)},
    {CS3_PERM_LIST_CONTAINER, FIELD(list_container)},
    {CS3_PERM_LIST_FILE_VERSIONS, FIELD(list_file_versions)},
    {CS3_PERM_LIST_RECYCLE, FIELD(list_recycle)},
    {CS3_PERM_MOVE, FIELD(move)},
    {CS3_PERM_REMOVE_GRANT, FIELD(remove_grant)},
    {CS3_PERM_PURGE_RECYCLE, FIELD(purge_recycle)},
    {CS3_PERM_RESTORE_FILE_VERSION, FIELD(restore_file_version)},
    {CS3_PERM_RESTORE_RECYCLE_ITEM, FIELD(restore_recycle_item)},
    {CS3_PERM_STAT, FIELD(stat)},
    {CS3_PERM_UPDATE_GRANT, FIELD(update_grant)},
    {CS3_PERM_DENY_GRANT, FIELD(deny_grant)},
};

void
cs3_permissions_fill(Cs3__ResourcePermissions *out, int64_t permissions)
{
    cs3__resource_permissions__init(out);
    for (size_t i = 0; i < sizeof(permission_fields) / sizeof(permission_fields[0]); i++) {
        protobuf_c_boolean set = (permissions & permission_fields[i].bit) != 0;
        memcpy((char *)out + permission_fields[i].field, &set, sizeof(set));
    }
}

int64_t
cs3_permissions_of(const Cs3__ResourcePermissions *permissions)
{
    int64_t out = 0;

    if (!permissions)
        return 0;
    for (size_t i = 0; i < sizeof(permission_fields) / sizeof(permission_fields[0]); i++) {
        protobuf_c_boolean set;
        memcpy(&set, (const char *)permissions + permission_fields[i].field, sizeof(set));
        if (set)
            out |= permission_fields[i].bit;
    }
    return out;
}
