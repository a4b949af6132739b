/*
 * oc_files_trash -> cs3.resource: who threw what away from where, and when.
 *
 * The file itself is a row of oc_filecache under files_trashbin/files; this record only adds what
 * its place does not say. It goes into the partition of the user's home, where apply has that file.
 *
 * What can go wrong: a deletion that carries only the key, or the tombstone behind it, does not say
 * whose trash it was; and a user who was deleted and made again has another home than the entry was
 * sent to. Such a deletion goes to every partition: where nothing is there to delete it costs
 * nothing. Not all deletions do: emptying a trash would be a record for each entry and partition.
 */
#include "transform/map.h"

bool
tf_trash_asks(const struct tf_known *known, const struct ls_envelope *e)
{
    struct ls_str user = tf_text(e, FT_USER);

    return !tf_known_passed(known, e->seq) && user.p && tf_known_home(known, user) == LS_NO_STORAGE;
}

static int
trash_fill(const struct ls_envelope *e, struct cs3_resource *r, struct ls_err *err)
{
    r->name = tf_text(e, FT_ID);
    r->trash_user = tf_text(e, FT_USER);
    r->trash_location = tf_text(e, FT_LOCATION);
    r->trash_time = tf_int(e, FT_TIMESTAMP, -1);
    if (!r->name.p || r->name.n == 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "name", "trash entry %lld has no name",
                             (long long)r->fileid);
    if (r->trash_time < 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "trash-time",
                             "trash entry %lld has no usable time", (long long)r->fileid);
    return 0;
}

int
tf_trash_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
             struct tf_result *ret, struct ls_err *err)
{
    struct cs3_resource *r = tf_alloc(arena, sizeof(*r), err);
    int32_t partition = TF_ALL_PARTITIONS;
    bool delete = e->op == LS_OP_DELETE;
    int64_t home;
    struct ls_str key;

    if (!r)
        return -1;
    r->head = tf_head(e, delete ? CS3_DELETE : CS3_UPSERT);
    r->what = CS3_TRASH_INFO;
    r->fileid = tf_int(e, FT_AUTO_ID, 0);
    r->parent = 0;
    r->name = LS_STR("");
    r->class_hint = CS3_CLASS_TRASH;
    r->size = -1;
    r->moved_from = r->moved_to = r->tree_mtime = LS_NO_STORAGE;
    r->storage = tf_known_home(world->known, tf_text(e, FT_USER));
    if (r->fileid <= 0)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "fileid", "a trash entry without a number");
    if (!delete &&trash_fill(e, r, err) < 0)
        return -1;
    /* Nobody's home: the files of this trash did not travel either. */
    if (!delete &&r->storage == LS_NO_STORAGE && tf_known_storages_complete(world->known)) {
        ret->filtered = "storage-unknown";
        return 0;
    }
    home = delete ? tf_known_only_home(world->known, tf_text(e, FT_USER)) : r->storage;
    if (home != LS_NO_STORAGE)
        partition = ls_partition_of_storage(home, world->partitions);
    if (tf_key_int(arena, "t", r->fileid, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_RESOURCE, partition, key, r);
    return 0;
}
