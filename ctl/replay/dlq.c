/*
 * Dead letters for an admin: which there are, what they say, what was done with them.
 *
 * Reads only; what retries and drops is in dlq_send.c. What can go wrong: a secret on a screen or
 * in a ticket (records are shown with their secrets masked, bytes as they came only with
 * --secrets); a terminal that obeys what a file's name tells it (ctl_plain).
 */
#include "ctl/replay/dlq.h"
#include "common/log.h"
#include "common/records.h"
#include "ctl/lines.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARENA_CAP (64u << 20)

/* ---- words and options */

static bool
is_action(const char *word)
{
    static const char *const actions[] = {"list", "show", "retry", "drop", "export"};

    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (!strcmp(word, actions[i]))
            return true;
    return false;
}

static int
state_of(const char *word)
{
    for (int i = 0; i < LETTER_STATES; i++)
        if (!strcmp(word, letter_states[i]))
            return i;
    return -1;
}

static int
id_add(struct letter_filter *filter, const char *word)
{
    char *end;
    int64_t *more;

    errno = 0;
    long long id = strtoll(word, &end, 10);
    if (*end || errno || id < 0)
        return -1;
    more = realloc(filter->ids, (filter->n_ids + 1) * sizeof(*more));
    if (!more)
        return -1;
    filter->ids = more;
    filter->ids[filter->n_ids++] = id;
    return 0;
}

static bool
chooses(const struct dlq_args *a)
{
    const struct letter_filter *f = &a->filter;

    return a->all || f->n_ids > 0 || f->cause || f->user || f->stage || f->topic || f->state >= 0;
}

int
ctl_dlq_arguments(int argc, char **argv, struct dlq_args *ret, const char **ret_why)
{
    struct dlq_args a = {.filter = {.state = -1}};
    const char *why = NULL, *state = NULL, *value;
    const struct {
        const char *name;
        const char **into;
    } texts[] = {{"--cause", &a.filter.cause}, {"--user", &a.filter.user},
                 {"--stage", &a.filter.stage}, {"--topic", &a.filter.topic},
                 {"--state", &state},          {"--reason", &a.reason}};
    const struct {
        const char *name;
        bool *into;
    } flags[] = {{"--all", &a.all}, {"--yes", &a.yes}, {"--secrets", &a.secrets}};
    int n = 1;

    for (int i = 1; i < argc && !why; i++) {
        bool taken = false;

        for (size_t t = 0; t < sizeof texts / sizeof texts[0] && !taken; t++)
            if ((value = ctl_option(argc, argv, &i, texts[t].name))) {
                *texts[t].into = value;
                taken = true;
                if (!*value)
                    why = "an option of dlq wants a value";
            }
        for (size_t f = 0; f < sizeof flags / sizeof flags[0] && !taken; f++)
            if (!strcmp(argv[i], flags[f].name))
                *flags[f].into = taken = true;
        if (taken)
            continue;
        if (!a.action && is_action(argv[i]))
            a.action = argv[i];
        else if (a.action && argv[i][0] >= '0' && argv[i][0] <= '9') {
            if (id_add(&a.filter, argv[i]) < 0)
                why = "a letter is named by its number";
        } else
            argv[n++] = argv[i];
    }
    if (!why && state && (a.filter.state = state_of(state)) < 0)
        why = "--state wants open, retried, alive or dropped";
    if (!why && !a.action)
        why = "dlq wants list, show, retry, drop or export";
    else if (!why && !strcmp(a.action, "show") && a.filter.n_ids == 0)
        why = "dlq show wants the numbers of letters";
    else if (!why && (!strcmp(a.action, "retry") || !strcmp(a.action, "drop")) && !chooses(&a))
        why = "say which: the numbers of letters, --cause, --user, --stage, --topic, or --all";
    else if (!why && !strcmp(a.action, "drop") && (!a.reason || !*a.reason))
        why = "dlq drop wants a --reason, which is kept";
    if (why) {
        dlq_args_free(&a);
        *ret_why = why;
        return -1;
    }
    argv[n] = NULL;
    *ret = a;
    return n;
}

void
dlq_args_free(struct dlq_args *args)
{
    free(args->filter.ids);
    args->filter.ids = NULL;
}

/* ---- as JSON */

static void
set_text(json_t *object, const char *name, const char *text)
{
    if (text && *text)
        json_object_set_new(object, name, ctl_json_text(text));
}

static json_t *
key_json(struct ls_str key)
{
    char text[1200];

    snprintf(text, sizeof text, "%.*s", (int)key.n, key.p ? key.p : "");
    return ctl_json_text(text);
}

static void
iso_time(int64_t us, char *out, size_t size)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(out, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static json_t *
bytes_json(struct ls_str value)
{
    unsigned char *text = malloc(value.n / 3 * 4 + 8);
    json_t *json = NULL;

    if (text) {
        int n = EVP_EncodeBlock(text, (const unsigned char *)value.p, (int)value.n);
        json = json_stringn((const char *)text, (size_t)n);
    }
    free(text);
    return json;
}

static json_t *
letter_json(const struct letter *l)
{
    json_t *json =
        json_pack("{s:I, s:o, s:s, s:I}", "letter", (json_int_t)l->offset, "key", key_json(l->key),
                  "state", letter_states[l->state], "bytes", (json_int_t)l->bytes);
    char when[32];

    set_text(json, "stage", l->stage);
    set_text(json, "cause", l->cause);
    set_text(json, "message", l->message);
    set_text(json, "attempts", l->attempts);
    set_text(json, "seq", l->seq);
    set_text(json, "topic", l->topic);
    set_text(json, "time", l->time);
    set_text(json, "user", l->user);
    set_text(json, "run", l->run);
    set_text(json, "reason", l->reason);
    set_text(json, "by", l->by);
    if (l->at_offset >= 0) {
        json_object_set_new(json, "partition", json_integer(l->at_partition));
        json_object_set_new(json, "offset", json_integer(l->at_offset));
    }
    if (l->state_us > 0) {
        iso_time(l->state_us, when, sizeof when);
        set_text(json, "state_time", when);
    }
    return json;
}

json_t *
dlq_letter_json(const struct letter *l, bool secrets, struct ls_arena *arena)
{
    json_t *json = letter_json(l), *record = letter_record_json(l->topic, l->value, secrets, arena);

    if (record)
        json_object_set_new(json, "record", record);
    if (secrets && l->value.n)
        json_object_set_new(json, "value_base64", bytes_json(l->value));
    return json;
}

/* ---- list */

static void
print_letter(const struct letter *l, FILE *out)
{
    char key[64], cause[40], user[40], when[32], text[200];

    snprintf(text, sizeof text, "%.*s", (int)l->key.n, l->key.p ? l->key.p : "");
    ctl_plain(text, key, sizeof key);
    ctl_plain(l->cause, cause, sizeof cause);
    ctl_plain(l->user, user, sizeof user);
    fprintf(out, "%8" PRId64 "  %-20s %-9s %-18s %-20s %-14s %-12s %s\n", l->offset, l->time,
            l->stage, cause, l->topic, key, user, letter_states[l->state]);
    if (!*l->reason)
        return;
    iso_time(l->state_us, when, sizeof when);
    ctl_plain(*l->by ? l->by : "?", user, sizeof user);
    fprintf(out, "          dropped by %s, %s: %s\n", user, when,
            ctl_plain(l->reason, text, sizeof text));
}

/* Without --all and --state: those that still stand. */
static bool
listed(const struct dlq_args *args, const struct letter *l)
{
    if (!letter_matches(&args->filter, l))
        return false;
    return args->all || args->filter.state >= 0 || args->filter.n_ids > 0 ||
           l->state <= LETTER_RETRIED;
}

static int
list(const struct letters *letters, const struct dlq_args *args, const struct ctl_flags *flags,
     FILE *out)
{
    json_t *array = json_array();
    size_t n = 0;

    if (!flags->json)
        fprintf(out, "%8s  %-20s %-9s %-18s %-20s %-14s %-12s %s\n", "LETTER", "TIME", "STAGE",
                "CAUSE", "TOPIC", "KEY", "USER", "STATE");
    for (size_t i = 0; i < letters->n; i++) {
        const struct letter *l = &letters->letter[i];
        if (!listed(args, l))
            continue;
        n++;
        if (flags->json)
            json_array_append_new(array, letter_json(l));
        else
            print_letter(l, out);
    }
    if (flags->json) {
        json_dumpf(array, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
    } else {
        fprintf(out, "%zu of %zu letters\n", n, letters->n);
    }
    json_decref(array);
    return LS_EXIT_OK;
}

/* ---- show, export */

struct giving {
    const struct dlq_args *args;
    json_t *array; /* show --json; NULL: each by itself */
    struct ls_arena *arena;
    FILE *out;
    size_t flags, n;
};

static int
give(void *arg, const struct letter *l, struct ls_err *err)
{
    struct giving *g = arg;
    json_t *json = dlq_letter_json(l, g->args->secrets, g->arena);

    (void)err;
    ls_arena_reset(g->arena);
    g->n++;
    if (g->array)
        return json_array_append_new(g->array, json);
    json_dumpf(json, g->out, g->flags);
    fputc('\n', g->out);
    json_decref(json);
    return 0;
}

static int
give_all(const struct ls_config *config, const struct letters *letters, const struct dlq_args *args,
         const struct ctl_flags *flags, FILE *out)
{
    bool show = !strcmp(args->action, "show");
    struct giving g = {.args = args,
                       .array = show && flags->json ? json_array() : NULL,
                       .arena = ls_arena_new(ARENA_CAP),
                       .out = out,
                       .flags = JSON_SORT_KEYS | (show ? JSON_INDENT(2) : JSON_COMPACT)};
    struct ls_err err = {0};
    size_t absent;
    int status = LS_EXIT_OK;

    if (!g.arena || letters_each(config, letters, &args->filter, give, &g, &err) < 0) {
        ls_log_err(LS_ERROR, "dlq", &err);
        status = LS_EXIT_KAFKA;
    } else if (g.array) {
        json_dumpf(g.array, out, JSON_SORT_KEYS | JSON_INDENT(2));
        fputc('\n', out);
    }
    absent = letters_absent(letters, &args->filter);
    if (status == LS_EXIT_OK && absent > 0) {
        fprintf(stderr, "lockstep: %zu of these letters are not there\n", absent);
        status = LS_EXIT_DIFFERENT;
    }
    json_decref(g.array);
    ls_arena_free(g.arena);
    return status;
}

int
ctl_dlq(const struct ls_config *config, const struct dlq_args *args, const struct ctl_flags *flags,
        FILE *out)
{
    struct letters letters = {0};
    struct ls_err err = {0};
    struct ls_str key;
    int status;

    if (ls_control_key(config, &key, &err) < 0) {
        ls_log_err(LS_ERROR, "dlq", &err);
        return LS_EXIT_USAGE;
    }
    ls_schemas_attach(config);
    if (letters_read(config, key, args->filter.user != NULL, &letters, &err) < 0) {
        ls_log_err(LS_ERROR, "dlq", &err);
        status = LS_EXIT_KAFKA;
    } else if (!strcmp(args->action, "list")) {
        status = list(&letters, args, flags, out);
    } else if (!strcmp(args->action, "retry") || !strcmp(args->action, "drop")) {
        status = dlq_send(config, &letters, args, flags, out);
    } else {
        status = give_all(config, &letters, args, flags, out);
    }
    letters_free(&letters);
    return status;
}
