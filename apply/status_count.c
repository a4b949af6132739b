/*
 * How many are open, why they wait, and whose they are: one pass over `work`.
 *
 * The status tells of it once a second, and with a million open entities the pass takes a good part
 * of one. So it is made only when something may have changed, and takes at most a twentieth of the
 * time: between two of them the numbers of the last one are told, all of that moment, the balance
 * too. What can go wrong: numbers of two moments that are added up; they are not, see
 * ap_open_count.
 */
#include "apply/status.h"
#include "common/run.h"
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum { SHARE_OF_TIME = 20, USERS_MOST = 100 };

/* What waits of one storage for one reason. */
struct group {
    struct group_key {
        int64_t storage;
        int in_flight, trouble;
        char cause[32];
    } key;
    int64_t n, since_us; /* since: the oldest of them; 0 none */
    UT_hash_handle hh;
};

struct user {
    char name[256];
    int64_t open, parked, oldest_us;
    json_t *causes;
    UT_hash_handle hh;
};

static int64_t
earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void
add_to(json_t *object, const char *name, int64_t n)
{
    json_object_set_new(object, name,
                        json_integer(json_integer_value(json_object_get(object, name)) + n));
}

/* ---- the pass */

static int
take_row(struct group **groups, sqlite3_stmt *s)
{
    struct group_key key;
    struct group *group;

    memset(&key, 0, sizeof(key)); /* it is compared with its padding */
    key.storage = sqlite3_column_int64(s, 1);
    key.in_flight = sqlite3_column_int(s, 2) == AP_IN_FLIGHT;
    key.trouble = sqlite3_column_int(s, 4) != 0;
    ap_text(s, 5, key.cause, sizeof(key.cause));
    HASH_FIND(hh, *groups, &key, sizeof(key), group);
    if (!group) {
        group = calloc(1, sizeof(*group));
        if (!group)
            return -1;
        group->key = key;
        HASH_ADD(hh, *groups, key, sizeof(key), group);
    }
    group->n++;
    group->since_us = earlier(group->since_us, sqlite3_column_int64(s, 6));
    return 0;
}

static int
pass(struct ap_core *core, struct ap_open *open, struct group **groups)
{
    sqlite3_stmt *s =
        ap_query(core->ledger,
                 "SELECT kind, storage, state, counted, trouble, cause, since_us FROM work", NULL);
    int r = 0;

    while (r == 0 && ap_step(core->ledger, s)) {
        open->all++;
        open->nodes += sqlite3_column_int(s, 0) == AP_NODE;
        if (sqlite3_column_int(s, 3) == 1) {
            open->counted++;
            r = take_row(groups, s);
        } else if (sqlite3_column_int(s, 4) == 0) {
            open->rest_us = earlier(open->rest_us, sqlite3_column_int64(s, 6));
        }
    }
    ap_done(s);
    return r;
}

/* ---- by cause */

static void
count_causes(struct ap_open *open, const struct group *group)
{
    for (; group; group = group->hh.next) {
        const char *cause = group->key.in_flight   ? "in-flight"
                            : !group->key.cause[0] ? "queued"
                                                   : group->key.cause;
        json_t *since = json_object_get(open->since, cause);

        add_to(open->causes, cause, group->n);
        json_object_set_new(open->since, cause,
                            json_integer(earlier(json_integer_value(since), group->since_us)));
        if (group->key.in_flight)
            open->in_flight += group->n;
        else if (!group->key.cause[0])
            open->queued += group->n;
        else
            open->parked += group->n;
    }
}

/* ---- by user */

/* What is open of a user lies in the lane of his storage; what is in trouble waits for something
 * that may never come, so it is parked and no lag. */
static int
take_user(struct user **users, const char *name, const struct group *group)
{
    struct user *user;

    HASH_FIND_STR(*users, name, user);
    if (!user) {
        user = calloc(1, sizeof(*user));
        if (!user || !(user->causes = json_object())) {
            free(user);
            return -1;
        }
        snprintf(user->name, sizeof(user->name), "%s", name);
        HASH_ADD_STR(*users, name, user);
    }
    user->open += group->n;
    if (!group->key.trouble) {
        user->oldest_us = earlier(user->oldest_us, group->since_us);
        return 0;
    }
    user->parked += group->n;
    if (group->key.cause[0])
        add_to(user->causes, group->key.cause, group->n);
    return 0;
}

static int
by_storage(const struct group *a, const struct group *b)
{
    return (a->key.storage > b->key.storage) - (a->key.storage < b->key.storage);
}

/* Who waits longest first; then those of whom all is parked. */
static int
by_wait(const struct user *a, const struct user *b)
{
    if ((a->oldest_us == 0) != (b->oldest_us == 0))
        return a->oldest_us == 0 ? 1 : -1;
    if (a->oldest_us != b->oldest_us)
        return a->oldest_us < b->oldest_us ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int
count_users(struct ap_core *core, struct ap_open *open, struct group **groups)
{
    struct user *users = NULL, *user, *next;
    int64_t last = INT64_MIN;
    char owner[256] = "";
    int r = 0;

    HASH_SORT(*groups, by_storage);
    for (struct group *group = *groups; group && r == 0; group = group->hh.next) {
        if (group->key.storage != last) {
            sqlite3_stmt *s = ap_query(core->ledger, "SELECT owner FROM space WHERE storage = ?",
                                       "i", group->key.storage);
            owner[0] = '\0';
            if (ap_step(core->ledger, s))
                ap_text(s, 0, owner, sizeof(owner));
            ap_done(s);
            last = group->key.storage;
        }
        if (owner[0])
            r = take_user(&users, owner, group);
    }
    HASH_SORT(users, by_wait);
    open->n_users = (int64_t)HASH_COUNT(users);
    user = users;
    HASH_CLEAR(hh, users);
    for (size_t i = 0; user; user = next, i++) {
        next = user->hh.next;
        if (i < USERS_MOST)
            json_array_append_new(open->users,
                                  json_pack("{s:s, s:I, s:I, s:I, s:O}", "user", user->name, "open",
                                            (json_int_t)user->open, "parked",
                                            (json_int_t)user->parked, "oldest_us",
                                            (json_int_t)user->oldest_us, "causes", user->causes));
        json_decref(user->causes);
        free(user);
    }
    return r;
}

/* ---- the whole */

void
ap_open_free(struct ap_open *open)
{
    json_decref(open->causes);
    json_decref(open->since);
    json_decref(open->users);
    *open = (struct ap_open){0};
}

static int
count(struct ap_core *core, struct ap_open *open)
{
    struct group *groups = NULL, *group, *next;
    int r = -1;

    open->causes = json_object();
    open->since = json_object();
    open->users = json_array();
    if (open->causes && open->since && open->users)
        r = pass(core, open, &groups);
    if (r == 0) {
        count_causes(open, groups);
        r = count_users(core, open, &groups);
    }
    group = groups;
    HASH_CLEAR(hh, groups);
    for (; group; group = next) {
        next = group->hh.next;
        free(group);
    }
    return r;
}

int64_t
ap_open_since_us(struct ap_core *core)
{
    return ap_number(core->ledger, 0,
                     "SELECT min(since_us) FROM work WHERE counted = 1 AND trouble = 0"
                     " AND since_us > 0",
                     NULL);
}

int64_t
ap_reached_us(struct ap_core *core)
{
    /* cs3.resource has as many as it has, the other four one each */
    int64_t partitions =
        core->config ? ls_config_int(core->config, "lockstep", "partitions") + 4 : 0;
    int64_t read = ap_number(core->ledger, 0,
                             "SELECT CASE WHEN count(*) >= ? THEN min(read_us) ELSE 0 END"
                             " FROM offset WHERE read_us > 0",
                             "i", partitions);
    int64_t open = ap_open_since_us(core);

    return open != 0 && open < read ? open : read;
}

bool
ap_open_count(struct ap_core *core, struct ap_open *open, bool at_once)
{
    int64_t writes = ap_work_writes(core->ledger), began = ls_mono_ms();
    struct ap_open now = {.known = true, .writes = writes, .counted_us = ls_now_us()};

    if (open->known && open->writes == writes) {
        /* nothing that is open has changed, so the numbers are of now */
        open->counted_us = now.counted_us;
        open->balance = ap_balance_of(core->ledger, open->counted);
        return true;
    }
    if (open->known && !at_once && began < open->next_ms)
        return true;
    if (count(core, &now) < 0) {
        ap_open_free(&now);
        return open->known;
    }
    now.balance = ap_balance_of(core->ledger, now.counted);
    now.next_ms = ls_mono_ms() + (ls_mono_ms() - began) * SHARE_OF_TIME;
    ap_open_free(open);
    *open = now;
    return true;
}
