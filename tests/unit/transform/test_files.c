/* oc_filecache and oc_files_trash, row by row. */
#include "tests/unit/transform/rows.h"

static void
a_file_row_becomes_its_whole_desired_state(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_READ, 44, "files/a.txt");
    const struct cs3_resource *r;

    text(e, FC_CHECKSUM,
         "SHA1:0123456789abcdef0123456789abcdef01234567 "
         "MD5:0123456789abcdef0123456789abcdef ADLER32:0123abcd");
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_UPSERT);
    assert_int_equal(ls_seq_cmp(r->head.seq, e->seq), 0);
    assert_true(r->head.snapshot);
    assert_int_equal(r->what, CS3_NODE);
    assert_int_equal(r->storage, HOME);
    assert_int_equal(r->fileid, 44);
    assert_int_equal(r->parent, 2);
    assert_str(r->name, "a.txt");
    assert_int_equal(r->class_hint, CS3_CLASS_FILES);
    assert_false(r->folder);
    assert_int_equal(r->size, 12);
    assert_int_equal(r->mtime, 1700000000);
    assert_str(r->etag, "abc");
    assert_str(r->sha1, "0123456789abcdef0123456789abcdef01234567");
    assert_str(r->md5, "0123456789abcdef0123456789abcdef");
    assert_str(r->adler32, "0123abcd");
    assert_str(r->mimetype, "text/plain");
    assert_int_equal(r->moved_from, LS_NO_STORAGE);
    assert_int_equal(s->result.emits[0].topic, TF_RESOURCE);
    assert_int_equal(s->result.emits[0].partition, s->world.partition);
    assert_str(s->result.emits[0].key, "44");
    assert_int_equal(s->result.n_warnings, 0);
}

static void
a_folder_is_known_by_its_mimetype_and_a_root_by_its_empty_path(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 2, "files");
    const struct cs3_resource *r;

    number(e, FC_MIMETYPE, MT_FOLDER);
    number(e, FC_SIZE, -2);
    text(e, FC_NAME, "files");
    r = record(s, e);
    assert_true(r->folder);
    assert_int_equal(r->size, -1);

    e = file_row(s, LS_OP_CREATE, 1, "");
    text(e, FC_NAME, "");
    number(e, FC_PARENT, -1);
    number(e, FC_MIMETYPE, 999);
    r = record(s, e);
    assert_int_equal(r->class_hint, CS3_CLASS_ROOT);
    assert_int_equal(r->parent, -1);
    assert_true(r->folder);
    assert_null(r->mimetype.p);
}

static void
only_a_root_has_no_parent_and_an_orphan_does_not_become_one(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 50, "files/a.txt");
    const struct cs3_resource *r;

    number(e, FC_PARENT, -1);
    r = record(s, e);
    assert_int_equal(r->parent, 0);
    number(e, FC_PARENT, 50); /* its own child */
    r = record(s, e);
    assert_int_equal(r->parent, 50);
}

static void
the_class_is_hinted_by_the_first_element_of_the_path(void **state)
{
    static const struct {
        const char *path;
        enum cs3_class class;
    } rows[] = {
        {"files", CS3_CLASS_FILES},
        {"files/files_trashbin/a.txt", CS3_CLASS_FILES},
        {"files_trashbin/files/a.txt.d1700000000", CS3_CLASS_TRASH},
        {"files_versions/a.txt.v1600000000", CS3_CLASS_VERSIONS},
        {"filesystem/a.txt", CS3_CLASS_OTHER},
        {NULL, CS3_CLASS_OTHER},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cs3_resource *r = record(s, file_row(s, LS_OP_CREATE, 44, rows[i].path));

        assert_int_equal(r->class_hint, rows[i].class);
    }
}

static void
areas_without_content_are_filtered_by_name(void **state)
{
    struct site *s = *state;

    assert_filtered(s, file_row(s, LS_OP_CREATE, 44, "uploads/123/00001"), "area-uploads");
    assert_filtered(s, file_row(s, LS_OP_CREATE, 44, "cache"), "area-cache");
    assert_filtered(s, file_row(s, LS_OP_READ, 44, "thumbnails/7/32-32.png"), "area-thumbnails");
    assert_filtered(s, file_row(s, LS_OP_READ, 44, "avatars/x"), "area-avatars");
    assert_filtered(s, file_row(s, LS_OP_READ, 44, "files_encryption/keys"),
                    "area-files_encryption");
    assert_filtered(s, file_row(s, LS_OP_DELETE, 44, "uploads/123/00001"), "area-uploads");
}

static void
a_file_that_leaves_for_an_area_without_content_is_deleted(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "cache/a.txt");
    const struct cs3_resource *r;

    e->before[FC_PATH] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("files/a.txt")};
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
    e->before[FC_PATH].s = LS_STR("cache/b.txt");
    assert_filtered(s, e, "area-cache");
}

static void
checksums_in_any_order_case_and_part_are_read_and_damaged_ones_are_null_and_counted(void **state)
{
    static const struct {
        const char *text;
        const char *sha1, *md5, *adler32;
        bool warning;
    } rows[] = {
        {"", NULL, NULL, NULL, false},
        {NULL, NULL, NULL, NULL, false},
        {"md5:0123456789ABCDEF0123456789abcdef", NULL, "0123456789abcdef0123456789abcdef", NULL,
         false},
        {"Adler32:0123ABCD SHA1:0123456789abcdef0123456789abcdef01234567",
         "0123456789abcdef0123456789abcdef01234567", NULL, "0123abcd", false},
        {"SHA1:x", NULL, NULL, NULL, true},
        {"SHA1:0123456789abcdef0123456789abcdef01234567 MD5:0123",
         "0123456789abcdef0123456789abcdef01234567", NULL, NULL, true},
        {"SHA1:0123456789abcdef0123456789abcdef0123456g", NULL, NULL, NULL, true},
        {"SHA256:00 ", NULL, NULL, NULL, true},
        {"nonsense", NULL, NULL, NULL, true},
        {"ADLER32:00000001 ADLER32:00000002 MD5:0123456789abcdef0123456789abcdef", NULL,
         "0123456789abcdef0123456789abcdef", NULL, true},
        {"ADLER32:0000000a ADLER32:0000000A", NULL, NULL, "0000000a", false},
        {":", NULL, NULL, NULL, true},
        {"  ADLER32:00000001  ", NULL, NULL, "00000001", false},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");
        const struct cs3_resource *r;

        text(e, FC_CHECKSUM, rows[i].text);
        r = record(s, e);
        assert_true(ls_str_eq(r->sha1, ls_str_of(rows[i].sha1)));
        assert_true(ls_str_eq(r->md5, ls_str_of(rows[i].md5)));
        assert_true(ls_str_eq(r->adler32, ls_str_of(rows[i].adler32)));
        assert_int_equal(s->result.n_warnings, rows[i].warning);
    }
}

static void
odd_numbers_and_empty_etags_pass_as_the_source_has_them(void **state)
{
    static const int64_t mtimes[] = {0, -5, 2147483653, 5000000000};
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");
    const struct cs3_resource *r;

    for (size_t i = 0; i < sizeof(mtimes) / sizeof(mtimes[0]); i++) {
        number(e, FC_MTIME, mtimes[i]);
        r = record(s, e);
        assert_int_equal(r->mtime, mtimes[i]);
        assert_int_equal(s->result.n_warnings, 0);
    }
    number(e, FC_SIZE, 5000000000);
    text(e, FC_ETAG, "");
    r = record(s, e);
    assert_int_equal(r->size, 5000000000);
    assert_null(r->etag.p);
    text(e, FC_ETAG, NULL);
    r = record(s, e);
    assert_null(r->etag.p);
    text(e, FC_ETAG, "\"\"");
    r = record(s, e);
    assert_null(r->etag.p);
    text(e, FC_ETAG, "\"");
    r = record(s, e);
    assert_str(r->etag, "\"");
    text(e, FC_ETAG, "\"abc\"");
    r = record(s, e);
    assert_str(r->etag, "abc");
    text(e, FC_ETAG, "0123456789012345678901234567890123456789");
    r = record(s, e);
    assert_str(r->etag, "0123456789012345678901234567890123456789");
}

static void
times_beyond_what_ocis_holds_become_the_nearest_and_are_counted(void **state)
{
    static const struct {
        int64_t mtime, becomes;
    } rows[] = {{253402300800, CS3_MTIME_MAX}, /* the year 10000 */
                {INT64_MAX, CS3_MTIME_MAX},
                {CS3_MTIME_MAX + 1, CS3_MTIME_MAX},
                {INT64_MIN, CS3_MTIME_MIN},
                {CS3_MTIME_MIN - 1, CS3_MTIME_MIN}};
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");
    const struct cs3_resource *r;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        number(e, FC_MTIME, rows[i].mtime);
        r = record(s, e);
        assert_int_equal(r->mtime, rows[i].becomes);
        assert_int_equal(r->tree_mtime, LS_NO_STORAGE);
        assert_int_equal(s->result.n_warnings, 1);
        assert_string_equal(s->result.warnings[0], "mtime");
    }
    number(e, FC_MIMETYPE, MT_FOLDER);
    r = record(s, e);
    assert_int_equal(r->tree_mtime, CS3_MTIME_MIN);
}

static void
a_file_has_its_id_in_the_routable_form(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");
    const struct cs3_resource *r = record(s, e);

    assert_str(r->id, "oc1$5!44");
    number(e, FC_FILEID, INT64_MAX);
    number(e, FC_STORAGE, OTHER_HOME);
    r = record(s, e);
    assert_str(r->id, "oc1$6!9223372036854775807");
    /* a deletion may carry the key alone */
    e = row(s, LS_T_FILECACHE, LS_OP_DELETE);
    number(e, FC_FILEID, 44);
    r = record(s, e);
    assert_null(r->id.p);
}

static void
a_path_that_does_not_end_with_the_name_is_counted_and_the_name_holds(void **state)
{
    static const struct {
        const char *path, *name;
        bool warning;
    } rows[] = {{"files/q/files/q", "p", true},  {"files/a.txt", "a.txt", false},
                {"files/xa.txt", "a.txt", true}, {"files/a.txt/", "a.txt", true},
                {NULL, "a.txt", true},           {"files", "files", false}};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, rows[i].path);
        const struct cs3_resource *r;

        text(e, FC_NAME, rows[i].name);
        r = record(s, e);
        assert_str(r->name, rows[i].name);
        assert_int_equal(s->result.n_warnings, rows[i].warning);
        if (rows[i].warning)
            assert_string_equal(s->result.warnings[0], "path");
    }
}

static int64_t
hash_of(struct site *s, const char *path)
{
    const struct cs3_resource *r = record(s, file_row(s, LS_OP_UPDATE, 44, path));

    return r->path_hash;
}

static void
the_hash_of_a_path_is_that_of_its_parents_path_continued(void **state)
{
    struct site *s = *state;
    int64_t files = hash_of(s, "files");

    assert_int_equal(hash_of(s, ""), CS3_PATH_ROOT);
    assert_int_equal(files, cs3_path_hash(CS3_PATH_ROOT, LS_STR("files")));
    assert_int_equal(hash_of(s, "files/a.txt"), cs3_path_hash(files, LS_STR("/a.txt")));
    assert_int_equal(hash_of(s, NULL), 0);
}

static void
a_version_says_what_it_is_of_and_from_when(void **state)
{
    static const struct {
        const char *path, *name, *of;
        int64_t time, deleted;
        bool meta;
    } rows[] = {
        {"files_versions/D/a.txt.v1700000000", "a.txt.v1700000000", "a.txt", 1700000000, 0, false},
        {"files_versions/v.v1.v2", "v.v1.v2", "v.v1", 2, 0, false},
        {"files_versions/D/a.txt.v17.json", "a.txt.v17.json", "a.txt", 17, 0, true},
        {"files_trashbin/versions/a.txt.v17.d23", "a.txt.v17.d23", "a.txt", 17, 23, false},
        {"files_trashbin/versions/D.d23/a.txt.v17", "a.txt.v17", "a.txt", 17, 0, false},
        {"files_trashbin/versions/a.txt.v17.json.d23", "a.txt.v17.json.d23", "a.txt", 17, 23, true},
        {"files_trashbin/versions/a.txt.v17.d23.json", "a.txt.v17.d23.json", "a.txt", 17, 23, true},
        {"files_trashbin/versions/D.d23/a.v17.json", "a.v17.json", "a", 17, 0, true},
        {"files_versions/b.json.v17", "b.json.v17", "b.json", 17, 0, false},
        {"files_trashbin/versions/b.json.v17.d23", "b.json.v17.d23", "b.json", 17, 23, false},
        /* who wrote what the file holds now */
        {"files_versions/D/a.txt.current.json", "a.txt.current.json", "a.txt", 0, 0, true},
        {"files_trashbin/versions/a.current.d23.json", "a.current.d23.json", "a", 0, 23, true},
        /* a time before 1970, and times that oCIS does not hold: the nearest, as the file's own */
        {"files_versions/D/a.txt.v-5", "a.txt.v-5", "a.txt", -5, 0, false},
        {"files_trashbin/versions/a.v-5.d23", "a.v-5.d23", "a", -5, 23, false},
        {"files_versions/a.v0", "a.v0", "a", 0, 0, false},
        {"files_versions/a.v253402300800", "a.v253402300800", "a", CS3_MTIME_MAX, 0, false},
        {"files_versions/a.v1234567890123", "a.v1234567890123", "a", CS3_MTIME_MAX, 0, false},
        {"files_versions/a.v-99999999999", "a.v-99999999999", "a", CS3_MTIME_MIN, 0, false},
        /* what only looks like one, or is none at all */
        {"files/D/a.txt.v17", "a.txt.v17", NULL, 0, 0, false},
        {"files_trashbin/files/a.txt.v17.d23", "a.txt.v17.d23", NULL, 0, 0, false},
        {"files_versions/.v17", ".v17", NULL, 0, 0, false},
        {"files_versions/a.v", "a.v", NULL, 0, 0, false},
        {"files_versions/a.v-", "a.v-", NULL, 0, 0, false},
        {"files_versions/a.v--5", "a.v--5", NULL, 0, 0, false},
        {"files_versions/a.v5-5", "a.v5-5", NULL, 0, 0, false},
        {"files_versions/a.v1234567890123456789", "a.v1234567890123456789", NULL, 0, 0, false},
        {"files_trashbin/versions/a.v17.d-23", "a.v17.d-23", NULL, 0, 0, false},
        {"files_versions/a.json", "a.json", NULL, 0, 0, false},
        {"files_versions/.current.json", ".current.json", NULL, 0, 0, false},
        {"files_versions/a.current", "a.current", NULL, 0, 0, false},
    };
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, rows[i].path);
        const struct cs3_resource *r;

        text(e, FC_NAME, rows[i].name);
        r = record(s, e);
        if (!ls_str_eq(r->version_of, ls_str_of(rows[i].of)))
            fail_msg("%s is a version of %.*s", rows[i].path, (int)r->version_of.n,
                     r->version_of.p ? r->version_of.p : "");
        assert_int_equal(r->version_time, rows[i].time);
        assert_int_equal(r->trash_time, rows[i].deleted);
        assert_int_equal(r->version_meta, rows[i].meta);
        /* counted as a file's own time */
        assert_int_equal(s->result.n_warnings,
                         r->version_time == CS3_MTIME_MAX || r->version_time == CS3_MTIME_MIN);
    }
}

static void
names_that_cannot_be_one_are_dead_letters(void **state)
{
    static const char *const bad[] = {NULL, "", ".", "..", "a/b", "\xff\xfe"};
    static const char *const good[] = {"0",   " ", "a ", "...", "%2F", "\\", "\xf0\x9f\x98\x80",
                                       "a\nb"};
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text(e, FC_NAME, bad[i]);
        assert_poison(s, e, "name");
    }
    column(e, FC_NAME)->s = (struct ls_str){"a\0b", 3};
    column(e, FC_NAME)->kind = LS_V_TEXT;
    assert_poison(s, e, "name");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        const struct cs3_resource *r;

        text(e, FC_NAME, good[i]);
        r = record(s, e);
        assert_str(r->name, good[i]);
    }
}

static void
encrypted_content_is_a_dead_letter(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 44, "files/a.txt");

    number(e, FC_ENCRYPTED, 7);
    assert_poison(s, e, "encrypted");
    e = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    number(e, FC_ENCRYPTED, 7);
    record(s, e);
}

static void
a_deleted_row_is_a_delete_of_its_fileid(void **state)
{
    struct site *s = *state;
    const struct cs3_resource *r = record(s, file_row(s, LS_OP_DELETE, 44, "files/a.txt"));

    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->fileid, 44);
    assert_int_equal(r->storage, HOME);
    assert_int_equal(r->moved_to, LS_NO_STORAGE);
}

static void
a_move_between_homes_keeps_both_halves_and_their_storages(void **state)
{
    struct site *s = *state;
    struct ls_envelope *gone = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    struct ls_envelope *here = file_row(s, LS_OP_UPDATE, 44, "files/b/a.txt");
    const struct cs3_resource *r;

    gone->moved_to = OTHER_HOME;
    r = record(s, gone);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->moved_to, OTHER_HOME);
    number(here, FC_STORAGE, OTHER_HOME);
    here->moved_from = HOME;
    here->seq.part = 1;
    r = record(s, here);
    assert_int_equal(r->head.kind, CS3_UPSERT);
    assert_int_equal(r->moved_from, HOME);
    assert_int_equal(r->storage, OTHER_HOME);
    assert_int_equal(r->head.seq.part, 1);
}

static void
a_move_into_an_area_of_another_home_is_a_delete_in_both_partitions(void **state)
{
    struct site *s = *state;
    struct ls_envelope *gone = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    struct ls_envelope *there = file_row(s, LS_OP_UPDATE, 44, "cache/a.txt");
    const struct cs3_resource *r;

    gone->moved_to = OTHER_HOME;
    r = record(s, gone);
    assert_int_equal(r->moved_to, OTHER_HOME);
    number(there, FC_STORAGE, OTHER_HOME);
    there->before[FC_PATH] = (struct ls_value){.kind = LS_V_TEXT, .s = LS_STR("files/a.txt")};
    there->moved_from = HOME;
    r = record(s, there);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->storage, OTHER_HOME);
    assert_int_equal(r->moved_to, LS_NO_STORAGE);
}

static void
a_move_out_to_an_ignored_storage_is_a_plain_delete(void **state)
{
    struct site *s = *state;
    struct ls_envelope *gone = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    struct ls_envelope *there = file_row(s, LS_OP_UPDATE, 44, "a.txt");
    const struct cs3_resource *r;

    gone->moved_to = EXTERNAL;
    r = record(s, gone);
    assert_int_equal(r->head.kind, CS3_DELETE);
    assert_int_equal(r->moved_to, LS_NO_STORAGE);
    number(there, FC_STORAGE, EXTERNAL);
    there->moved_from = HOME;
    assert_filtered(s, there, "storage-external");
}

static void
a_move_in_from_an_ignored_storage_is_a_plain_upsert(void **state)
{
    struct site *s = *state;
    struct ls_envelope *gone = file_row(s, LS_OP_DELETE, 44, "a.txt");
    struct ls_envelope *here = file_row(s, LS_OP_UPDATE, 44, "files/a.txt");
    const struct cs3_resource *r;

    number(gone, FC_STORAGE, EXTERNAL);
    gone->moved_to = HOME;
    assert_filtered(s, gone, "storage-external");
    here->moved_from = EXTERNAL;
    r = record(s, here);
    assert_int_equal(r->moved_from, LS_NO_STORAGE);
}

static void
rows_of_ignored_storages_are_filtered_by_reason(void **state)
{
    static const struct {
        int64_t storage;
        const char *why;
    } rows[] = {{EXTERNAL, "storage-external"},
                {UPLOADS, "storage-uploads"},
                {FEDERATED, "storage-federated"},
                {777, "storage-unknown"}};
    struct site *s = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ls_envelope *e = file_row(s, LS_OP_CREATE, 44, "tx/00001");

        number(e, FC_STORAGE, rows[i].storage);
        assert_filtered(s, e, rows[i].why);
    }
}

static void
a_delete_from_an_unknown_storage_passes(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    const struct cs3_resource *r;

    number(e, FC_STORAGE, 777);
    r = record(s, e);
    assert_int_equal(r->head.kind, CS3_DELETE);
}

static void
rows_of_unknown_storages_pass_until_oc_storages_was_read_whole(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 44, "files/a.txt");
    struct tf_known *fresh = tf_known_new();

    assert_non_null(fresh);
    s->world.known = fresh;
    record(s, e);
    assert_int_equal(tf_known_feed(fresh, row(s, LS_T_STORAGES, LS_OP_END), &s->err), 0);
    assert_filtered(s, e, "storage-unknown");
    tf_known_free(fresh);
}

static void
rows_of_a_deleted_storage_still_pass(void **state)
{
    struct site *s = *state;

    feed(s, storage_row(s, LS_OP_DELETE, HOME, "home::alice"));
    record(s, file_row(s, LS_OP_UPDATE, 44, "files/a.txt"));
}

static void
rows_without_fileid_or_storage_are_dead_letters(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 0, "files/a.txt");

    assert_poison(s, e, "fileid");
    e = file_row(s, LS_OP_CREATE, 44, "files/a.txt");
    column(e, FC_STORAGE)->kind = LS_V_NULL;
    assert_poison(s, e, "storage");
}

static void
an_unknown_storage_or_mimetype_asks_for_the_barrier_once(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = file_row(s, LS_OP_CREATE, 44, "files/a.txt");

    assert_false(tf_route_asks(s->known, e));
    number(e, FC_MIMETYPE, 999);
    assert_true(tf_route_asks(s->known, e));
    tf_known_set_certain(s->known, e->seq);
    assert_false(tf_route_asks(s->known, e));
    e = file_row(s, LS_OP_CREATE, 44, "files/a.txt");
    number(e, FC_STORAGE, 777);
    assert_true(tf_route_asks(s->known, e));
    e = file_row(s, LS_OP_DELETE, 44, "files/a.txt");
    e->moved_to = 777;
    assert_true(tf_route_asks(s->known, e));
    assert_false(tf_route_asks(s->known, row(s, LS_T_FILECACHE, LS_OP_HEARTBEAT)));
}

/* Rows of a storage that will never be known are many, and each question takes its time. */
static void
what_the_small_tables_were_read_past_asks_for_no_barrier(void **state)
{
    struct site *s = *state;
    struct ls_envelope *file = file_row(s, LS_OP_CREATE, 44, "a.txt"),
                       *entry = row(s, LS_T_FILES_TRASH, LS_OP_CREATE),
                       *space =
                           storage_row(s, LS_OP_CREATE, 12, "0123456789abcdef0123456789abcdef"),
                       *account =
                           account_row(s, LS_OP_CREATE, 3, "carol",
                                       "/srv/a/path/that/makes/its/ids/longer/than/64/bytes/carol"),
                       *gone = row(s, LS_T_ACCOUNTS, LS_OP_DELETE), *picture;
    const struct ls_envelope *all[] = {file, entry, space, account, gone};

    number(file, FC_STORAGE, 777);
    text(entry, FT_USER, "dave");
    number(gone, AC_ID, 4);
    picture = file_row(s, LS_OP_CREATE, 45, "b.png");
    number(picture, FC_MIMETYPE, 999);
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        assert_true(tf_route_asks(s->known, all[i]));
    feed(s, row(s, LS_T_STORAGES, LS_OP_HEARTBEAT));
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) /* the accounts may tell yet */
        assert_true(tf_route_asks(s->known, all[i]));
    feed(s, row(s, LS_T_ACCOUNTS, LS_OP_HEARTBEAT));
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        assert_false(tf_route_asks(s->known, all[i]));
    assert_true(tf_route_asks(s->known, picture)); /* of mimetypes no heartbeat tells */
    file = file_row(s, LS_OP_CREATE, 46, "c.txt");
    number(file, FC_STORAGE, 777);
    assert_true(tf_route_asks(s->known, file)); /* a later one */
}

/* ---- trash */

static struct ls_envelope *
trash_row(struct site *s, enum ls_op op, const char *user)
{
    struct ls_envelope *e = row(s, LS_T_FILES_TRASH, op);

    number(e, FT_AUTO_ID, 9);
    text(e, FT_ID, "a.txt");
    text(e, FT_USER, user);
    text(e, FT_TIMESTAMP, "1700000001");
    text(e, FT_LOCATION, "/Dir");
    return e;
}

static void
a_trash_entry_goes_to_the_partition_of_its_users_home(void **state)
{
    struct site *s = *state;
    const struct cs3_resource *r = record(s, trash_row(s, LS_OP_CREATE, "bob"));

    assert_int_equal(r->what, CS3_TRASH_INFO);
    assert_int_equal(r->fileid, 9);
    assert_int_equal(r->storage, OTHER_HOME);
    assert_str(r->name, "a.txt");
    assert_str(r->trash_user, "bob");
    assert_str(r->trash_location, "/Dir");
    assert_int_equal(r->trash_time, 1700000001);
    assert_str(s->result.emits[0].key, "t9");
    assert_int_equal(s->result.emits[0].partition, ls_partition_of_storage(OTHER_HOME, PARTITIONS));
}

static void
home_is_preferred_over_object_store_unless_it_was_deleted(void **state)
{
    struct site *s = *state;

    feed(s, storage_row(s, LS_OP_CREATE, 30, "home::bob"));
    assert_int_equal(tf_known_home(s->known, LS_STR("bob")), 30);
    feed(s, storage_row(s, LS_OP_DELETE, 30, "home::bob"));
    assert_int_equal(tf_known_home(s->known, LS_STR("bob")), OTHER_HOME);
    assert_int_equal(tf_known_home(s->known, LS_STR("nobody")), LS_NO_STORAGE);
}

static void
the_tombstone_of_a_trash_entry_follows_its_delete(void **state)
{
    struct site *s = *state;
    const struct ls_table *table = &ls_tables[LS_T_FILES_TRASH];

    record(s, trash_row(s, LS_OP_DELETE, "bob"));
    assert_int_equal(
        tf_route_tombstone(&s->world, &s->state, table, LS_STR("9"), s->arena, &s->result, &s->err),
        0);
    assert_int_equal(s->result.n, 1);
    assert_null(s->result.emits[0].record);
    assert_str(s->result.emits[0].key, "t9");
    assert_int_equal(s->result.emits[0].partition, ls_partition_of_storage(OTHER_HOME, PARTITIONS));
    assert_int_equal(tf_route_tombstone(&s->world, &s->state, table, LS_STR("10"), s->arena,
                                        &s->result, &s->err),
                     0);
    assert_int_equal(s->result.emits[0].partition, TF_ALL_PARTITIONS);
}

static void
a_trash_entry_of_a_user_with_a_new_home_is_deleted_in_all_partitions(void **state)
{
    struct site *s = *state;
    const struct ls_table *table = &ls_tables[LS_T_FILES_TRASH];

    record(s, trash_row(s, LS_OP_DELETE, "alice"));
    assert_int_equal(s->result.emits[0].partition, ls_partition_of_storage(HOME, PARTITIONS));
    feed(s, storage_row(s, LS_OP_DELETE, HOME, "home::alice"));
    feed(s, storage_row(s, LS_OP_CREATE, 31, "home::alice"));
    record(s, trash_row(s, LS_OP_CREATE, "alice"));
    assert_int_equal(s->result.emits[0].partition, ls_partition_of_storage(31, PARTITIONS));
    record(s, trash_row(s, LS_OP_DELETE, "alice"));
    assert_int_equal(s->result.emits[0].partition, TF_ALL_PARTITIONS);
    assert_int_equal(
        tf_route_tombstone(&s->world, &s->state, table, LS_STR("9"), s->arena, &s->result, &s->err),
        0);
    assert_int_equal(s->result.emits[0].partition, TF_ALL_PARTITIONS);
    /* The same where the second home is of the other kind. */
    feed(s, storage_row(s, LS_OP_CREATE, 32, "home::bob"));
    record(s, trash_row(s, LS_OP_DELETE, "bob"));
    assert_int_equal(s->result.emits[0].partition, TF_ALL_PARTITIONS);
}

static void
a_trash_entry_without_home_is_filtered_and_without_time_a_dead_letter(void **state)
{
    struct site *s = *state;
    struct ls_envelope *e = trash_row(s, LS_OP_CREATE, "nobody");

    assert_filtered(s, e, "storage-unknown");
    e = trash_row(s, LS_OP_CREATE, "alice");
    text(e, FT_TIMESTAMP, "soon");
    assert_poison(s, e, "trash-time");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(a_file_row_becomes_its_whole_desired_state),
        SITE_TEST(a_folder_is_known_by_its_mimetype_and_a_root_by_its_empty_path),
        SITE_TEST(only_a_root_has_no_parent_and_an_orphan_does_not_become_one),
        SITE_TEST(the_class_is_hinted_by_the_first_element_of_the_path),
        SITE_TEST(areas_without_content_are_filtered_by_name),
        SITE_TEST(a_file_that_leaves_for_an_area_without_content_is_deleted),
        SITE_TEST(
            checksums_in_any_order_case_and_part_are_read_and_damaged_ones_are_null_and_counted),
        SITE_TEST(odd_numbers_and_empty_etags_pass_as_the_source_has_them),
        SITE_TEST(times_beyond_what_ocis_holds_become_the_nearest_and_are_counted),
        SITE_TEST(a_file_has_its_id_in_the_routable_form),
        SITE_TEST(a_path_that_does_not_end_with_the_name_is_counted_and_the_name_holds),
        SITE_TEST(the_hash_of_a_path_is_that_of_its_parents_path_continued),
        SITE_TEST(a_version_says_what_it_is_of_and_from_when),
        SITE_TEST(names_that_cannot_be_one_are_dead_letters),
        SITE_TEST(encrypted_content_is_a_dead_letter),
        SITE_TEST(a_deleted_row_is_a_delete_of_its_fileid),
        SITE_TEST(a_move_between_homes_keeps_both_halves_and_their_storages),
        SITE_TEST(a_move_into_an_area_of_another_home_is_a_delete_in_both_partitions),
        SITE_TEST(a_move_out_to_an_ignored_storage_is_a_plain_delete),
        SITE_TEST(a_move_in_from_an_ignored_storage_is_a_plain_upsert),
        SITE_TEST(rows_of_ignored_storages_are_filtered_by_reason),
        SITE_TEST(a_delete_from_an_unknown_storage_passes),
        SITE_TEST(rows_of_unknown_storages_pass_until_oc_storages_was_read_whole),
        SITE_TEST(rows_of_a_deleted_storage_still_pass),
        SITE_TEST(rows_without_fileid_or_storage_are_dead_letters),
        SITE_TEST(an_unknown_storage_or_mimetype_asks_for_the_barrier_once),
        SITE_TEST(what_the_small_tables_were_read_past_asks_for_no_barrier),
        SITE_TEST(a_trash_entry_goes_to_the_partition_of_its_users_home),
        SITE_TEST(home_is_preferred_over_object_store_unless_it_was_deleted),
        SITE_TEST(the_tombstone_of_a_trash_entry_follows_its_delete),
        SITE_TEST(a_trash_entry_of_a_user_with_a_new_home_is_deleted_in_all_partitions),
        SITE_TEST(a_trash_entry_without_home_is_filtered_and_without_time_a_dead_letter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
