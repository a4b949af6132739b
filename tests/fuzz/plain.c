/*
 * A fuzz target as a unit test, for machines without libFuzzer: feeds it every file of its corpus.
 *
 * FUZZ_CORPUS, given by the compiler's command line, is the folder, seen from the top of the tree.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define INPUT_MAX ((size_t)1 << 20)

static void
feed(const char *name)
{
    char path[512];
    uint8_t *p = malloc(INPUT_MAX);
    size_t n;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", FUZZ_CORPUS, name);
    f = fopen(path, "rb");
    if (!f || !p)
        fail_msg("%s cannot be read", path);
    n = fread(p, 1, INPUT_MAX, f);
    fclose(f);
    assert_in_range(n, 0, INPUT_MAX - 1);
    (void)LLVMFuzzerTestOneInput(p, n);
    free(p);
}

static void
every_input_of_the_corpus_keeps_the_promises(void **state)
{
    DIR *dir = opendir(FUZZ_CORPUS);
    const struct dirent *entry;
    int n = 0;

    (void)state;
    if (!dir)
        fail_msg("%s is missing: run from the top of the tree", FUZZ_CORPUS);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        feed(entry->d_name);
        n++;
    }
    closedir(dir);
    assert_true(n > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_of_the_corpus_keeps_the_promises)};

    return cmocka_run_group_tests_name(FUZZ_CORPUS, tests, NULL, NULL);
}
