/*
 * Reading <p>.dlq, and what <p>.replay says was done with its letters.
 *
 * A letter is named by its offset. Whether it was retried or dropped stands in <p>.replay, whose
 * records name it; that an entity has come back into work, or a letter was dropped, by whom and
 * why, its stage says in the dlq itself, behind the letter, so that it is kept as long (header
 * `state`). What can go wrong: letters by the hundred thousand (bytes are not kept, but read a
 * second time); bytes that nobody can read; records on <p>.replay that nobody with the key has sent
 * (they say nothing).
 */
#include "ctl/replay/letters.h"
#include "common/log.h"
#include "common/records_json.h"
#include "common/run.h"
#include "ctl/replay/whose.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

const char *const letter_states[LETTER_STATES] = {"open", "retried", "alive", "dropped"};

/* The newest letter of an entity of apply. */
struct letter_entity {
    char *name;
    size_t newest; /* index of it, plus one */
    UT_hash_handle hh;
};

static char *
copy(struct ls_str s)
{
    char *out = malloc(s.n + 1);

    if (!out)
        return NULL;
    if (s.n)
        memcpy(out, s.p, s.n);
    out[s.n] = '\0';
    return out;
}

static char *
header_copy(const struct ls_message *m, const char *name)
{
    const struct ls_str *value = ls_message_header(m, name);

    return copy(value && value->p ? *value : LS_STR(""));
}

static int64_t
header_int(const struct ls_message *m, const char *name)
{
    const struct ls_str *value = ls_message_header(m, name);
    char text[24];

    if (!value || !value->p || !value->n || value->n >= sizeof(text))
        return -1;
    memcpy(text, value->p, value->n);
    text[value->n] = '\0';
    return strtoll(text, NULL, 10);
}

void
letters_free(struct letters *letters)
{
    for (size_t i = 0; i < letters->n; i++) {
        struct letter *l = &letters->letter[i];
        char *texts[] = {l->stage, l->cause, l->message, l->attempts, l->seq, l->time,
                         l->topic, l->user,  l->run,     l->reason,   l->by};
        for (size_t t = 0; t < sizeof(texts) / sizeof(*texts); t++)
            free(texts[t]);
        free((char *)(uintptr_t)l->key.p);
    }
    struct letter_entity *e, *next;
    HASH_ITER(hh, letters->entities, e, next)
    {
        HASH_DEL(letters->entities, e);
        free(e->name);
        free(e);
    }
    free(letters->letter);
    *letters = (struct letters){0};
}

/* ---- what a record says */

int
letter_record_read(const char *topic, struct ls_str value, bool secrets, struct ls_arena *arena,
                   json_t **ret, struct ls_err *err)
{
    static const char rows[] = "oc10.oc_";
    const struct cs3_type *type = cs3_type_of(topic);
    const struct ls_table *table = NULL;
    struct ls_envelope *envelope = NULL;
    void *record = NULL;

    if (strncmp(topic, rows, sizeof(rows) - 1) == 0)
        table = ls_table_by_name(topic + sizeof(rows) - 1, strlen(topic) - sizeof(rows) + 1);
    *ret = NULL;
    if (!value.n || (!type && !table))
        return 0;
    if (type && cs3_decode(type, value, arena, &record, err) < 0)
        return -1;
    if (!type && ls_envelope_decode(table, value, arena, &envelope, err) < 0)
        return -1;
    *ret = type ? cs3_json(type, record, secrets) : ls_envelope_json(envelope, secrets);
    return 0;
}

json_t *
letter_record_json(const char *topic, struct ls_str value, bool secrets, struct ls_arena *arena)
{
    struct ls_err ignored = {0};
    json_t *record;

    return letter_record_read(topic, value, secrets, arena, &record, &ignored) < 0 ? NULL : record;
}

static const json_t *
value_of(const json_t *record, const char *name)
{
    const json_t *value = json_object_get(record, name);

    if (!value)
        value = json_object_get(json_object_get(record, "after"), name);
    return value ? value : json_object_get(json_object_get(record, "before"), name);
}

void
letter_user(const char *topic, const json_t *record, char *out, size_t size, int64_t *ret_storage)
{
    static const char *const names[] = {"owner",  "uid",        "uid_owner", "user_id",
                                        "userid", "trash_user", "user"};
    const json_t *storage = value_of(record, "storage");

    out[0] = '\0';
    *ret_storage = LS_NO_STORAGE;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !out[0]; i++) {
        const char *text = json_string_value(value_of(record, names[i]));
        if (text)
            snprintf(out, size, "%s", text);
    }
    if (!out[0] && json_is_integer(storage) &&
        (strcmp(topic, "cs3.resource") == 0 || strcmp(topic, "oc10.oc_filecache") == 0))
        *ret_storage = json_integer_value(storage);
}

/* ---- letters and their states */

static struct letter *
letter_new(struct letters *letters)
{
    if (letters->n == letters->size) {
        size_t size = letters->size ? letters->size * 2 : 64;
        struct letter *more = realloc(letters->letter, size * sizeof(*more));
        if (!more)
            return NULL;
        letters->letter = more;
        letters->size = size;
    }
    memset(&letters->letter[letters->n], 0, sizeof(struct letter));
    return &letters->letter[letters->n];
}

/* apply's letters are of entities: a later word about one makes the earlier ones history. */
static struct letter_entity *
entity_of(struct letters *letters, struct ls_str topic, struct ls_str key)
{
    struct letter_entity *e = NULL;
    char *name = malloc(topic.n + key.n + 2);

    if (!name)
        return NULL;
    snprintf(name, topic.n + key.n + 2, "%.*s %.*s", (int)topic.n, topic.p, (int)key.n,
             key.p ? key.p : "");
    HASH_FIND_STR(letters->entities, name, e);
    if (e || !(e = calloc(1, sizeof(*e)))) {
        free(name);
        return e;
    }
    e->name = name;
    HASH_ADD_KEYPTR(hh, letters->entities, e->name, strlen(e->name), e);
    return e;
}

static void
earlier_alive(struct letters *letters, struct letter_entity *e)
{
    if (e->newest && letters->letter[e->newest - 1].state < LETTER_ALIVE)
        letters->letter[e->newest - 1].state = LETTER_ALIVE;
}

static void
note_drop(struct letters *letters, struct ls_str text)
{
    struct ls_replay replay;
    json_t *document;

    if (ls_replay_drop_parse(text, &replay, &document))
        letters_note(letters, &replay);
    json_decref(document);
}

int
letters_add(struct letters *letters, struct ls_str prefix, const struct ls_message *m,
            struct ls_err *err)
{
    static const char *const names[6] = {"stage", "cause", "message", "attempts", "seq", "time"};
    const struct ls_str *at = ls_message_header(m, "topic"), *stage = ls_message_header(m, "stage"),
                        *state = ls_message_header(m, "state");
    struct ls_str topic = at && at->p ? ls_topic_short(prefix, *at) : LS_STR("");
    struct letter_entity *entity = NULL;
    struct letter *l;
    char *texts[6];
    bool whole = true;

    if (state && ls_str_is(*state, LS_LETTER_DROPPED)) {
        note_drop(letters, m->value);
        return 0;
    }
    if (stage && ls_str_is(*stage, "apply")) {
        if (!(entity = entity_of(letters, topic, m->key)))
            return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
        earlier_alive(letters, entity);
        if (state && ls_str_is(*state, "alive")) /* no letter, a word about earlier ones */
            return 0;
    }
    if (!(l = letter_new(letters)))
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    for (int i = 0; i < 6; i++)
        whole = (texts[i] = header_copy(m, names[i])) && whole;
    *l = (struct letter){.partition = m->partition,
                         .offset = m->offset,
                         .stage = texts[0],
                         .cause = texts[1],
                         .message = texts[2],
                         .attempts = texts[3],
                         .seq = texts[4],
                         .time = texts[5],
                         .topic = copy(topic),
                         .at_partition = (int32_t)header_int(m, "partition"),
                         .at_offset = header_int(m, "offset"),
                         .user = copy(LS_STR("")),
                         .run = copy(LS_STR("")),
                         .reason = copy(LS_STR("")),
                         .by = copy(LS_STR("")),
                         .key = {copy(m->key), m->key.n},
                         .bytes = m->value.n};
    letters->n++; /* from here on it is freed with the others */
    if (entity)
        entity->newest = letters->n;
    if (!whole || !l->topic || !l->user || !l->run || !l->reason || !l->by || !l->key.p)
        return ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
    return 0;
}

/* The dlq has one partition, so they are in order; -1: it is not among them any more. */
static int64_t
index_of(const struct letters *letters, int64_t partition, int64_t offset)
{
    size_t low = 0, high = letters->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct letter *l = &letters->letter[mid];
        if (l->partition == partition && l->offset == offset)
            return (int64_t)mid;
        if (l->partition < partition || (l->partition == partition && l->offset < offset))
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

/* What cannot be kept stays as it was: a letter's texts are never null. */
static void
note_text(char **text, struct ls_str now)
{
    char *more = copy(now.p ? now : LS_STR(""));

    if (!more)
        return;
    free(*text);
    *text = more;
}

void
letters_note(struct letters *letters, const struct ls_replay *replay)
{
    char name[64], *end;
    long long partition, offset;

    if (!replay->letter.n || replay->letter.n >= sizeof(name))
        return;
    memcpy(name, replay->letter.p, replay->letter.n);
    name[replay->letter.n] = '\0';
    partition = strtoll(name, &end, 10);
    if (*end != '/')
        return;
    offset = strtoll(end + 1, NULL, 10);
    int64_t i = index_of(letters, partition, offset);
    if (i < 0)
        return;
    struct letter *l = &letters->letter[i];
    enum letter_state state = replay->drop.n ? LETTER_DROPPED : LETTER_RETRIED;
    if (state > l->state)
        l->state = state;
    if (l->state == LETTER_DROPPED && !replay->drop.n)
        return; /* what was done before, or is refused */
    note_text(&l->run, replay->run);
    note_text(&l->by, replay->by);
    l->state_us = replay->time_us;
    if (replay->drop.n)
        note_text(&l->reason, replay->drop);
}

size_t
letters_absent(const struct letters *letters, const struct letter_filter *filter)
{
    size_t absent = 0;

    for (size_t i = 0; i < filter->n_ids; i++) {
        bool there = false;
        for (size_t l = 0; l < letters->n && !there; l++)
            there = letters->letter[l].offset == filter->ids[i];
        absent += !there;
    }
    return absent;
}

bool
letter_matches(const struct letter_filter *filter, const struct letter *l)
{
    const char *const pairs[][2] = {{filter->cause, l->cause},
                                    {filter->user, l->user},
                                    {filter->stage, l->stage},
                                    {filter->topic, l->topic}};
    bool named = filter->n_ids == 0;

    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (pairs[i][0] && strcmp(pairs[i][0], pairs[i][1]) != 0)
            return false;
    for (size_t i = 0; i < filter->n_ids; i++)
        named |= filter->ids[i] == l->offset;
    return named && (filter->state < 0 || filter->state == (int)l->state);
}

/* ---- the topics */

struct reading {
    const struct ls_config *config;
    struct ls_str prefix, key;
    struct letters *letters;
    struct whose *whose; /* NULL: nobody can tell just now */
    bool users;          /* ... which is an error */
    const struct letter_filter *filter;
    letter_fn *each;
    void *arg;
};

/* Asked no more: each time could take a minute. */
static int
blind(struct reading *r, const struct ls_err *why, struct ls_err *err)
{
    if (r->users) {
        *err = *why;
        return -1;
    }
    ls_log_err(LS_WARN, "owner-unknown", why);
    whose_free(r->whose);
    r->whose = NULL;
    return 0;
}

static int
take_letter(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct reading *r = arg;
    struct letters *all = r->letters;
    size_t n = all->n;
    struct ls_err why = {0};
    char user[256] = "";

    if (letters_add(all, r->prefix, m, err) < 0)
        return -1;
    if (all->n == n)
        return 0;
    struct letter *l = &all->letter[n];
    if (r->whose &&
        whose_record(r->whose, l->topic, l->key, m->value, user, sizeof(user), &why) < 0 &&
        blind(r, &why, err) < 0)
        return -1;
    free(l->user);
    l->user = copy(ls_str_of(user));
    return l->user ? 0 : ls_fail(err, LS_ERR_FATAL, ENOMEM, "out of memory");
}

static int
take_replay(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct reading *r = arg;
    const struct ls_str *letter = ls_message_header(m, "letter"),
                        *drop = ls_message_header(m, "drop"), *run = ls_message_header(m, "run"),
                        *by = ls_message_header(m, "by");
    struct ls_replay replay = {.letter = letter ? *letter : LS_STR_NULL,
                               .drop = drop ? *drop : LS_STR_NULL,
                               .run = run && run->p ? *run : LS_STR(""),
                               .by = by ? *by : LS_STR_NULL,
                               .time_us = m->timestamp_ms * 1000};
    struct ls_err why = {0};

    (void)err;
    if (r->key.n && ls_replay_read(r->key, r->prefix, m, ls_now_us(), 86400, &replay, &why) < 0)
        return 0;
    letters_note(r->letters, &replay);
    return 0;
}

int
ctl_topic_read(const struct ls_config *config, const char *name,
               int (*each)(void *, const struct ls_message *, struct ls_err *), void *arg,
               struct ls_err *err)
{
    struct ls_consumer *consumer = NULL;
    struct ls_err why = {0};
    int n = 0, r;

    if (ls_consumer_new(config, NULL, &consumer, err) < 0)
        return -1;
    r = ls_consumer_partitions(consumer, ls_config_topic(config, name), &n, &why);
    ls_consumer_free(consumer);
    if (r < 0 && strcmp(why.cause, "no-topic") == 0)
        return 0;
    return ls_topic_read(config, ls_config_topic(config, name), each, arg, err);
}

int
letters_read(const struct ls_config *config, struct ls_str key, bool users, struct letters *ret,
             struct ls_err *err)
{
    struct reading r = {.config = config,
                        .prefix = ls_str_of(ls_config_str(config, "lockstep", "prefix")),
                        .key = key,
                        .users = users,
                        .letters = ret};
    struct ls_err why = {0};
    int status = -1;

    *ret = (struct letters){0};
    if ((whose_new(config, &r.whose, &why) == 0 || blind(&r, &why, err) == 0) &&
        ctl_topic_read(config, "dlq", take_letter, &r, err) == 0 &&
        ctl_topic_read(config, LS_REPLAY_TOPIC, take_replay, &r, err) == 0)
        status = 0;
    whose_free(r.whose);
    return status;
}

static int
give_letter(void *arg, const struct ls_message *m, struct ls_err *err)
{
    struct reading *r = arg;
    int64_t i = index_of(r->letters, m->partition, m->offset);
    struct letter one;

    if (i < 0)
        return 0;
    one = r->letters->letter[i];
    one.value = m->value;
    return letter_matches(r->filter, &one) ? r->each(r->arg, &one, err) : 0;
}

int
letters_each(const struct ls_config *config, const struct letters *letters,
             const struct letter_filter *filter, letter_fn *each, void *arg, struct ls_err *err)
{
    struct reading r = {.letters = (struct letters *)(uintptr_t)letters,
                        .filter = filter,
                        .each = each,
                        .arg = arg};

    return ctl_topic_read(config, "dlq", give_letter, &r, err);
}
