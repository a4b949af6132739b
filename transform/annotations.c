/*
 * oc_vcategory, oc_vcategory_to_object, oc_properties, oc_systemtag, oc_systemtag_object_mapping ->
 * cs3.annotation: categories, what is in them, dead properties, tags that everybody sees and what
 * has them.
 *
 * A favourite is a file in the category that ownCloud names `_$!<Favorite>!$_`, one for each user;
 * a tag of one's own is a file in any other. A file in a category names the category by its number
 * only, and its row may come first: who reads the records joins them. Categories of contacts and
 * calendars live in the same tables; they say so in object_type. Tags that everybody sees are
 * numbered apart; what is no file has none in ownCloud, and is left out. What can go wrong: a row
 * that is deleted by its key alone. Everything but the key is null then.
 */
#include "transform/map.h"

#define FAVORITE "_$!<Favorite>!$_"

static struct cs3_annotation *
annotation_new(const struct ls_envelope *e, enum cs3_annotation_type type, struct ls_arena *arena,
               struct ls_err *err)
{
    struct cs3_annotation *a = tf_alloc(arena, sizeof(*a), err);

    if (a)
        *a = (struct cs3_annotation){
            .head = tf_head(e, e->op == LS_OP_DELETE ? CS3_DELETE : CS3_UPSERT),
            .type = type,
            .fileid = LS_NO_STORAGE,
            .value_type = 1,
            .visible = true,
            .editable = true,
            .assignable = true};
    return a;
}

static int
no_number(struct ls_err *err, const char *what)
{
    return ls_fail_cause(err, LS_ERR_POISON, 0, "annotation-id", "a %s without its number", what);
}

int
tf_category_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
                struct tf_result *ret, struct ls_err *err)
{
    struct cs3_annotation *a = annotation_new(e, CS3_CATEGORY, arena, err);
    struct ls_str key;

    (void)world;
    if (!a)
        return -1;
    a->id = tf_int(e, VC_ID, LS_NO_STORAGE);
    if (a->id == LS_NO_STORAGE)
        return no_number(err, "category");
    a->uid = tf_text(e, VC_UID);
    a->object_type = tf_text(e, VC_TYPE);
    a->name = tf_text(e, VC_CATEGORY);
    a->favorite = ls_str_is(a->object_type, "files") && ls_str_is(a->name, FAVORITE);
    if (tf_key_int(arena, "c:", a->id, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_ANNOTATION, 0, key, a);
    return 0;
}

int
tf_tagged_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
              struct tf_result *ret, struct ls_err *err)
{
    struct cs3_annotation *a = annotation_new(e, CS3_TAGGED, arena, err);
    struct ls_str place, type, key;

    (void)world;
    if (!a)
        return -1;
    a->fileid = tf_int(e, VO_OBJID, LS_NO_STORAGE);
    a->id = tf_int(e, VO_CATEGORYID, LS_NO_STORAGE);
    a->object_type = tf_text(e, VO_TYPE);
    if (a->fileid == LS_NO_STORAGE || a->id == LS_NO_STORAGE)
        return no_number(err, "file in a category");
    if (!a->object_type.p)
        a->object_type = LS_STR("");
    if (tf_key_int(arena, "t:", a->fileid, &place, err) < 0 ||
        tf_key(arena, "", a->object_type, &type, err) < 0)
        return -1;
    key = ls_str_of(
        ls_arena_printf(arena, "%s/%lld/%.*s", place.p, (long long)a->id, (int)type.n, type.p));
    if (!key.p)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "the arena of one record is full");
    tf_emit(ret, TF_ANNOTATION, 0, key, a);
    return 0;
}

int
tf_property_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
                struct tf_result *ret, struct ls_err *err)
{
    struct cs3_annotation *a = annotation_new(e, CS3_PROPERTY, arena, err);
    struct ls_str key;

    (void)world;
    if (!a)
        return -1;
    a->id = tf_int(e, PR_ID, LS_NO_STORAGE);
    if (a->id == LS_NO_STORAGE)
        return no_number(err, "property");
    a->fileid = tf_int(e, PR_FILEID, LS_NO_STORAGE);
    a->name = tf_text(e, PR_PROPERTYNAME);
    a->value = tf_text(e, PR_PROPERTYVALUE);
    a->value_type = tf_int(e, PR_PROPERTYTYPE, 1); /* before 10.5 there was text only */
    /* Nullable before 10.3: a property of nothing. */
    if (a->head.kind == CS3_UPSERT && a->fileid == LS_NO_STORAGE)
        return ls_fail_cause(err, LS_ERR_POISON, 0, "property-fileid",
                             "property %lld belongs to no file", (long long)a->id);
    if (tf_key_int(arena, "p:", a->id, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_ANNOTATION, 0, key, a);
    return 0;
}

int
tf_systemtag_map(const struct tf_world *world, const struct ls_envelope *e, struct ls_arena *arena,
                 struct tf_result *ret, struct ls_err *err)
{
    struct cs3_annotation *a = annotation_new(e, CS3_SYSTEMTAG, arena, err);
    struct ls_str key;

    (void)world;
    if (!a)
        return -1;
    a->id = tf_int(e, GT_ID, LS_NO_STORAGE);
    if (a->id == LS_NO_STORAGE)
        return no_number(err, "tag");
    a->name = tf_text(e, GT_NAME);
    a->visible = tf_int(e, GT_VISIBILITY, 1) != 0;
    a->editable = tf_int(e, GT_EDITABLE, 1) != 0;
    a->assignable = tf_int(e, GT_ASSIGNABLE, 1) != 0; /* no such column before 10.1 */
    if (tf_key_int(arena, "g:", a->id, &key, err) < 0)
        return -1;
    tf_emit(ret, TF_ANNOTATION, 0, key, a);
    return 0;
}

int
tf_systemtagged_map(const struct tf_world *world, const struct ls_envelope *e,
                    struct ls_arena *arena, struct tf_result *ret, struct ls_err *err)
{
    struct cs3_annotation *a = annotation_new(e, CS3_SYSTEMTAGGED, arena, err);
    struct ls_str key;

    (void)world;
    if (!a)
        return -1;
    a->object_type = tf_text(e, GO_OBJECTTYPE);
    if (!ls_str_is(a->object_type, "files")) {
        ret->filtered = "tag-object";
        return 0;
    }
    a->fileid = tf_int(e, GO_OBJECTID, LS_NO_STORAGE);
    a->id = tf_int(e, GO_SYSTEMTAGID, LS_NO_STORAGE);
    if (a->fileid == LS_NO_STORAGE || a->id == LS_NO_STORAGE)
        return no_number(err, "file with a tag");
    key = ls_str_of(
        ls_arena_printf(arena, "o:files/%lld/%lld", (long long)a->fileid, (long long)a->id));
    if (!key.p)
        return ls_fail_cause(err, LS_ERR_FATAL, 0, "memory", "the arena of one record is full");
    tf_emit(ret, TF_ANNOTATION, 0, key, a);
    return 0;
}
