/*
 * Commands to a running stage, and the ids of those that were taken, read back from the position.
 *
 * Input: a byte (0: a command's value; 1: the same, and what comes with it is its signature; 2: the
 * ids), then the text. Beside 1 the signature is right, for no fuzzer guesses it. One that is
 * signed wrongly is never a command; one that is read can be written and is then the same, and is
 * taken once.
 */
#include "tests/fuzz/fuzz.h"

#include "common/control.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define KEY LS_STR("0123456789abcdef0123456789abcdef")
#define PREFIX LS_STR("lockstep")
#define MAX_AGE_S 60

static struct ls_str
signature_of(const uint8_t *value, size_t n, char out[LS_CONTROL_HEX])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned n_mac = 0;
    size_t n_text = PREFIX.n + 1 + n;
    char *text = malloc(n_text);

    PROMISE(text);
    memcpy(text, PREFIX.p, PREFIX.n);
    text[PREFIX.n] = ' ';
    if (n)
        memcpy(text + PREFIX.n + 1, value, n);
    PROMISE(HMAC(EVP_sha256(), KEY.p, (int)KEY.n, (const uint8_t *)text, n_text, mac, &n_mac));
    for (unsigned i = 0; i < n_mac; i++)
        (void)snprintf(out + (size_t)i * 2, 3, "%02x", mac[i]);
    free(text);
    return (struct ls_str){out, LS_CONTROL_HEX - 1};
}

static void
taken_once(const struct ls_command *command)
{
    static struct ls_control_seen seen, again;
    struct ls_err err = {0};
    json_t *json, *same;

    memset(&seen, 0, sizeof(seen));
    PROMISE(ls_control_check(&seen, command, command->issued_us, MAX_AGE_S, &err) == 0);
    ls_control_note(&seen, command);
    PROMISE(ls_control_check(&seen, command, command->issued_us, MAX_AGE_S, &err) < 0);
    PROMISE(err.kind == LS_ERR_POISON && !strcmp(err.cause, "repeated"));
    json = ls_control_seen_json(&seen);
    PROMISE(json && ls_control_seen_parse(json, &again) == 0);
    same = ls_control_seen_json(&again);
    PROMISE(json_equal(json, same));
    json_decref(json);
    json_decref(same);
}

static void
command(const uint8_t *value, size_t n, bool sign)
{
    struct ls_command first = {0}, second = {0};
    struct ls_str text = {(const char *)value, n}, signature = {(const char *)value, n};
    char hex[LS_CONTROL_HEX], *written;
    struct ls_err err = {0};

    if (sign)
        signature = signature_of(value, n, hex);
    if (ls_control_read(KEY, PREFIX, text, &signature, &first, &err) < 0) {
        (void)fuzz_failed(&err);
        PROMISE(err.kind == LS_ERR_POISON);
        PROMISE(sign == !strcmp(err.cause, "malformed-command"));
        return;
    }
    PROMISE(sign);
    PROMISE(memchr(first.id, 0, sizeof(first.id)) && first.id[0]);
    PROMISE(memchr(first.stage, 0, sizeof(first.stage)) && first.stage[0]);
    PROMISE(memchr(first.name, 0, sizeof(first.name)) && first.name[0]);
    PROMISE(json_is_object(first.args) && first.issued_us > 0);
    PROMISE(ls_control_write(KEY, PREFIX, &first, &written, hex, &err) == 0);
    signature = (struct ls_str){hex, LS_CONTROL_HEX - 1};
    PROMISE(ls_control_read(KEY, PREFIX, ls_str_of(written), &signature, &second, &err) == 0);
    PROMISE(!strcmp(first.id, second.id) && !strcmp(first.stage, second.stage) &&
            !strcmp(first.name, second.name) && first.issued_us == second.issued_us &&
            json_equal(first.args, second.args));
    taken_once(&first);
    free(written);
    ls_command_free(&first);
    ls_command_free(&second);
}

static void
ids(const uint8_t *text, size_t n)
{
    static struct ls_control_seen first, second;
    json_t *json = json_loadb((const char *)text, n, 0, NULL), *written;

    if (json && ls_control_seen_parse(json, &first) == 0) {
        written = ls_control_seen_json(&first);
        PROMISE(written && ls_control_seen_parse(written, &second) == 0);
        PROMISE(first.n == second.n && first.floor_us == second.floor_us);
        ls_control_forget(&second, INT64_MAX, MAX_AGE_S);
        for (int i = 0; i < second.n; i++)
            PROMISE(second.taken[i].issued_us >= INT64_MAX - (int64_t)MAX_AGE_S * 1000000);
        json_decref(written);
    }
    json_decref(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy;

    if (size < 2)
        return 0;
    copy = fuzz_copy(data + 1, size - 1);
    if (data[0] % 3 == 2)
        ids(copy, size - 1);
    else
        command(copy, size - 1, data[0] % 3 == 0);
    free(copy);
    return 0;
}
