/*
 * GTIDs and sets of them, of both flavours: text, MySQL's binary form, and the operations on sets.
 *
 * Input: two lists with a ';' between them; the first is read as one GTID and as the binary form
 * too.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/binlog/gtid.h"

static bool
same(const struct cap_gtid_set *a, const struct cap_gtid_set *b)
{
    char ta[CAP_GTID_SET_TEXT], tb[CAP_GTID_SET_TEXT];

    cap_gtid_set_print(a, ta);
    cap_gtid_set_print(b, tb);
    return !strcmp(ta, tb);
}

static void
one(struct ls_str text)
{
    struct cap_gtid gtid, again;
    char printed[CAP_GTID_TEXT];

    if (cap_gtid_parse(text, &gtid) < 0)
        return;
    cap_gtid_print(&gtid, printed);
    PROMISE(cap_gtid_parse(ls_str_of(printed), &again) == 0);
    PROMISE(cap_gtid_equal(&gtid, &again));
}

/* What is printed is read as the same set; so is the binary form. */
static void
round_trip(const struct cap_gtid_set *set)
{
    char text[CAP_GTID_SET_TEXT];
    struct cap_gtid_set again;
    struct ls_err err = {0};
    struct ls_buf binary;

    cap_gtid_set_print(set, text);
    PROMISE(strlen(text) + 1 < CAP_GTID_SET_TEXT);
    PROMISE(cap_gtid_set_parse(ls_str_of(text), &again, &err) == 0);
    PROMISE(same(set, &again));
    PROMISE(cap_gtid_set_contains(set, &again) && cap_gtid_set_contains(&again, set));
    if (set->n == 0 || set->flavour != CAP_MYSQL)
        return;
    ls_buf_init(&binary, (size_t)1 << 16);
    PROMISE(cap_gtid_set_encode(set, &binary) == 0);
    PROMISE(cap_gtid_set_decode(binary.p, binary.n, &again, &err) == 0);
    PROMISE(same(set, &again));
    ls_buf_free(&binary);
}

static void
operations(const struct cap_gtid_set *a, const struct cap_gtid_set *b)
{
    struct cap_gtid_set left, sum = *a, none;
    struct ls_err err = {0};
    bool apart = a->n > 0 && b->n > 0 && a->flavour != b->flavour;

    PROMISE(cap_gtid_set_minus(a, a, &none, &err) == 0 && none.n == 0);
    if (cap_gtid_set_minus(a, b, &left, &err) < 0) {
        (void)fuzz_failed(&err); /* more pieces than there is room for */
        return;
    }
    round_trip(&left);
    PROMISE(cap_gtid_set_contains(a, &left));
    PROMISE((left.n == 0) == (a->n == 0 || cap_gtid_set_contains(b, a)));
    if (cap_gtid_set_unite(&sum, b, &err) < 0) {
        (void)fuzz_failed(&err);
        PROMISE(same(&sum, a));
        return;
    }
    PROMISE(!apart);
    round_trip(&sum);
    PROMISE(cap_gtid_set_contains(&sum, a) && cap_gtid_set_contains(&sum, b));
    sum = left;
    PROMISE(cap_gtid_set_unite(&sum, b, &err) < 0 || cap_gtid_set_contains(&sum, a));
}

/* Adding what is not in it puts it in, and says whether numbers were left out. */
static void
grow(const struct cap_gtid_set *set, struct ls_str text)
{
    struct cap_gtid_set more = *set;
    struct ls_err err = {0};
    struct cap_gtid gtid;
    bool gap;

    if (cap_gtid_parse(text, &gtid) < 0)
        return;
    if (cap_gtid_set_add(&more, &gtid, &gap, &err) < 0) {
        (void)fuzz_failed(&err);
        return;
    }
    PROMISE(cap_gtid_set_has(&more, &gtid));
    round_trip(&more);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_gtid_set a, b, binary;
    struct ls_err err = {0};
    const uint8_t *split = size ? memchr(data, ';', size) : NULL;
    size_t n = split ? (size_t)(split - data) : size, m = split ? size - n - 1 : 0;
    uint8_t *first = fuzz_copy(data, n), *second = fuzz_copy(split ? split + 1 : data, m);
    struct ls_str ta = {(const char *)first, n}, tb = {(const char *)second, m};

    one(ta);
    if (cap_gtid_set_decode(first, n, &binary, &err) < 0)
        (void)fuzz_failed(&err);
    else
        round_trip(&binary);
    if (cap_gtid_set_parse(ta, &a, &err) < 0 || cap_gtid_set_parse(tb, &b, &err) < 0) {
        (void)fuzz_failed(&err);
    } else {
        round_trip(&a);
        operations(&a, &b);
        operations(&b, &a);
        grow(&a, tb);
    }
    free(first);
    free(second);
    return 0;
}
