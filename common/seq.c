/*
 * The sequence: comparing, printing, reading.
 */
#include "common/records.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
ls_seq_cmp(struct ls_seq a, struct ls_seq b)
{
    if (a.epoch != b.epoch)
        return a.epoch < b.epoch ? -1 : 1;
    if (a.counter != b.counter)
        return a.counter < b.counter ? -1 : 1;
    return a.part < b.part ? -1 : a.part > b.part;
}

int
ls_seq_print(struct ls_seq seq, char *out, size_t size)
{
    int n =
        snprintf(out, size, "%" PRId32 ".%" PRId64 ".%" PRId32, seq.epoch, seq.counter, seq.part);

    return n >= 0 && (size_t)n < size ? 0 : -1;
}

/* Digits only, as printed: no sign, no space, nothing behind. */
static bool
number(const char **p, char end, int64_t max, int64_t *ret)
{
    char *stop;

    if (**p < '0' || **p > '9')
        return false;
    errno = 0;
    *ret = strtoll(*p, &stop, 10);
    if (errno || *ret > max || *stop != end)
        return false;
    *p = stop + (end != '\0');
    return true;
}

int
ls_seq_parse(struct ls_str text, struct ls_seq *ret)
{
    char copy[64];
    const char *p = copy;
    int64_t epoch, counter, part;

    if (!text.p || text.n >= sizeof(copy) || memchr(text.p, '\0', text.n))
        return -1;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    if (!number(&p, '.', INT32_MAX, &epoch) || !number(&p, '.', INT64_MAX, &counter) ||
        !number(&p, '\0', INT32_MAX, &part))
        return -1;
    *ret = (struct ls_seq){(int32_t)epoch, counter, (int32_t)part};
    return 0;
}
