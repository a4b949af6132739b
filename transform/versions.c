/*
 * The name of a version: what it is a version of, and from when.
 *
 * ownCloud keeps versions beside the files, as files: "files_versions/Docs/a.txt.v1700000000" is
 * what files/Docs/a.txt was then; of what lies in the trash they are below files_trashbin/versions,
 * the topmost element with the time of its deletion: "a.txt.v1700000000.d1700000009". The time is
 * the file's own and may lie before 1970 ("a.txt.v-5"). Since 10.9.0 a second file may say who
 * wrote a version ("a.txt.v1700000000.json", in the trash "a.txt.v1700000000.d1700000009.json"),
 * and one who wrote what the file holds now ("a.txt.current.json"). Which file it is a version of
 * is said by the tree alone (apply/plan/version.c); the path is a hint here as everywhere.
 *
 * What can go wrong: people name their files like that too ("minutes.v2"), so outside of these
 * folders a name says nothing.
 */
#include "transform/map.h"

#include <string.h>

static bool
starts_with(struct ls_str path, const char *prefix)
{
    size_t n = strlen(prefix);

    return path.p && path.n > n && memcmp(path.p, prefix, n) == 0;
}

/* Takes "<dot><number>" (as ".v1700000000", ".v-5") from the end of the name. */
static bool
take_time(struct ls_str *name, const char *dot, bool or_negative, int64_t *ret)
{
    size_t at = name->n, n = strlen(dot);
    int64_t t = 0, digit = 1;

    while (at > 0 && name->n - at < 18 && name->p[at - 1] >= '0' && name->p[at - 1] <= '9') {
        at--;
        t += (name->p[at] - '0') * digit;
        digit *= 10;
    }
    if (at == name->n)
        return false;
    if (or_negative && at > 0 && name->p[at - 1] == '-') {
        at--;
        t = -t;
    }
    if (at <= n || memcmp(name->p + at - n, dot, n) != 0)
        return false;
    name->n = at - n;
    *ret = t;
    return true;
}

static bool
take_word(struct ls_str *name, const char *word)
{
    size_t n = strlen(word);

    if (name->n <= n || memcmp(name->p + name->n - n, word, n) != 0)
        return false;
    name->n -= n;
    return true;
}

bool
tf_version_fill(struct ls_str path, struct cs3_resource *r)
{
    struct ls_str base = r->name;
    bool trash = r->class_hint == CS3_CLASS_TRASH, meta;
    int64_t deleted = 0, time = 0;

    if (trash ? !starts_with(path, "files_trashbin/versions/")
              : r->class_hint != CS3_CLASS_VERSIONS)
        return true;
    meta = take_word(&base, ".json");
    if (trash)
        take_time(&base, ".d", false, &deleted);
    meta = meta || (deleted != 0 && take_word(&base, ".json"));
    if (!(meta && take_word(&base, ".current")) && !take_time(&base, ".v", true, &time))
        return true;
    r->version_of = base;
    r->version_time = tf_mtime(time);
    r->version_meta = meta;
    r->trash_time = deleted;
    return r->version_time == time;
}
