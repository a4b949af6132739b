/*
 * What capture reads back from its own topic: the position record, JSON.
 *
 * Whatever can be read can be written again, and is then read as the same.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/publish/position.h"

/* Large ones, so not on the stack. */
static struct cap_position first, second;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_copy(data, size);
    struct ls_err err = {0};
    char *text, *again;

    if (cap_position_parse((struct ls_str){(const char *)copy, size}, &first, &err) < 0) {
        (void)fuzz_failed(&err);
        goto out;
    }
    (void)cap_counters_balance(&first.counters);
    text = cap_position_print(&first, "h:3306");
    PROMISE(text);
    PROMISE(cap_position_parse(ls_str_of(text), &second, &err) == 0);
    again = cap_position_print(&second, "h:3306");
    PROMISE(again);
    PROMISE(!strcmp(text, again));
    free(text);
    free(again);
out:
    free(copy);
    return 0;
}
