/*
 * What only an exact writer keeps of shares and links: ids, times, tokens, password hashes.
 *
 * No answer of the target is compared with these; instead a mark of all that was given stands in
 * the ledger, and another mark means that it has to be given anew. Other writers have no marks, so
 * whoever changes to the exact one gives all of it once.
 *
 * An exact writer makes ids that are known beforehand. Before it is asked to make something, that
 * id is written down as an intent: when the answer is lost with us, and the source wants it no more
 * by then, it is taken away by that. One id stands there, so what may have been made by it goes
 * before another one is written down. Over the sharing API no id is known before the answer; there
 * it is written down for whom it is made, for a group may be gone by then, or be another one.
 */
#include "apply/ocis/share_files.h"
#include "apply/plan/shares_parts.h"
#include "common/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
mark_text(unsigned long long *hash, const char *text)
{
    do /* with its end */
        *hash = (*hash ^ (unsigned char)*text) * 1099511628211ull;
    while (*text++);
}

/* Of all that the target is given and that is compared in no other way (FNV-1a). */
void
ap_mark_make(struct ap_core *core, struct ap_job *job)
{
    unsigned long long hash = 14695981039346656037ull;
    char time[24];

    job->mark[0] = '\0';
    if (!core->writer->exact)
        return;
    snprintf(time, sizeof(time), "%lld", (long long)job->ctime);
    mark_text(&hash, time);
    mark_text(&hash, job->sharer);
    mark_text(&hash, job->token);
    mark_text(&hash, job->password_hash);
    snprintf(job->mark, sizeof(job->mark), "%016llx", hash);
}

bool
ap_mark_same(struct ap_core *core, const struct ap_job *job, struct ap_key key)
{
    return !job->mark[0] ||
           ap_number(core->ledger, 0, "SELECT 1 FROM exact WHERE kind = ? AND id = ? AND mark = ?",
                     "iis", (int64_t)key.kind, key.id, job->mark) == 1;
}

static void
mark_set(struct ap_core *core, struct ap_key key, const char *text)
{
    ap_exec(core->ledger, "INSERT OR REPLACE INTO exact(kind, id, mark) VALUES(?, ?, ?)", "iis",
            (int64_t)key.kind, key.id, text);
}

void
ap_mark_keep(struct ap_core *core, const struct ap_job *job)
{
    if (job->mark[0])
        mark_set(core, job->who, job->mark);
    else
        ap_mark_drop(core, job); /* it was made, so the intent is done */
}

void
ap_mark_drop(struct ap_core *core, const struct ap_job *job)
{
    ap_exec(core->ledger, "DELETE FROM exact WHERE kind = ? AND id = ?", "ii",
            (int64_t)job->who.kind, job->who.id);
}

bool
ap_share_number_gone(struct ap_core *core, const struct ap_space *space, const char *share_id,
                     struct ap_rows of)
{
    const char *last = strrchr(share_id, ':');
    int64_t row = last ? strtoll(last + 1, NULL, 10) : 0;
    char ours[AP_ID_SIZE];

    if (!core->writer->exact || row <= 0 ||
        ap_share_id_of(space->storage_id, space->space_id, row, ours) < 0 ||
        strcmp(ours, share_id) != 0)
        return false; /* there is none, or it is somebody else's or the sharing API's */
    return ap_number(core->ledger, 0,
                     "SELECT 1 FROM share WHERE id = ? AND fileid = ? AND type = ? AND grantee = ?"
                     " AND deleted = 0 AND (expires = 0 OR expires >= ?)",
                     "iiisi", row, of.fileid, of.type, of.grantee, ls_now_us() / 1000000) != 1;
}

/* Stands where the mark will: "?<storage> <id>", or over the sharing API "@<id of the grantee>". */
void
ap_intent_keep(struct ap_core *core, const struct ap_job *job, struct ap_key key)
{
    char id[AP_ID_SIZE], text[AP_ID_SIZE + 32];

    if (!core->writer->exact && key.kind == AP_GRANT) {
        snprintf(text, sizeof(text), "@%s", job->person_id);
        mark_set(core, key, text);
    }
    if (!core->writer->exact || job->share_id[0])
        return;
    if (key.kind == AP_LINK)
        snprintf(id, sizeof(id), "%lld", (long long)job->row);
    else if (ap_share_id_of(job->space.storage_id, job->space.space_id, job->row, id) < 0)
        return;
    snprintf(text, sizeof(text), "?%lld %s", (long long)job->op.storage, id);
    mark_set(core, key, text);
}

static bool
mark_get(struct ap_core *core, struct ap_key key, char *out, size_t size)
{
    sqlite3_stmt *s = ap_query(core->ledger, "SELECT mark FROM exact WHERE kind = ? AND id = ?",
                               "ii", (int64_t)key.kind, key.id);

    if (!ap_step(core->ledger, s))
        return false;
    ap_text(s, 0, out, size);
    ap_done(s);
    return true;
}

bool
ap_intent_grantee(struct ap_core *core, struct ap_key key, char ret_id[AP_ID_SIZE])
{
    char text[AP_ID_SIZE + 32];

    if (!mark_get(core, key, text, sizeof(text)) || text[0] != '@')
        return false;
    snprintf(ret_id, AP_ID_SIZE, "%.*s", AP_ID_SIZE - 1, text + 1);
    return true;
}

bool
ap_intent_get(struct ap_core *core, struct ap_key key, int64_t *ret_storage,
              char ret_id[AP_ID_SIZE])
{
    char text[AP_ID_SIZE + 32], *blank;

    if (!mark_get(core, key, text, sizeof(text)))
        return false;
    blank = strchr(text, ' ');
    if (text[0] != '?' || !blank)
        return false;
    *ret_storage = strtoll(text + 1, NULL, 10);
    snprintf(ret_id, AP_ID_SIZE, "%.*s", AP_ID_SIZE - 1, blank + 1);
    return true;
}

bool
ap_intent_is_other(struct ap_core *core, struct ap_key key, const struct ap_space_row *space,
                   int64_t row)
{
    char made[AP_ID_SIZE], now[AP_ID_SIZE];
    int64_t storage;

    return ap_intent_get(core, key, &storage, made) &&
           (storage != space->storage ||
            ap_share_id_of(space->target.storage_id, space->target.space_id, row, now) < 0 ||
            strcmp(made, now) != 0);
}

void
ap_secrets_get(struct ap_core *core, int64_t share, struct ap_job *job)
{
    sqlite3_stmt *s =
        ap_query(core->ledger, "SELECT token, hash FROM secret WHERE share = ?", "i", share);

    job->token[0] = job->password_hash[0] = '\0';
    if (!ap_step(core->ledger, s))
        return;
    ap_text(s, 0, job->token, sizeof(job->token));
    ap_text(s, 1, job->password_hash, sizeof(job->password_hash));
    ap_done(s);
}

/* What was made over the sharing API, before, is to get its id, times and secrets. */
void
ap_shares_make_exact(struct ap_core *core)
{
    int64_t now = ls_now_ms();

    if (!core->writer->exact)
        return;
    ap_exec(core->ledger,
            AP_WORK_OPEN
            "6, id, storage, 0, ?1, ?1 * 1000, 0, 0, 0 FROM grants AS g"
            " WHERE share_id <> '' AND NOT EXISTS (SELECT 1 FROM exact WHERE kind = 6 AND"
            " exact.id = g.id AND mark NOT LIKE '@%')" AP_UNLESS_OPEN,
            "i", now);
    ap_exec(core->ledger,
            AP_WORK_OPEN
            "8, id, storage, 0, ?1, ?1 * 1000, 0, 0, 0 FROM link AS l"
            " WHERE link_id <> '' AND NOT EXISTS (SELECT 1 FROM exact WHERE kind = 8 AND"
            " exact.id = l.id)" AP_UNLESS_OPEN,
            "i", now);
}
