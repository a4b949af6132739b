/*
 * Records of cs3.annotation into the ledger: categories, files in them, properties, tags.
 *
 * No writer carries them yet: the newest state of each is kept, and each record is counted as left,
 * as "favorite", "tag" or "property". What can go wrong: whether a file is a favourite or tagged
 * stands in its category, a row of another table that may come later. Until it is there the file
 * counts as tagged; then its records are counted anew, so that the numbers do not depend on the
 * order.
 */
#include "apply/core.h"
#include <stdio.h>
#include <string.h>

static const char *
counted_as(const char *word)
{
    return strcmp(word, "favorite") == 0   ? "left:favorite"
           : strcmp(word, "property") == 0 ? "left:property"
                                           : "left:tag";
}

static bool
key_of(const struct cs3_annotation *a, char *out, size_t size)
{
    struct ls_str type = a->object_type;
    int n;

    if (a->type == CS3_TAGGED)
        n = snprintf(out, size, "t:%lld/%lld/%.*s", (long long)a->fileid, (long long)a->id,
                     (int)type.n, type.p ? type.p : "");
    else if (a->type == CS3_SYSTEMTAGGED)
        n = snprintf(out, size, "o:files/%lld/%lld", (long long)a->fileid, (long long)a->id);
    else
        n = snprintf(out, size, "%c:%lld",
                     a->type == CS3_CATEGORY   ? 'c'
                     : a->type == CS3_PROPERTY ? 'p'
                                               : 'g',
                     (long long)a->id);
    return n > 0 && (size_t)n < size;
}

/* A deletion may carry the key alone: then it is what it was. */
static const char *
word_of(struct ap_core *core, const struct cs3_annotation *a, const char *had)
{
    bool favorite = a->favorite;

    if (a->type == CS3_PROPERTY)
        return "property";
    if (a->type == CS3_SYSTEMTAG || a->type == CS3_SYSTEMTAGGED)
        return "tag";
    if (a->head.kind == CS3_DELETE && *had)
        return had;
    if (a->type == CS3_TAGGED)
        favorite =
            ap_number(core->ledger, 0, "SELECT favorite FROM annotation WHERE type = 0 AND id = ?",
                      "i", a->id) == 1;
    return favorite ? "favorite" : "tag";
}

/* The category is known now: what was counted for the files in it goes to the right word. */
static void
count_anew(struct ap_core *core, int64_t category)
{
    int64_t n = ap_number(core->ledger, 0,
                          "SELECT sum(times) FROM annotation WHERE type = 1 AND id = ?"
                          " AND counted = 'tag'",
                          "i", category);

    if (n == 0)
        return;
    ap_exec(core->ledger,
            "UPDATE annotation SET counted = 'favorite' WHERE type = 1 AND id = ?"
            " AND counted = 'tag'",
            "i", category);
    ap_count(core->ledger, "left:tag", -n);
    ap_count(core->ledger, "left:favorite", n);
}

void
ap_take_annotation(struct ap_core *core, const struct ap_origin *at, const struct cs3_annotation *a)
{
    struct ls_seq seq = a->head.seq;
    char key[512], had[16] = "";
    const char *word;

    if (ap_take_mark(core, at, &a->head, (int)a->type))
        return;
    if (!key_of(a, key, sizeof(key))) {
        ap_take_too_long(core, at, a->id);
        return;
    }
    if (ap_is_newer(core,
                    ap_query(core->ledger,
                             "SELECT epoch, counter, part FROM annotation WHERE key = ?", "s", key),
                    seq)) {
        ap_superseded(core);
        return;
    }
    sqlite3_stmt *s =
        ap_query(core->ledger, "SELECT counted FROM annotation WHERE key = ?", "s", key);
    if (ap_step(core->ledger, s)) {
        ap_text(s, 0, had, sizeof(had));
        ap_done(s);
    }
    word = word_of(core, a, had);
    ap_exec(core->ledger,
            "INSERT OR IGNORE INTO annotation(key, type, id, fileid, object_type)"
            " VALUES(?, ?, ?, ?, ?)",
            "siiit", key, (int64_t)a->type, a->id, a->fileid, &a->object_type);
    if (a->head.kind == CS3_UPSERT)
        ap_exec(core->ledger,
                "UPDATE annotation SET fileid = ?, uid = ?, object_type = ?, name = ?,"
                " favorite = ?, value = ?, value_type = ? WHERE key = ?",
                "itttitis", a->fileid, &a->uid, &a->object_type, &a->name, (int64_t)a->favorite,
                &a->value, a->value_type, key);
    ap_exec(core->ledger,
            "UPDATE annotation SET deleted = ?2, epoch = ?3, counter = ?4, part = ?5,"
            " times = CASE WHEN counted = ?6 THEN times ELSE 0 END + 1, counted = ?6"
            " WHERE key = ?1",
            "siiiis", key, (int64_t)(a->head.kind == CS3_DELETE), (int64_t)seq.epoch, seq.counter,
            (int64_t)seq.part, word);
    ap_count(core->ledger, "in", 1);
    ap_count(core->ledger, counted_as(word), 1);
    if (a->type == CS3_CATEGORY && strcmp(word, "favorite") == 0)
        count_anew(core, a->id);
}

int64_t
ap_annotations_sweep(struct ap_core *core, enum cs3_annotation_type type, struct ls_seq begin)
{
    return ap_exec(core->ledger,
                   "UPDATE annotation SET deleted = 1, epoch = ?1, counter = ?2, part = 0"
                   " WHERE deleted = 0 AND type = ?3 AND"
                   " (epoch < ?1 OR (epoch = ?1 AND counter < ?2))",
                   "iii", (int64_t)begin.epoch, begin.counter, (int64_t)type);
}
