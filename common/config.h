/*
 * Configuration: one INI file for all programs, one table of options.
 *
 * Order, the later wins: the table's defaults, the file (--config, default
 * /etc/lockstep/lockstep.conf when it exists), systemd's credentials (files
 * named SECTION.KEY in $CREDENTIALS_DIRECTORY; without both that and --config
 * those in /etc/lockstep/credentials, where they can be read), the environment
 * (LOCKSTEP_SOURCE_HOST for [source] host), --set source.host=h. An unknown
 * section or key is an error with file and line. Every secret may be given as
 * a file: key `password_file` next to `password`. Keys of [kafka] go to
 * librdkafka as they are (environment: LOCKSTEP_KAFKA_BOOTSTRAP_SERVERS).
 * The [map] section maps path prefixes of oc_accounts.home to local ones, [spaces] names of project
 * spaces to their owners and storages.
 */
#ifndef LS_CONFIG_H
#define LS_CONFIG_H

#include "common/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ls_option_type { LS_OPT_STR, LS_OPT_INT, LS_OPT_BOOL };
struct ls_option {
    const char *section;
    const char *key;
    enum ls_option_type type;
    const char *fallback; /* default as text; NULL: none */
    bool secret;          /* redacted when shown; `<key>_file` is accepted */
    int64_t min, max;     /* for LS_OPT_INT; both 0: any */
    const char *help;     /* one sentence for the manual */
};
extern const struct ls_option ls_options[]; /* common/options.c, ends with a NULL section */

struct ls_config;

int ls_config_load(const char *path, char *const *sets, size_t n_sets, struct ls_config **ret,
                   struct ls_err *err);
void ls_config_free(struct ls_config *config);

/* An option that is not in the table is a bug and aborts. Strings are borrowed until the free;
 * an unset one is NULL. */
const char *ls_config_str(const struct ls_config *config, const char *section, const char *key);
int64_t ls_config_int(const struct ls_config *config, const char *section, const char *key);
bool ls_config_bool(const struct ls_config *config, const char *section, const char *key);
/* FATAL naming the option when it is not set. */
int ls_config_require(const struct ls_config *config, const char *section, const char *key,
                      const char **ret, struct ls_err *err);
/* Walks [kafka], [map] or [spaces] in order; stops when `each` returns non-zero and returns that.
 */
int ls_config_each(const struct ls_config *config, const char *section,
                   int (*each)(void *arg, const char *key, const char *value), void *arg);
/* "<prefix>.<suffix>", borrowed until the config is freed. */
const char *ls_config_topic(const struct ls_config *config, const char *suffix);

/*
 * The command line that all daemons share: --config FILE, --set S.K=V,
 * --check-config, --dump-config, --log-level L, --version, --help.
 * Returns 0 and a config to go on; 1 when the program is done (status in
 * *ret_exit); -1 with err, which is not NULL here, for a wrong option or file (status
 * LS_EXIT_USAGE), or a machine that lacks now what reading them takes (RETRY, LS_EXIT_FAILURE).
 * `extra` (may be NULL) names further options without an argument that the
 * program knows, e.g. "--snapshot"; ret_extra[i] says whether it was given.
 */
int ls_config_main(int argc, char **argv, const char *program, const char *const *extra,
                   bool *ret_extra, struct ls_config **ret, int *ret_exit, struct ls_err *err);

#endif
