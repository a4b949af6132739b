/*
 * Users and storages of a command, looked up at the source when the command comes.
 *
 * A user's files are in the storages "home::<uid>" and "object::user:<uid>"; of an id longer than
 * 64 bytes oC10 keeps the md5. What can go wrong: a name with a typing error, of which a snapshot
 * would silently do nothing: it refuses the command, by name. A source whose oc_filecache has lost
 * its unique index of (storage, path_hash): rows could be left out by the walk and swept, so that
 * refuses too.
 */
#include "capture/snapshot/select.h"
#include "capture/source/connect.h"
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_MAX 64 /* bytes of oc_storages.id */

static int
fail_arguments(struct ls_err *err, const char *what)
{
    return ls_fail_cause(err, LS_ERR_POISON, EINVAL, "arguments", "%s", what);
}

static int
fail_too_many(struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_POISON, E2BIG, "too-many",
                         "a snapshot takes %d users and %d storages at most: choose fewer, or all",
                         CAP_CHOSEN_USERS, CAP_CHOSEN_STORAGES);
}

static int
by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static int
add_storage(struct cap_selection *s, int64_t storage, struct ls_err *err)
{
    for (int i = 0; i < s->n_storages; i++)
        if (s->storages[i] == storage)
            return 0;
    if (s->n_storages == CAP_CHOSEN_STORAGES)
        return fail_too_many(err);
    s->storages[s->n_storages++] = storage;
    return 0;
}

/* Takes what the arguments say into *ret, not yet looked up. */
static int
take_arguments(const json_t *args, struct cap_selection *ret, struct ls_err *err)
{
    json_t *storages = json_object_get(args, "storages"), *users = json_object_get(args, "users"),
           *item;
    size_t known = (storages ? 1u : 0u) + (users ? 1u : 0u), i;

    if (json_object_size(args) != known || (storages && !json_is_array(storages)) ||
        (users && !json_is_array(users)) || json_array_size(storages) + json_array_size(users) == 0)
        return fail_arguments(err, "a snapshot wants all, or lists of storages and users");
    json_array_foreach(storages, i, item)
    {
        if (!json_is_integer(item))
            return fail_arguments(err, "a storage is a number, numeric_id of oc_storages");
        if (add_storage(ret, json_integer_value(item), err) < 0)
            return -1;
    }
    json_array_foreach(users, i, item)
    {
        const char *uid = json_string_value(item);
        if (!uid || !*uid || strlen(uid) >= CAP_USER_TEXT ||
            strlen(uid) != json_string_length(item))
            return fail_arguments(err, "a user is a name, user_id of oc_accounts");
        if (ret->n_users == CAP_CHOSEN_USERS)
            return fail_too_many(err);
        memcpy(ret->users[ret->n_users++], uid, strlen(uid) + 1);
    }
    return 0;
}

/* The id as oC10 stores it. */
static int
stored_id(const char *prefix, const char *uid, char out[ID_MAX + 1])
{
    char id[CAP_USER_TEXT + 32];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    int length = snprintf(id, sizeof(id), "%s%s", prefix, uid);

    if (length <= ID_MAX) {
        memcpy(out, id, (size_t)length + 1);
        return 0;
    }
    if (EVP_Digest(id, (size_t)length, digest, &n, EVP_md5(), NULL) != 1 || n != 16)
        return -1;
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* Adds the storages that a query on oc_storages finds; *ret_n: how many. */
static int
add_found(MYSQL *mysql, const char *sql, struct cap_selection *s, int *ret_n, struct ls_err *err)
{
    MYSQL_RES *rows;
    MYSQL_ROW row;
    int r = 0;

    *ret_n = 0;
    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    while (r == 0 && (row = mysql_fetch_row(rows))) {
        ++*ret_n;
        r = add_storage(s, strtoll(row[0] ? row[0] : "0", NULL, 10), err);
    }
    mysql_free_result(rows);
    return r;
}

static int
look_up_user(MYSQL *mysql, const struct cap_sql_names *names, const char *uid,
             struct cap_selection *s, struct ls_err *err)
{
    char home[ID_MAX + 1], object[ID_MAX + 1], sql[1024];
    char home_text[2 * ID_MAX + 1], object_text[2 * ID_MAX + 1];
    int n;

    if (stored_id("home::", uid, home) < 0 || stored_id("object::user:", uid, object) < 0)
        return ls_fail(err, LS_ERR_FATAL, 0, "libcrypto has no md5");
    (void)mysql_real_escape_string(mysql, home_text, home, strlen(home));
    (void)mysql_real_escape_string(mysql, object_text, object, strlen(object));
    (void)snprintf(sql, sizeof(sql),
                   "SELECT numeric_id FROM `%s`.`%sstorages` WHERE id IN ('%s', '%s')",
                   names->database, names->prefix, home_text, object_text);
    if (add_found(mysql, sql, s, &n, err) < 0)
        return -1;
    if (n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "unknown-user",
                             "the source has no storage of the user %.120s", uid);
    return 0;
}

static int
look_up_storage(MYSQL *mysql, const struct cap_sql_names *names, int64_t storage,
                struct ls_err *err)
{
    struct cap_selection found = {0};
    char sql[512];
    int n;

    (void)snprintf(sql, sizeof(sql),
                   "SELECT numeric_id FROM `%s`.`%sstorages` WHERE numeric_id = %" PRId64,
                   names->database, names->prefix, storage);
    if (add_found(mysql, sql, &found, &n, err) < 0)
        return -1;
    if (n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "unknown-storage",
                             "the source has no storage %" PRId64, storage);
    return 0;
}

static int
check_index(MYSQL *mysql, const struct cap_sql_names *names, struct ls_err *err)
{
    char sql[2048], database[400], prefix[400], found[16];

    (void)mysql_real_escape_string(mysql, database, names->database,
                                   strnlen(names->database, sizeof(database) / 2 - 1));
    (void)mysql_real_escape_string(mysql, prefix, names->prefix,
                                   strnlen(names->prefix, sizeof(prefix) / 2 - 1));
    (void)snprintf(sql, sizeof(sql),
                   "SELECT COUNT(*) FROM (SELECT 1 FROM information_schema.statistics WHERE "
                   "table_schema = '%s' AND table_name = '%sfilecache' AND non_unique = 0 GROUP BY "
                   "index_name HAVING GROUP_CONCAT(column_name ORDER BY seq_in_index) = "
                   "'storage,path_hash') AS i",
                   database, prefix);
    if (cap_query_text(mysql, sql, found, sizeof(found), NULL, 0, err) < 0)
        return -1;
    if (!strcmp(found, "0"))
        return ls_fail_cause(err, LS_ERR_POISON, ENOENT, "no-index",
                             "the source's %sfilecache has no unique index (storage, path_hash): "
                             "only a snapshot of everything can be taken",
                             names->prefix);
    return 0;
}

/* What the optimizer expects: an index dive, where COUNT(*) would read. */
static int
estimate(MYSQL *mysql, const struct cap_sql_names *names, int64_t storage, int64_t *ret,
         struct ls_err *err)
{
    char sql[512];
    MYSQL_RES *rows;
    MYSQL_ROW row;

    (void)snprintf(sql, sizeof(sql),
                   "EXPLAIN SELECT fileid FROM `%s`.`%sfilecache` WHERE storage = %" PRId64,
                   names->database, names->prefix, storage);
    if (cap_query_rows(mysql, sql, &rows, err) < 0)
        return -1;
    row = mysql_fetch_row(rows);
    for (unsigned i = 0; row && i < mysql_num_fields(rows); i++)
        if (!strcmp(mysql_fetch_field_direct(rows, i)->name, "rows") && row[i])
            *ret += strtoll(row[i], NULL, 10);
    mysql_free_result(rows);
    return 0;
}

int
cap_select(MYSQL *mysql, const struct cap_sql_names *names, const json_t *args,
           struct cap_selection *ret, int64_t *ret_estimate, struct ls_err *err)
{
    struct cap_selection s = {0};
    int64_t rows = 0;
    int given;

    if (json_object_size(args) == 1 && json_is_true(json_object_get(args, "all"))) {
        *ret = s;
        *ret_estimate = 0;
        return 0;
    }
    if (take_arguments(args, &s, err) < 0)
        return -1;
    given = s.n_storages;
    for (int i = 0; i < given; i++)
        if (look_up_storage(mysql, names, s.storages[i], err) < 0)
            return -1;
    for (int i = 0; i < s.n_users; i++)
        if (look_up_user(mysql, names, s.users[i], &s, err) < 0)
            return -1;
    if (check_index(mysql, names, err) < 0)
        return -1;
    for (int i = 0; i < s.n_storages; i++)
        if (estimate(mysql, names, s.storages[i], &rows, err) < 0)
            return -1;
    qsort(s.storages, (size_t)s.n_storages, sizeof(s.storages[0]), by_number);
    *ret = s;
    *ret_estimate = rows;
    return 0;
}
