/*
 * What people do in the ownCloud 10 of source.h, one random action at a time.
 */
#ifndef TEST_SOURCE_ACTIONS_H
#define TEST_SOURCE_ACTIONS_H

#include "tests/unit/transform/source.h"

#include <openssl/evp.h>

#define LONG_UID "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"

static inline void
path_below(char *out, size_t size, const struct source_row *folder, const char *name)
{
    (void)snprintf(out, size, "%s%s%s", path_of(folder), *path_of(folder) ? "/" : "", name);
}

/* An id of more than 64 bytes is stored as its md5. */
static inline int64_t
add_storage(struct source *s, const char *id)
{
    struct ls_value v[LS_MAX_COLUMNS] = {0};
    unsigned char digest[16];
    char hex[33];

    if (strlen(id) > 64) {
        assert_int_equal(EVP_Digest(id, strlen(id), digest, NULL, EVP_md5(), NULL), 1);
        for (int i = 0; i < 16; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        id = hex;
    }
    v[ST_NUMERIC_ID] = num(++s->next_id);
    v[ST_ID] = txt(s, id);
    insert(s, LS_T_STORAGES, v);
    return v[ST_NUMERIC_ID].i;
}

static inline void
add_user(struct source *s, int u)
{
    struct ls_value v[LS_MAX_COLUMNS] = {0};
    char home[120];

    if (s->users[u].there)
        return;
    (void)snprintf(s->users[u].uid, sizeof(s->users[u].uid), u == 0 ? LONG_UID : "user%d", u);
    (void)snprintf(home, sizeof(home), "/srv/data/%s", s->users[u].uid);
    s->users[u].there = true;
    s->users[u].storage = 0;
    s->users[u].account = ++s->next_id;
    v[AC_ID] = num(s->users[u].account);
    v[AC_USER_ID] = txt(s, s->users[u].uid);
    v[AC_DISPLAY_NAME] = txt(s, "A Name");
    v[AC_HOME] = txt(s, home);
    v[AC_BACKEND] = txt(s, "OC\\User\\Database");
    v[AC_STATE] = num(1);
    insert(s, LS_T_ACCOUNTS, v);
}

/* Storages, then the home's folders. */
static inline void
first_login(struct source *s, int u)
{
    char id[200];
    int64_t storage;

    if (!s->users[u].there || s->users[u].storage)
        return;
    /* It outlives its user, and then no table tells what its md5 means: none for a long uid. */
    (void)snprintf(id, sizeof(id), "local::/srv/data/%s/uploads/", s->users[u].uid);
    s->users[u].uploads = strlen(id) > 64 ? 0 : add_storage(s, id);
    (void)snprintf(id, sizeof(id), "%s%s", u % 2 ? "object::user:" : "home::", s->users[u].uid);
    s->users[u].storage = storage = add_storage(s, id);
    s->users[u].root = add_node(s, storage, -1, "", true)->values[FC_FILEID].i;
    add_node(s, storage, s->users[u].root, "cache", true);
    s->users[u].files = add_node(s, storage, s->users[u].root, "files", true)->values[FC_FILEID].i;
    s->users[u].trash = s->users[u].versions = 0;
}

static inline int
user_of(struct source *s, int64_t storage)
{
    for (int u = 0; u < SOURCE_USERS; u++) {
        if (s->users[u].there && s->users[u].storage == storage)
            return u;
    }
    return -1;
}

/* A folder of a home that is made when it is first needed. */
static inline int64_t
home_folder(struct source *s, int u, const char *path, int64_t *known)
{
    const char *slash = strrchr(path, '/');
    int64_t parent = s->users[u].root;

    if (*known && node(s, *known))
        return *known;
    if (slash)
        parent =
            add_node(s, s->users[u].storage, parent, "files_trashbin", true)->values[FC_FILEID].i;
    *known = add_node(s, s->users[u].storage, parent, path, true)->values[FC_FILEID].i;
    return *known;
}

static inline void
new_node(struct source *s, bool folder, const char *name)
{
    struct source_row *at = live(s, true), *row;
    char path[1200];
    int64_t parent;

    if (!at || child(s, at->values[FC_FILEID].i, name))
        return;
    parent = at->values[FC_FILEID].i;
    path_below(path, sizeof(path), at, name);
    row = add_node(s, at->values[FC_STORAGE].i, parent, path, folder);
    if (folder)
        set(s, row, FC_SIZE, num(0));
    else if (chance(s, 3) == 0) /* in two steps */
        set(s, row, FC_SIZE, num(77));
    propagate(s, parent);
}

/* Chunks have a storage of their own, which nobody watches. */
static inline void
upload_in_chunks(struct source *s, const char *name)
{
    int u = (int)chance(s, SOURCE_USERS);
    struct source_row *top, *chunk;

    if (!s->users[u].there || !s->users[u].storage || !s->users[u].uploads)
        return;
    top = add_node(s, s->users[u].uploads, -1, "17000", true);
    chunk = add_node(s, s->users[u].uploads, top->values[FC_FILEID].i, "17000/00001", false);
    new_node(s, false, name);
    delete_row(s, top);
    delete_row(s, chunk);
}

static inline void
overwrite(struct source *s)
{
    struct source_row *row = live(s, false);
    char path[1300];
    int u;

    if (!row || row->values[FC_MIMETYPE].i == SRC_FOLDER)
        return;
    u = user_of(s, row->values[FC_STORAGE].i);
    if (u >= 0 && chance(s, 2)) {
        int64_t parent = home_folder(s, u, "files_versions", &s->users[u].versions);

        (void)snprintf(path, sizeof(path), "files_versions/%s.v%" PRId64,
                       strrchr(path_of(row), '/') + 1, row->values[FC_MTIME].i);
        set(s, add_node(s, s->users[u].storage, parent, path, false), FC_CHECKSUM, txt(s, ""));
    }
    set(s, row, FC_SIZE, num((int64_t)chance(s, 9000)));
    set(s, row, FC_MTIME, num(1700000000 + ++s->clock));
    propagate(s, row->values[FC_PARENT].i);
}

static inline bool
below(struct source *s, const struct source_row *r, int64_t top)
{
    int64_t id = r->values[FC_FILEID].i;

    for (int depth = 0; depth < 60; depth++) {
        struct source_row *at = node(s, id);

        if (id == top)
            return true;
        if (!at)
            return false;
        id = at->values[FC_PARENT].i;
    }
    return true;
}

/* Renames and moves, also to other people's storages and to external ones. */
static inline void
move_somewhere(struct source *s, const char *name)
{
    struct source_row *row = live(s, false), *to = live(s, true);
    char path[1300];

    if (row && s->external && chance(s, 8) == 0) {
        move_node(s, row, s->external, 1, name);
        return;
    }
    if (!row || !to || below(s, to, row->values[FC_FILEID].i) ||
        child(s, to->values[FC_FILEID].i, name))
        return;
    path_below(path, sizeof(path), to, name);
    move_node(s, row, to->values[FC_STORAGE].i, to->values[FC_FILEID].i, path);
    propagate(s, to->values[FC_FILEID].i);
}

static inline void
back_from_external(struct source *s, const char *name)
{
    struct source_row *row = pick(s, LS_T_FILECACHE, FC_STORAGE, s->external), *to = live(s, true);
    char path[1300];

    if (!s->external || !row || !to || child(s, to->values[FC_FILEID].i, name))
        return;
    path_below(path, sizeof(path), to, name);
    move_node(s, row, to->values[FC_STORAGE].i, to->values[FC_FILEID].i, path);
}

static inline void
to_trash(struct source *s)
{
    struct source_row *row = live(s, false);
    struct ls_value v[LS_MAX_COLUMNS] = {0};
    char path[1300], name[300], time[32];
    int64_t parent;
    int u = row ? user_of(s, row->values[FC_STORAGE].i) : -1;

    if (u < 0)
        return;
    (void)snprintf(name, sizeof(name), "%.250s", strrchr(path_of(row), '/') + 1);
    (void)snprintf(time, sizeof(time), "%" PRId64, 1700000000 + ++s->clock);
    (void)snprintf(path, sizeof(path), "files_trashbin/files/%s.d%s", name, time);
    parent = home_folder(s, u, "files_trashbin/files", &s->users[u].trash);
    move_node(s, row, s->users[u].storage, parent, path);
    if (row->values[FC_MIMETYPE].i != SRC_FOLDER)
        set(s, row, FC_MIMETYPE, num(SRC_STREAM));
    v[FT_AUTO_ID] = num(++s->next_id);
    v[FT_ID] = txt(s, name);
    v[FT_USER] = txt(s, s->users[u].uid);
    v[FT_TIMESTAMP] = txt(s, time);
    v[FT_LOCATION] = txt(s, ".");
    insert(s, LS_T_FILES_TRASH, v);
}

/* The file of a trash entry. */
static inline struct source_row *
trashed(struct source *s, const struct source_row *entry)
{
    char name[400];

    (void)snprintf(name, sizeof(name), "%s.d%s", entry->values[FT_ID].s.p,
                   entry->values[FT_TIMESTAMP].s.p);
    for (int u = 0; u < SOURCE_USERS; u++) {
        if (ls_str_is(entry->values[FT_USER].s, s->users[u].uid))
            return child(s, s->users[u].trash, name);
    }
    return NULL;
}

static inline void
restore(struct source *s, const char *name)
{
    struct source_row *entry = pick(s, LS_T_FILES_TRASH, -1, 0);
    struct source_row *row = entry ? trashed(s, entry) : NULL, *to = live(s, true);
    char path[1300];

    if (!row || !to || to->values[FC_STORAGE].i != row->values[FC_STORAGE].i ||
        child(s, to->values[FC_FILEID].i, name))
        return;
    path_below(path, sizeof(path), to, name);
    move_node(s, row, row->values[FC_STORAGE].i, to->values[FC_FILEID].i, path);
    set(s, row, FC_CHECKSUM, txt(s, ""));
    delete_row(s, entry);
}

/* The row first, then what is below. */
static inline void
delete_tree(struct source *s, struct source_row *row)
{
    int64_t fileid = row->values[FC_FILEID].i;

    delete_row(s, row);
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == LS_T_FILECACHE && r->values[FC_PARENT].i == fileid)
            delete_tree(s, r);
    }
}

static inline void
purge(struct source *s)
{
    struct source_row *entry = pick(s, LS_T_FILES_TRASH, -1, 0);
    struct source_row *row = entry ? trashed(s, entry) : NULL;

    if (!entry)
        return;
    delete_row(s, entry);
    if (row)
        delete_tree(s, row);
}

static inline void
share(struct source *s)
{
    static const int64_t kinds[] = {0, 1, 3, 2, 6};
    struct source_row *row = live(s, false);
    struct ls_value v[LS_MAX_COLUMNS] = {0};
    int to = (int)chance(s, SOURCE_USERS);
    bool folder;
    int64_t kind = kinds[chance(s, 5)];
    int u = row ? user_of(s, row->values[FC_STORAGE].i) : -1;
    char source[32];

    if (u < 0 || !s->users[to].there)
        return;
    folder = row->values[FC_MIMETYPE].i == SRC_FOLDER;
    (void)snprintf(source, sizeof(source), "%" PRId64, row->values[FC_FILEID].i);
    v[SH_ID] = num(++s->next_id);
    v[SH_SHARE_TYPE] = num(kind);
    if (kind != 3)
        v[SH_SHARE_WITH] = txt(s, kind == 1   ? "staff"
                                  : kind == 6 ? "zoe@far.example"
                                              : s->users[to].uid);
    if (kind == 2)
        v[SH_PARENT] = num(v[SH_ID].i + 1); /* whatever that is */
    v[SH_UID_OWNER] = v[SH_UID_INITIATOR] = txt(s, s->users[u].uid);
    v[SH_ITEM_TYPE] = txt(s, folder ? "folder" : "file");
    v[SH_ITEM_SOURCE] = txt(s, source);
    v[SH_FILE_SOURCE] = row->values[FC_FILEID];
    v[SH_FILE_TARGET] = txt(s, "/shared");
    v[SH_PERMISSIONS] = num(folder ? 15 : 3);
    v[SH_STIME] = num(1700000000 + s->clock);
    v[SH_ACCEPTED] = num(0);
    insert(s, LS_T_SHARE, v);
}

static inline void
change_share(struct source *s)
{
    struct source_row *row = pick(s, LS_T_SHARE, -1, 0);

    if (!row)
        return;
    switch (chance(s, 7)) {
    case 0:
        delete_row(s, row);
        break;
    case 4:
        set(s, row, SH_EXPIRATION,
            txt(s, chance(s, 3) ? "2031-01-01 00:00:00" : "0000-00-00 00:00:00"));
        break;
    case 5:
        set(s, row, SH_ATTRIBUTES, txt(s, "[[\"permissions\",\"download\",false]]"));
        break;
    case 6:
        if (row->values[SH_SHARE_TYPE].i == 3)
            set(s, row, SH_SHARE_WITH, txt(s, chance(s, 2) ? LS_MASKED : "1|$argon2id$x"));
        break;
    case 1:
        set(s, row, SH_ACCEPTED, num((int64_t)chance(s, 3)));
        break;
    case 2:
        set(s, row, SH_PERMISSIONS, num(1));
        break;
    default:
        set(s, row, SH_FILE_TARGET, txt(s, "/elsewhere/shared (2)"));
    }
}

static inline void
membership(struct source *s)
{
    int u = (int)chance(s, SOURCE_USERS);
    struct ls_value v[LS_MAX_COLUMNS] = {0};

    if (!s->users[u].there)
        return;
    v[GU_GID] = txt(s, "staff");
    v[GU_UID] = txt(s, s->users[u].uid);
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == LS_T_GROUP_USER && same_value(&r->values[GU_UID], &v[GU_UID])) {
            delete_row(s, r);
            return;
        }
    }
    insert(s, LS_T_GROUP_USER, v);
}

/* Rows of a table of which a column holds this uid, or this number. */
static inline void
delete_where(struct source *s, enum ls_table_id table, int column, struct ls_value value)
{
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == table && same_value(&r->values[column], &value))
            delete_row(s, r);
    }
}

static inline void
delete_user(struct source *s)
{
    int u = (int)chance(s, SOURCE_USERS);
    struct ls_value uid = txt(s, s->users[u].uid);

    if (!s->users[u].there)
        return;
    delete_where(s, LS_T_FILES_TRASH, FT_USER, uid);
    delete_where(s, LS_T_GROUP_USER, GU_UID, uid);
    if (s->users[u].storage) {
        delete_where(s, LS_T_STORAGES, ST_NUMERIC_ID, num(s->users[u].storage));
        delete_where(s, LS_T_FILECACHE, FC_STORAGE, num(s->users[u].storage));
    }
    delete_where(s, LS_T_ACCOUNTS, AC_USER_ID, uid);
    delete_where(s, LS_T_SHARE, SH_SHARE_WITH, uid);
    delete_where(s, LS_T_SHARE, SH_UID_OWNER, uid);
    s->users[u].there = false;
}

/* The row of `files` itself goes to the other one, who keeps it as a folder; a new one is made. */
static inline void
transfer_ownership(struct source *s)
{
    int from = (int)chance(s, SOURCE_USERS), to = (int)chance(s, SOURCE_USERS);
    struct source_row *files, *target;
    char path[200];

    if (from == to || !s->users[from].there || !s->users[to].there || !s->users[from].storage ||
        !s->users[to].storage)
        return;
    files = node(s, s->users[from].files);
    target = node(s, s->users[to].files);
    (void)snprintf(path, sizeof(path), "files/transferred from %d on %" PRId64, from, ++s->clock);
    move_node(s, files, s->users[to].storage, target->values[FC_FILEID].i, path);
    s->users[from].files = add_node(s, s->users[from].storage, s->users[from].root, "files", true)
                               ->values[FC_FILEID]
                               .i;
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (!r->gone && r->table == LS_T_SHARE &&
            ls_str_is(r->values[SH_UID_OWNER].s, s->users[from].uid))
            set(s, r, SH_UID_OWNER, txt(s, s->users[to].uid));
    }
}

static inline void
account_changes(struct source *s)
{
    struct source_row *row = pick(s, LS_T_ACCOUNTS, -1, 0);

    if (row && chance(s, 2))
        set(s, row, AC_STATE, num(1 + (int64_t)chance(s, 2)));
    else if (row)
        set(s, row, AC_QUOTA, txt(s, "5 GB"));
}

static inline bool
same_key(const struct ls_table *t, const struct ls_value *a, const struct ls_value *b)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        if (t->columns[i].key && !same_value(&a[i], &b[i]))
            return false;
    }
    return true;
}

/* Whatever a table holds beside files, shares and accounts: a row comes, changes or goes. */
static inline void
lesser_row(struct source *s)
{
    static const enum ls_table_id tables[] = {
        LS_T_USERS,          LS_T_PREFERENCES,         LS_T_LDAP_USER_MAPPING,
        LS_T_VCATEGORY,      LS_T_VCATEGORY_TO_OBJECT, LS_T_PROPERTIES,
        LS_T_SHARE_EXTERNAL, LS_T_TRUSTED_SERVERS,     LS_T_LDAP_GROUP_MAPPING,
        LS_T_SYSTEMTAG,      LS_T_SYSTEMTAG_MAPPING};
    static const char *const texts[] = {
        "files", "quota", "5 GB", "none", "_$!<Favorite>!$_", "https://other.example/", "a/b%c"};
    const struct ls_table *t = &ls_tables[tables[chance(s, 11)]];
    struct ls_value v[LS_MAX_COLUMNS] = {0};

    for (size_t i = 0; i < t->n_columns; i++)
        v[i] = t->columns[i].type == LS_V_INT ? num(1 + (int64_t)chance(s, 6))
                                              : txt(s, texts[chance(s, 7)]);
    if (t->id == LS_T_SHARE_EXTERNAL)
        v[SX_ACCEPTED] = num((int64_t)chance(s, 2));
    if (t->id == LS_T_SYSTEMTAG_MAPPING) {
        char number[8];

        snprintf(number, sizeof(number), "%d", (int)(1 + chance(s, 6)));
        v[GO_OBJECTTYPE] = txt(s, chance(s, 4) ? "files" : "calendars");
        v[GO_OBJECTID] = txt(s, number);
    }
    if (t->id == LS_T_PREFERENCES) { /* capture sends no others */
        v[PF_APPID] = txt(s, "files");
        v[PF_CONFIGKEY] = txt(s, "quota");
    }
    for (int i = 0; i < s->n_rows; i++) {
        struct source_row *r = &s->rows[i];

        if (r->gone || r->table != t->id || !same_key(t, r->values, v))
            continue;
        if (chance(s, 2))
            update(s, r, v);
        else
            delete_row(s, r);
        return;
    }
    insert(s, t->id, v);
}

static inline void
source_begin(struct source *s, uint64_t seed)
{
    static const char *const types[] = {"httpd", "httpd/unix-directory", "text/plain",
                                        "application/octet-stream"};
    struct ls_value v[LS_MAX_COLUMNS] = {0};

    s->seed = seed;
    s->next_id = 100;
    for (int i = 0; i < 4; i++) {
        v[MT_ID] = num(i + 1);
        v[MT_MIMETYPE] = txt(s, types[i]);
        insert(s, LS_T_MIMETYPES, v);
    }
    memset(v, 0, sizeof(v));
    v[GR_GID] = txt(s, "staff");
    insert(s, LS_T_GROUPS, v);
    for (int u = 0; u < 3; u++) {
        add_user(s, u);
        first_login(s, u);
    }
}

static inline void
source_act(struct source *s)
{
    static const char *const names[] = {"a", "b", "files", "p", "a.txt"}; /* they collide */
    const char *name = names[chance(s, 5)];
    uint64_t what = chance(s, 110);
    int u = (int)chance(s, SOURCE_USERS);

    if (what < 24)
        new_node(s, what < 12, name);
    else if (what < 28)
        upload_in_chunks(s, name);
    else if (what < 36)
        overwrite(s);
    else if (what < 54)
        move_somewhere(s, name);
    else if (what < 57)
        back_from_external(s, name);
    else if (what < 66)
        to_trash(s);
    else if (what < 71)
        restore(s, name);
    else if (what < 75)
        purge(s);
    else if (what < 81)
        share(s);
    else if (what < 87)
        change_share(s);
    else if (what < 88)
        membership(s);
    else if (what < 91)
        account_changes(s);
    else if (what < 93)
        add_user(s, u);
    else if (what < 95)
        first_login(s, u);
    else if (what < 96)
        delete_user(s);
    else if (what < 98)
        transfer_ownership(s);
    else if (what >= 100)
        lesser_row(s);
    else if (!s->external)
        s->external = add_storage(s, "smb::someone@host//share/");
}

#endif
