/*
 * Commands: signed, fresh, once.
 *
 * What can go wrong, and who would gain by it: a record without the key's signature (anybody who
 * may write to the topic); one that is repeated (the same bytes, the same signature): its id is
 * known; one that was meant for another installation with the same key: the prefix is signed too;
 * one that was kept back and comes a day later, when nobody expects it: it is stale, by the
 * clocks of two machines, so they must agree within max_age_s; more commands in that time than ids
 * are kept: the oldest id goes, and with it all that was issued before it. Nothing of a value is
 * looked into before its signature is right. Comparing takes the same time wherever two
 * signatures differ.
 */
#include "common/control.h"
#include "common/run.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEY_MIN 32
#define VALUE_MAX ((size_t)64 << 10)
#define ID_MIN 8

void
ls_command_free(struct ls_command *command)
{
    if (!command)
        return;
    json_decref(command->args);
    command->args = NULL;
}

int
ls_control_key(const struct ls_config *config, struct ls_str *ret, struct ls_err *err)
{
    struct ls_str key = ls_str_of(ls_config_str(config, "control", "key"));

    if (key.p && key.n < KEY_MIN)
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "control-key",
                             "control.key has %zu characters; it needs %d, for instance of "
                             "`openssl rand -hex 32`",
                             key.n, KEY_MIN);
    *ret = key;
    return 0;
}

static void
put_hex(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

/* A prefix has no blank, it is part of topics' names: so the two cannot be parted otherwise. */
static int
sign(struct ls_str key, struct ls_str prefix, struct ls_str value, char out[LS_CONTROL_HEX])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct ls_buf text;
    int r = -1;

    ls_buf_init(&text, VALUE_MAX + 1024);
    ls_buf_append(&text, prefix.p, prefix.n);
    ls_buf_append(&text, " ", 1);
    ls_buf_append(&text, value.p, value.n);
    if (!text.failed && HMAC(EVP_sha256(), key.p, (int)key.n, text.p, text.n, mac, &n) &&
        n * 2 + 1 == LS_CONTROL_HEX) {
        put_hex(mac, n, out);
        r = 0;
    }
    ls_buf_free(&text);
    return r;
}

int
ls_command_new(const char *stage, const char *name, json_t *args, struct ls_command *ret,
               struct ls_err *err)
{
    struct ls_command c = {.issued_us = ls_now_us(), .args = args};
    uint8_t random[16];

    if (!args || strlen(stage) >= sizeof(c.stage) || strlen(name) >= sizeof(c.name) ||
        getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        json_decref(args);
        return ls_fail(err, LS_ERR_FATAL, errno, "a command cannot be made");
    }
    put_hex(random, sizeof(random), c.id);
    memcpy(c.stage, stage, strlen(stage) + 1);
    memcpy(c.name, name, strlen(name) + 1);
    *ret = c;
    return 0;
}

int
ls_control_write(struct ls_str key, struct ls_str prefix, const struct ls_command *command,
                 char **ret_value, char ret_signature[LS_CONTROL_HEX], struct ls_err *err)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:O, s:I}", "id", command->id, "stage",
                             command->stage, "command", command->name, "args", command->args,
                             "issued_us", (json_int_t)command->issued_us);
    char *value = root ? json_dumps(root, JSON_COMPACT) : NULL;

    json_decref(root);
    if (!value)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "a command cannot be written");
    if (strlen(value) > VALUE_MAX || sign(key, prefix, ls_str_of(value), ret_signature) < 0) {
        free(value);
        return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "malformed-command",
                             "a command is too large or cannot be signed");
    }
    *ret_value = value;
    return 0;
}

static bool
is_id(const char *id)
{
    size_t n = strlen(id);

    return n >= ID_MIN && n < LS_CONTROL_ID &&
           strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == n;
}

static int
take_text(const json_t *root, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(root, key));

    if (!text || !*text || strlen(text) >= size)
        return -1;
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int
parse(struct ls_str value, struct ls_command *ret)
{
    json_t *root = json_loadb(value.p, value.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *args = json_object_get(root, "args"), *issued = json_object_get(root, "issued_us");
    struct ls_command c = {0};
    int r = -1;

    if (take_text(root, "id", c.id, sizeof(c.id)) < 0 || !is_id(c.id) ||
        take_text(root, "stage", c.stage, sizeof(c.stage)) < 0 ||
        take_text(root, "command", c.name, sizeof(c.name)) < 0 || !json_is_object(args) ||
        !json_is_integer(issued) || json_integer_value(issued) <= 0)
        goto out;
    c.issued_us = json_integer_value(issued);
    c.args = json_incref(args);
    *ret = c;
    r = 0;
out:
    json_decref(root);
    return r;
}

int
ls_control_read(struct ls_str key, struct ls_str prefix, struct ls_str value,
                const struct ls_str *signature, struct ls_command *ret, struct ls_err *err)
{
    char want[LS_CONTROL_HEX];

    if (!signature || !signature->p || signature->n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, EACCES, "unsigned",
                             "the command has no signature");
    if (!value.p || value.n > VALUE_MAX)
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "wrong-signature",
                             "the command is empty or too large");
    if (sign(key, prefix, value, want) < 0 || signature->n != LS_CONTROL_HEX - 1 ||
        CRYPTO_memcmp(want, signature->p, LS_CONTROL_HEX - 1) != 0)
        return ls_fail_cause(err, LS_ERR_POISON, EACCES, "wrong-signature",
                             "the command was not signed with control.key, or for another "
                             "prefix");
    if (parse(value, ret) < 0)
        return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "malformed-command",
                             "the command is not made of id, stage, command, args and issued_us");
    return 0;
}

int
ls_control_check(const struct ls_control_seen *seen, const struct ls_command *command,
                 int64_t now_us, int64_t max_age_s, struct ls_err *err)
{
    int64_t max_us = max_age_s * 1000000;

    if (command->issued_us < now_us - max_us || command->issued_us - max_us > now_us) {
        bool past = command->issued_us < now_us;
        int64_t age_us = past ? now_us - command->issued_us : command->issued_us - now_us;
        return ls_fail_cause(err, LS_ERR_POISON, ETIME, "stale",
                             "the command was issued %" PRId64
                             " s %s, control.max_age_s is %" PRId64,
                             age_us / 1000000, past ? "ago" : "in the future", max_age_s);
    }
    for (int i = 0; i < seen->n; i++)
        if (!strcmp(seen->taken[i].id, command->id))
            return ls_fail_cause(err, LS_ERR_POISON, EEXIST, "repeated",
                                 "a command with this id was taken already");
    if (command->issued_us <= seen->floor_us)
        return ls_fail_cause(err, LS_ERR_POISON, EEXIST, "repeated",
                             "the command is older than one that was taken and forgotten");
    return 0;
}

static void
remove_at(struct ls_control_seen *seen, int i)
{
    if (seen->taken[i].issued_us > seen->floor_us)
        seen->floor_us = seen->taken[i].issued_us;
    seen->taken[i] = seen->taken[--seen->n];
}

void
ls_control_note(struct ls_control_seen *seen, const struct ls_command *command)
{
    int oldest = 0;

    if (seen->n == LS_CONTROL_SEEN) {
        for (int i = 1; i < seen->n; i++)
            if (seen->taken[i].issued_us < seen->taken[oldest].issued_us)
                oldest = i;
        remove_at(seen, oldest);
    }
    memcpy(seen->taken[seen->n].id, command->id, sizeof(command->id));
    seen->taken[seen->n++].issued_us = command->issued_us;
}

void
ls_control_forget(struct ls_control_seen *seen, int64_t now_us, int64_t max_age_s)
{
    for (int i = seen->n - 1; i >= 0; i--)
        if (seen->taken[i].issued_us < now_us - max_age_s * 1000000)
            remove_at(seen, i);
}

json_t *
ls_control_seen_json(const struct ls_control_seen *seen)
{
    json_t *ids = json_object();

    for (int i = 0; i < seen->n; i++)
        json_object_set_new(ids, seen->taken[i].id, json_integer(seen->taken[i].issued_us));
    return json_pack("{s:I, s:o}", "floor_us", (json_int_t)seen->floor_us, "ids", ids);
}

int
ls_control_seen_parse(const json_t *json, struct ls_control_seen *ret)
{
    json_t *ids = json_object_get(json, "ids"), *issued;
    struct ls_control_seen seen = {.floor_us =
                                       json_integer_value(json_object_get(json, "floor_us"))};
    const char *id;

    if (!json_is_object(ids) || json_object_size(ids) > LS_CONTROL_SEEN)
        return -1;
    json_object_foreach(ids, id, issued)
    {
        if (!is_id(id) || !json_is_integer(issued))
            return -1;
        memcpy(seen.taken[seen.n].id, id, strlen(id) + 1);
        seen.taken[seen.n++].issued_us = json_integer_value(issued);
    }
    *ret = seen;
    return 0;
}
