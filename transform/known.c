/*
 * Storages, mimetypes and accounts, as hash tables.
 *
 * What it knows: which numeric storage is whose home, and what the other storages are good for.
 * oC10 writes md5(id) instead of an id of more than 64 bytes, and an md5 says nothing of itself:
 * such a storage is told apart only by hashing what the known accounts would give (their two kinds
 * of home, their upload area, the data directory their homes lie in). Only strings that really are
 * longer than 64 bytes are hashed, so that a hundred thousand accounts cost nothing.
 *
 * What can go wrong: an account that comes after its md5 storage. Until then the storage is
 * UNRESOLVED, which is not IGNORED: its files travel on and wait at the end of the pipe. A user who
 * is deleted and made again has two storages with one id: the later row answers for the id, the
 * earlier one keeps its own number.
 */
#include "transform/known.h"
#include "transform/projects.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct storage {
    int64_t number;
    struct ls_seq seq;
    bool deleted;
    size_t n;
    UT_hash_handle hh;
    char id[]; /* oc_storages.id, NUL-terminated */
};

/* oc_storages.id -> the number of its latest row */
struct id_entry {
    int64_t number;
    bool several; /* rows there were */
    UT_hash_handle hh;
    char id[];
};

struct named {
    int64_t number;
    struct ls_seq seq;
    size_t n;
    UT_hash_handle hh;
    char text[];
};

/* What an account makes of a storage id: the key is the id as oc_storages would hold it. */
struct resolved {
    enum tf_storage_class class;
    const char *reason;
    size_t owner_n;
    char *owner;
    UT_hash_handle hh;
    char id[];
};

struct tf_known {
    struct storage *storages;
    struct id_entry *ids;
    struct named *mimetypes;
    struct named *accounts; /* text: the uid */
    struct resolved *resolved;
    const struct tf_projects *projects;
    bool storages_complete;
    struct ls_seq certain;
    struct ls_seq storages_fed, accounts_fed; /* the last ones of their topics */
};

static const struct {
    const char *reason;
    const char *filtered;
} reasons[] = {
    {"external", "storage-external"},
    {"federated", "storage-federated"},
    {"uploads", "storage-uploads"},
    {"datadir", "storage-datadir"},
};

struct tf_known *
tf_known_new(void)
{
    return calloc(1, sizeof(struct tf_known));
}

void
tf_known_set_projects(struct tf_known *known, const struct tf_projects *projects)
{
    known->projects = projects;
}

static void
named_free(struct named **table)
{
    struct named *m = *table, *next;

    HASH_CLEAR(hh, *table);
    for (; m; m = next) {
        next = m->hh.next;
        free(m);
    }
}

void
tf_known_free(struct tf_known *known)
{
    struct storage *s, *s_next;
    struct id_entry *i, *i_next;
    struct resolved *r, *r_next;

    if (!known)
        return;
    s = known->storages;
    i = known->ids;
    r = known->resolved;
    HASH_CLEAR(hh, known->storages);
    HASH_CLEAR(hh, known->ids);
    HASH_CLEAR(hh, known->resolved);
    for (; s; s = s_next) {
        s_next = s->hh.next;
        free(s);
    }
    for (; i; i = i_next) {
        i_next = i->hh.next;
        free(i);
    }
    for (; r; r = r_next) {
        r_next = r->hh.next;
        free(r->owner);
        free(r);
    }
    named_free(&known->mimetypes);
    named_free(&known->accounts);
    free(known);
}

static int
no_memory(struct ls_err *err)
{
    return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "out of memory for the small tables");
}

static bool
starts_with(struct ls_str s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.p && s.n > n && memcmp(s.p, prefix, n) == 0;
}

static bool
ends_with(struct ls_str s, const char *suffix)
{
    size_t n = strlen(suffix);

    return s.p && s.n >= n && memcmp(s.p + s.n - n, suffix, n) == 0;
}

static bool
is_md5(struct ls_str s)
{
    if (!s.p || s.n != 32)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    }
    return true;
}

/* The id as oC10 stores it: itself, or its md5 in hex. `out` holds 33 bytes. */
static struct ls_str
stored_id(struct ls_str id, char *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int n = 0;

    if (id.n <= TF_STORAGE_ID_MAX)
        return id;
    if (EVP_Digest(id.p, id.n, digest, &n, EVP_md5(), NULL) != 1 || n != 16)
        return LS_STR_NULL;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[32] = '\0';
    return (struct ls_str){out, 32};
}

/* ---- asking */

static struct tf_storage
ignored(struct ls_str id, const char *reason)
{
    struct tf_storage ret = {.class = TF_STORAGE_IGNORED, .reason = reason, .source_id = id};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (strcmp(reasons[i].reason, reason) == 0)
            ret.filtered = reasons[i].filtered;
    }
    return ret;
}

static struct tf_storage
personal(struct ls_str id, struct ls_str owner)
{
    return (struct tf_storage){.class = TF_STORAGE_PERSONAL, .source_id = id, .owner = owner};
}

struct tf_storage
tf_known_classify(const struct tf_known *known, struct ls_str id)
{
    static const char *const homes[] = {"home::", "object::user:"};
    const struct resolved *r = NULL;
    struct tf_project project;

    for (size_t i = 0; i < 2; i++) {
        if (starts_with(id, homes[i])) {
            size_t n = strlen(homes[i]);

            return personal(id, (struct ls_str){id.p + n, id.n - n});
        }
    }
    if (id.p)
        HASH_FIND(hh, known->resolved, id.p, id.n, r);
    if (r && r->class == TF_STORAGE_PERSONAL)
        return personal(id, (struct ls_str){r->owner, r->owner_n});
    if (r)
        return ignored(id, r->reason);
    if (starts_with(id, "shared::"))
        return ignored(id, "federated");
    if (starts_with(id, "local::") && ends_with(id, "/uploads/"))
        return ignored(id, "uploads");
    if (tf_projects_find(known->projects, id, is_md5(id), &project))
        return (struct tf_storage){.class = TF_STORAGE_PROJECT,
                                   .source_id = id,
                                   .owner = project.owner,
                                   .name = project.name};
    if (is_md5(id))
        return (struct tf_storage){
            .class = TF_STORAGE_UNRESOLVED, .reason = "unknown", .source_id = id};
    return ignored(id, "external");
}

static const struct storage *
find_storage(const struct tf_known *known, int64_t number)
{
    const struct storage *s = NULL;

    HASH_FIND(hh, known->storages, &number, sizeof(number), s);
    return s;
}

struct tf_storage
tf_known_storage(const struct tf_known *known, int64_t storage)
{
    const struct storage *s = find_storage(known, storage);
    struct tf_storage ret;

    if (!s)
        return (struct tf_storage){.class = TF_STORAGE_UNKNOWN, .reason = "unknown"};
    ret = tf_known_classify(known, (struct ls_str){s->id, s->n});
    ret.deleted = s->deleted;
    return ret;
}

static const struct id_entry *
find_id(const struct tf_known *known, struct ls_str source_id)
{
    const struct id_entry *e = NULL;
    char hex[33];
    struct ls_str id = stored_id(source_id, hex);

    if (id.p)
        HASH_FIND(hh, known->ids, id.p, id.n, e);
    return e;
}

int64_t
tf_known_storage_by_id(const struct tf_known *known, struct ls_str source_id)
{
    const struct id_entry *e = find_id(known, source_id);

    return e ? e->number : LS_NO_STORAGE;
}

static const struct id_entry *
home_with_prefix(const struct tf_known *known, const char *prefix, struct ls_str uid)
{
    const struct id_entry *ret = NULL;
    struct ls_buf id;

    ls_buf_init(&id, 4096);
    if (ls_buf_append(&id, prefix, strlen(prefix)) == 0 && ls_buf_append(&id, uid.p, uid.n) == 0)
        ret = find_id(known, (struct ls_str){(const char *)id.p, id.n});
    ls_buf_free(&id);
    return ret;
}

int64_t
tf_known_home(const struct tf_known *known, struct ls_str uid)
{
    const struct id_entry *home, *object;
    const struct storage *h, *o;

    if (!uid.p || uid.n == 0)
        return LS_NO_STORAGE;
    home = home_with_prefix(known, "home::", uid);
    object = home_with_prefix(known, "object::user:", uid);
    h = home ? find_storage(known, home->number) : NULL;
    o = object ? find_storage(known, object->number) : NULL;
    if (h && o)
        return h->deleted && !o->deleted ? o->number : h->number;
    return h ? h->number : o ? o->number : LS_NO_STORAGE;
}

int64_t
tf_known_only_home(const struct tf_known *known, struct ls_str uid)
{
    const struct id_entry *home, *object;

    if (!uid.p || uid.n == 0)
        return LS_NO_STORAGE;
    home = home_with_prefix(known, "home::", uid);
    object = home_with_prefix(known, "object::user:", uid);
    if ((home && object) || (home && home->several) || (object && object->several))
        return LS_NO_STORAGE;
    return home ? home->number : object ? object->number : LS_NO_STORAGE;
}

bool
tf_known_storages_complete(const struct tf_known *known)
{
    return known->storages_complete;
}

static struct ls_str
text_of(const struct named *table, int64_t number)
{
    const struct named *m = NULL;

    HASH_FIND(hh, table, &number, sizeof(number), m);
    return m ? (struct ls_str){m->text, m->n} : LS_STR_NULL;
}

struct ls_str
tf_known_mimetype(const struct tf_known *known, int64_t id)
{
    return text_of(known->mimetypes, id);
}

struct ls_str
tf_known_uid(const struct tf_known *known, int64_t account_id)
{
    return text_of(known->accounts, account_id);
}

void
tf_known_set_certain(struct tf_known *known, struct ls_seq seq)
{
    if (ls_seq_cmp(seq, known->certain) > 0)
        known->certain = seq;
}

bool
tf_known_certain(const struct tf_known *known, struct ls_seq seq)
{
    return ls_seq_cmp(seq, known->certain) <= 0;
}

bool
tf_known_passed(const struct tf_known *known, struct ls_seq seq)
{
    return ls_seq_cmp(seq, known->storages_fed) < 0 && ls_seq_cmp(seq, known->accounts_fed) < 0;
}

/* ---- feeding */

static int
put_id(struct tf_known *known, const struct storage *s, struct ls_err *err)
{
    struct id_entry *e = NULL;

    HASH_FIND(hh, known->ids, s->id, s->n, e);
    if (e) {
        const struct storage *held = find_storage(known, e->number);

        e->several = e->several || e->number != s->number;
        if (!held || ls_seq_cmp(s->seq, held->seq) >= 0)
            e->number = s->number;
        return 0;
    }
    e = calloc(1, sizeof(*e) + s->n + 1);
    if (!e)
        return no_memory(err);
    memcpy(e->id, s->id, s->n);
    e->number = s->number;
    HASH_ADD_KEYPTR(hh, known->ids, e->id, s->n, e);
    if (!e->hh.tbl) {
        free(e);
        return no_memory(err);
    }
    return 0;
}

static int
feed_storage(struct tf_known *known, const struct ls_envelope *e, struct ls_err *err)
{
    const struct ls_value *row = e->has_after ? e->after : e->before;
    struct storage *s = NULL;
    int64_t number = row[ST_NUMERIC_ID].i;
    struct ls_str id = row[ST_ID].kind == LS_V_TEXT ? row[ST_ID].s : LS_STR_NULL;

    if (row[ST_NUMERIC_ID].kind != LS_V_INT)
        return 0;
    HASH_FIND(hh, known->storages, &number, sizeof(number), s);
    if (s && ls_seq_cmp(e->seq, s->seq) < 0)
        return 0;
    if (e->op == LS_OP_DELETE) {
        if (s) {
            s->deleted = true;
            s->seq = e->seq;
        }
        return 0;
    }
    if (!id.p)
        return 0;
    if (s && !(s->n == id.n && memcmp(s->id, id.p, id.n) == 0)) {
        HASH_DEL(known->storages, s);
        free(s);
        s = NULL;
    }
    if (!s) {
        s = calloc(1, sizeof(*s) + id.n + 1);
        if (!s)
            return no_memory(err);
        memcpy(s->id, id.p, id.n);
        s->n = id.n;
        s->number = number;
        HASH_ADD(hh, known->storages, number, sizeof(s->number), s);
        if (!s->hh.tbl) {
            free(s);
            return no_memory(err);
        }
    }
    s->seq = e->seq;
    s->deleted = false;
    return put_id(known, s, err);
}

static int
feed_named(struct named **table, int64_t number, struct ls_str text, struct ls_seq seq,
           struct ls_err *err)
{
    struct named *m = NULL;

    HASH_FIND(hh, *table, &number, sizeof(number), m);
    if (m && ls_seq_cmp(seq, m->seq) < 0)
        return 0;
    if (m && m->n == text.n && memcmp(m->text, text.p, text.n) == 0) {
        m->seq = seq;
        return 0;
    }
    if (m) {
        HASH_DEL(*table, m);
        free(m);
    }
    m = calloc(1, sizeof(*m) + text.n + 1);
    if (!m)
        return no_memory(err);
    memcpy(m->text, text.p, text.n);
    m->n = text.n;
    m->number = number;
    m->seq = seq;
    HASH_ADD(hh, *table, number, sizeof(m->number), m);
    if (!m->hh.tbl) {
        free(m);
        return no_memory(err);
    }
    return 0;
}

/* Remembers that a storage with this full id belongs to `owner` or is ignored for `reason`. */
static int
put_resolved(struct tf_known *known, struct ls_buf *full, struct ls_str owner, const char *reason,
             struct ls_err *err)
{
    char hex[33];
    struct ls_str id = stored_id((struct ls_str){(const char *)full->p, full->n}, hex);
    struct resolved *r = NULL;

    if (full->failed || !id.p)
        return no_memory(err);
    HASH_FIND(hh, known->resolved, id.p, id.n, r);
    if (r)
        return 0;
    r = calloc(1, sizeof(*r) + id.n + 1);
    if (!r)
        return no_memory(err);
    memcpy(r->id, id.p, id.n);
    r->class = reason ? TF_STORAGE_IGNORED : TF_STORAGE_PERSONAL;
    r->reason = reason;
    if (owner.p) {
        r->owner = strndup(owner.p, owner.n);
        r->owner_n = owner.n;
        if (!r->owner) {
            free(r);
            return no_memory(err);
        }
    }
    HASH_ADD_KEYPTR(hh, known->resolved, r->id, id.n, r);
    if (!r->hh.tbl) {
        free(r->owner);
        free(r);
        return no_memory(err);
    }
    return 0;
}

/* What the storages of this account would be called, where the name alone does not say it. */
static int
resolve_account(struct tf_known *known, struct ls_str uid, struct ls_str home, struct ls_err *err)
{
    static const char *const homes[] = {"home::", "object::user:"};
    struct ls_buf id;
    int r = 0;

    ls_buf_init(&id, 16384);
    for (size_t i = 0; i < 2 && r == 0; i++) {
        ls_buf_clear(&id);
        ls_buf_append(&id, homes[i], strlen(homes[i]));
        ls_buf_append(&id, uid.p, uid.n);
        if (id.n > TF_STORAGE_ID_MAX)
            r = put_resolved(known, &id, uid, NULL, err);
    }
    while (home.n > 1 && home.p[home.n - 1] == '/')
        home.n--;
    if (r == 0 && home.n > 1) {
        const char *slash = memrchr(home.p, '/', home.n);

        ls_buf_clear(&id);
        ls_buf_append(&id, "local::", 7);
        ls_buf_append(&id, home.p, home.n);
        ls_buf_append(&id, "/uploads/", 9);
        if (id.n > TF_STORAGE_ID_MAX)
            r = put_resolved(known, &id, LS_STR_NULL, "uploads", err);
        if (r == 0 && slash && slash > home.p) {
            ls_buf_clear(&id);
            ls_buf_append(&id, "local::", 7);
            ls_buf_append(&id, home.p, (size_t)(slash - home.p) + 1);
            r = put_resolved(known, &id, LS_STR_NULL, "datadir", err);
        }
    }
    ls_buf_free(&id);
    return r;
}

static int
feed_account(struct tf_known *known, const struct ls_envelope *e, struct ls_err *err)
{
    const struct ls_value *row = e->after;
    struct ls_str home = LS_STR("");

    /* A deleted account stays known: its storage's rows go after it. */
    if (!e->has_after || row[AC_ID].kind != LS_V_INT || row[AC_USER_ID].kind != LS_V_TEXT)
        return 0;
    if (row[AC_HOME].kind == LS_V_TEXT)
        home = row[AC_HOME].s;
    if (feed_named(&known->accounts, row[AC_ID].i, row[AC_USER_ID].s, e->seq, err) < 0)
        return -1;
    return resolve_account(known, row[AC_USER_ID].s, home, err);
}

static void
note_fed(struct tf_known *known, const struct ls_envelope *e)
{
    struct ls_seq *fed = e->table->id == LS_T_STORAGES   ? &known->storages_fed
                         : e->table->id == LS_T_ACCOUNTS ? &known->accounts_fed
                                                         : NULL;

    if (fed && ls_seq_cmp(e->seq, *fed) > 0)
        *fed = e->seq;
}

static int
feed(struct tf_known *known, const struct ls_envelope *e, struct ls_err *err)
{
    if (e->op == LS_OP_END && e->table->id == LS_T_STORAGES)
        known->storages_complete = true;
    if (e->op == LS_OP_BEGIN || e->op == LS_OP_END || e->op == LS_OP_HEARTBEAT)
        return 0;
    switch (e->table->id) {
    case LS_T_STORAGES:
        return feed_storage(known, e, err);
    case LS_T_MIMETYPES:
        if (!e->has_after || e->after[MT_ID].kind != LS_V_INT ||
            e->after[MT_MIMETYPE].kind != LS_V_TEXT)
            return 0;
        return feed_named(&known->mimetypes, e->after[MT_ID].i, e->after[MT_MIMETYPE].s, e->seq,
                          err);
    case LS_T_ACCOUNTS:
        return feed_account(known, e, err);
    default:
        return 0;
    }
}

int
tf_known_feed(struct tf_known *known, const struct ls_envelope *e, struct ls_err *err)
{
    if (feed(known, e, err) < 0)
        return -1;
    note_fed(known, e);
    return 0;
}
