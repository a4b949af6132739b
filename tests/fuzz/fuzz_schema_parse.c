/*
 * The watched tables' columns as they were where the stream is, read back from the position topic.
 *
 * Whatever can be read can be written again, and is then read as the same; what cannot leaves
 * nothing known.
 */
#include "tests/fuzz/fuzz.h"

#include "capture/stream/schema.h"

static struct cap_schema *
schema_get(void)
{
    static struct cap_schema *schema;
    static struct ls_config *config; /* borrowed by the schema */
    char *sets[] = {(char *)"source.database=owncloud"};
    struct ls_err err = {0};

    if (!schema) {
        PROMISE(ls_config_load("/dev/null", sets, 1, &config, &err) == 0);
        schema = cap_schema_new(config);
        PROMISE(schema);
    }
    return schema;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cap_schema *schema = schema_get();
    char *text = calloc(1, size + 1), *first, *second;
    struct ls_err err = {0};

    PROMISE(text);
    memcpy(text, data, size);
    if (cap_schema_parse(schema, text, &err) < 0) {
        (void)fuzz_failed(&err);
        PROMISE(err.kind == LS_ERR_FATAL && !strcmp(err.cause, "position"));
        for (int i = 0; i < LS_T_COUNT; i++)
            PROMISE(!cap_schema_known(schema, (enum ls_table_id)i));
        goto out;
    }
    first = cap_schema_print(schema);
    PROMISE(first);
    PROMISE(cap_schema_parse(schema, first, &err) == 0);
    second = cap_schema_print(schema);
    PROMISE(second && !strcmp(first, second));
    free(first);
    free(second);
out:
    free(text);
    return 0;
}
