/*
 * The command line that all daemons share, and the configuration as it is shown.
 *
 * What can go wrong: --dump-config is what people paste into bug reports, so no
 * secret may be in it, also none of librdkafka's. A wrong option ends the
 * program with LS_EXIT_USAGE before anything is touched. A service manager leaves that down, so it
 * is not the word for a machine that has no descriptor or no memory at this moment.
 */
#include "common/config_parts.h"
#include "common/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIDDEN "***"

static void
dump_list(const char *section, const struct config_list *list, bool kafka)
{
    printf("\n[%s]\n", section);
    for (size_t i = 0; i < list->n; i++) {
        const struct config_pair *p = &list->pairs[i];

        printf("%s = %s\n", p->key, kafka && config_kafka_secret(p->key) ? HIDDEN : p->value);
    }
}

static void
dump(const struct ls_config *c)
{
    const char *section = "";

    for (size_t i = 0; ls_options[i].section; i++) {
        const struct ls_option *o = &ls_options[i];

        if (strcmp(o->section, section) != 0)
            printf("%s[%s]\n", *section ? "\n" : "", o->section);
        section = o->section;
        if (!c->values[i])
            printf("; %s =\n", o->key);
        else
            printf("%s = %s\n", o->key, o->secret && *c->values[i] ? HIDDEN : c->values[i]);
    }
    dump_list("kafka", &c->kafka, true);
    dump_list("map", &c->map, false);
    dump_list("spaces", &c->spaces, false);
}

static void
help(const char *program, const char *const *extra)
{
    printf("usage: %s [options]\n"
           "  --config FILE     read FILE instead of /etc/lockstep/lockstep.conf\n"
           "  --set S.K=VALUE   set an option; may be given more than once\n"
           "  --log-level L     debug, info, warn or error\n"
           "  --check-config    read the configuration, say whether it is right, and exit\n"
           "  --dump-config     print the configuration that holds, without secrets, and exit\n"
           "  --version, --help\n",
           program);
    for (; extra && *extra; extra++)
        printf("  %s\n", *extra);
}

struct args {
    const char *path;
    const char *level;
    char **sets;
    size_t n_sets;
    bool check, dump, version, help;
};

/* The value of `name` at argv[*i], as "--name value" or "--name=value"; NULL when it is another. */
static const char *
argument(char **argv, int *i, const char *name, bool *ret_missing)
{
    size_t n = strlen(name);

    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    if (argv[*i][n] != '\0')
        return NULL;
    if (!argv[*i + 1]) {
        *ret_missing = true;
        return NULL;
    }
    return argv[++*i];
}

static bool
extra_given(const char *arg, const char *const *extra, bool *ret_extra)
{
    for (size_t i = 0; extra && extra[i]; i++) {
        if (strcmp(arg, extra[i]) == 0) {
            ret_extra[i] = true;
            return true;
        }
    }
    return false;
}

static int
args_parse(int argc, char **argv, const char *const *extra, bool *ret_extra, struct args *a,
           struct ls_err *err)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--check-config", &a->check},
                 {"--dump-config", &a->dump},
                 {"--version", &a->version},
                 {"--help", &a->help}};

    for (int i = 1; i < argc; i++) {
        bool missing = false, found = false;
        const char *value;

        for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++) {
            if (strcmp(argv[i], flags[k].name) == 0)
                found = *flags[k].flag = true;
        }
        if (found || extra_given(argv[i], extra, ret_extra))
            continue;
        if ((value = argument(argv, &i, "--config", &missing)))
            a->path = value;
        else if ((value = argument(argv, &i, "--log-level", &missing)))
            a->level = value;
        else if ((value = argument(argv, &i, "--set", &missing)))
            a->sets[a->n_sets++] = (char *)value;
        else
            return ls_fail_cause(err, LS_ERR_FATAL, EINVAL, "usage",
                                 missing ? "option %.60s needs a value"
                                         : "unknown option %.60s (--help lists them)",
                                 argv[i]);
    }
    return 0;
}

int
ls_config_main(int argc, char **argv, const char *program, const char *const *extra,
               bool *ret_extra, struct ls_config **ret, int *ret_exit, struct ls_err *err)
{
    struct args a = {.sets = calloc((size_t)argc + 2, sizeof(char *))};
    struct ls_config *config = NULL;
    enum ls_log_level level = LS_INFO;
    char *level_set = NULL;
    int r = -1;

    for (size_t i = 0; extra && extra[i]; i++)
        ret_extra[i] = false;
    if (!a.sets) {
        ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
        goto out;
    }
    if (args_parse(argc, argv, extra, ret_extra, &a, err) < 0)
        goto out;
    *ret_exit = LS_EXIT_OK;
    if (a.help || a.version) {
        if (a.help)
            help(program, extra);
        else
            printf("%s %s\n", program, LS_VERSION);
        r = 1;
        goto out;
    }
    if (a.level) {
        if (asprintf(&level_set, "log.level=%s", a.level) < 0) {
            level_set = NULL;
            ls_fail(err, LS_ERR_RETRY, ENOMEM, "out of memory");
            goto out;
        }
        a.sets[a.n_sets++] = level_set;
    }
    if (ls_config_load(a.path, a.sets, a.n_sets, &config, err) < 0)
        goto out;
    if (a.check || a.dump) {
        if (a.dump)
            dump(config);
        else
            printf("the configuration is right\n");
        r = 1;
        goto out;
    }
    ls_log_level_parse(ls_config_str(config, "log", "level"), &level);
    ls_log_init(program, level);
    *ret = config;
    config = NULL;
    r = 0;
out:
    if (r < 0)
        *ret_exit = err->kind == LS_ERR_RETRY ? LS_EXIT_FAILURE : LS_EXIT_USAGE;
    ls_config_free(config);
    free(level_set);
    free(a.sets);
    return r;
}
