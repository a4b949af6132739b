/*
 * What the commands with words and options of their own share: taking an option's value, and asking
 * before something is given up. A question that nobody can answer (no terminal, no --yes) is "no".
 */
#include "ctl/ctl.h"
#include <string.h>
#include <unistd.h>

const char *
ctl_option(int argc, char **argv, int *i, const char *name)
{
    size_t n = strlen(name);

    if (!strncmp(argv[*i], name, n) && argv[*i][n] == '=')
        return argv[*i] + n + 1;
    if (strcmp(argv[*i], name) != 0)
        return NULL;
    return *i + 1 < argc && argv[*i + 1] ? argv[++*i] : "";
}

/* Home, and what follows is cleared line by line as it is printed over: no flicker. */
void
ctl_redraw(FILE *out)
{
    if (isatty(fileno(out)))
        fputs("\033[H\033[J", out);
}

bool
ctl_again(const struct ls_err *err)
{
    if (err->kind != LS_ERR_NONE && err->kind != LS_ERR_RETRY)
        return false;
    sleep(1);
    return true;
}

bool
ctl_confirm(const char *question, bool yes)
{
    char answer[16] = "";

    if (yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "lockstep: %s Say --yes to do it without a terminal.\n", question);
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
