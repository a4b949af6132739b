/*
 * Prints lockstep(1) and lockstep.conf(5) as scdoc's source, and completion for bash and zsh.
 *
 * All of it comes from the tables of commands and options, when the programs are built, so none of
 * it can be older than they are. What can go wrong: a letter that scdoc or a shell takes for its
 * own. Help texts are ours, and the tests run scdoc, bash and zsh over what is printed.
 */
#include "ctl/manual.h"
#include "common/config.h"
#include "ctl/usage.h"
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

static const char *const daemons[] = {"lockstep-capture", "lockstep-transform", "lockstep-apply"};

/* ---- scdoc */

/* What scdoc would take for formatting stands behind a backslash. */
static void
escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (strchr("_*\\<>#[]|`~", *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void
man_options(const struct ctl_option_help *options, FILE *out)
{
    for (; options->name; options++) {
        fprintf(out, "*%s*", options->name);
        if (options->value) {
            fputs(" _", out);
            fputs(options->value, out);
            fputs("_", out);
        }
        fputs("\n\t", out);
        escaped(options->help, out);
        fputs("\n\n", out);
    }
}

/* Lines that begin with a blank are examples. */
static void
man_text(const char *text, FILE *out)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        char line[1024];

        snprintf(line, sizeof(line), "%.*s", (int)n, text);
        if (line[0] == ' ') {
            fprintf(out, "```\n%s\n```\n\n", line + 1);
        } else {
            escaped(line, out);
            fputs("\n\n", out);
        }
        text += n + (text[n] == '\n');
    }
}

static void
man_command(const struct ctl_command_help *c, FILE *out)
{
    fprintf(out, "## %s\n\n*lockstep %s*", c->name, c->name);
    for (const char *w = c->words ? c->words : ""; *w; w++)
        fprintf(out, "%s%s", w == c->words ? " " : "", *w == ' ' ? "\\|" : (char[]){*w, '\0'});
    if (c->rest) {
        fputc(' ', out);
        escaped(c->rest, out);
    }
    fputs("\n\n", out);
    escaped(c->summary, out);
    fputs(".\n\n", out);
    man_text(c->text, out);
    man_options(c->options, out);
}

static void
print_man_1(FILE *out)
{
    fputs("# COMMANDS\n\n", out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++)
        man_command(c, out);
    fputs("# OPTIONS\n\nThose of a command stand there; these all take.\n\n", out);
    man_options(ctl_options_of_all, out);
}

static void
man_config_option(const struct ls_option *o, FILE *out)
{
    fprintf(out, "*%s*", o->key);
    if (o->fallback) {
        fputs(" = ", out);
        escaped(o->fallback, out);
    }
    fputs("\n\t", out);
    escaped(o->help, out);
    if (o->secret)
        fprintf(out, " Secret: *%s\\_file* names a file that holds it.", o->key);
    else if (o->type == LS_OPT_INT && (o->min || o->max))
        fprintf(out, " From %" PRId64 " to %" PRId64 ".", o->min, o->max);
    else if (o->type == LS_OPT_BOOL)
        fputs(" True or false.", out);
    fputs("\n\n", out);
}

static void
print_man_5(FILE *out)
{
    const char *section = "";

    fputs("lockstep.conf(5)\n\n# NAME\n\nlockstep.conf - configuration of Lockstep's programs\n\n"
          "# DESCRIPTION\n\n"
          "One INI file for all programs: sections in brackets, a _key = value_ a line, comments "
          "behind ; at a line's beginning. "
          "What stands later wins: the defaults, this file, the credentials, the environment, "
          "*--set*. An unknown section or key is an error.\n\n"
          "The environment's name of an option is LOCKSTEP\\_SECTION\\_KEY in capital letters.\n\n"
          "Credentials are files that are named _section.key_, say source.password, in the folder "
          "that systemd tells by $CREDENTIALS\\_DIRECTORY; without that, and without *--config*, "
          "in /etc/lockstep/credentials where it can be read.\n\n",
          out);
    for (const struct ls_option *o = ls_options; o->section; o++) {
        if (strcmp(section, o->section) != 0) {
            section = o->section;
            fprintf(out, "# SECTION %s\n\n", section);
        }
        man_config_option(o, out);
    }
    fputs("# SECTION kafka\n\n"
          "Every key goes to librdkafka as it is (bootstrap.servers, security.protocol, "
          "sasl.username, ...). What Lockstep's promises rest on (acks, isolation.level, "
          "enable.idempotence, ...) cannot be set.\n\n"
          "# SECTION map\n\n"
          "A path prefix of oc\\_accounts.home and where it is on this machine, one a line. The "
          "longest prefix that matches is taken.\n\n"
          "# SECTION spaces\n\n"
          "Storages that shall be project spaces, one a line: NAME = OWNER, STORAGE, where STORAGE "
          "is an oc\\_storages.id in which \\* stands for any text.\n\n"
          "# FILES\n\n/etc/lockstep/lockstep.conf, /etc/lockstep/credentials\n\n"
          "# SEE ALSO\n\n"
          "*lockstep*(1), *lockstep-capture*(8), *lockstep-transform*(8), *lockstep-apply*(8)\n",
          out);
}

/* ---- completion */

static void
names(const struct ctl_option_help *options, const char *between, FILE *out)
{
    for (; options->name; options++)
        fprintf(out, "%s%s", options->name, options[1].name ? between : "");
}

static void
print_sets(FILE *out)
{
    for (const struct ls_option *o = ls_options; o->section; o++)
        fprintf(out, "%s%s.%s=", o == ls_options ? "" : " ", o->section, o->key);
}

static void
print_bash(FILE *out)
{
    fputs("# bash completion for Lockstep; printed by `lockstep reference bash`\n"
          "_lockstep() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\n"
          "    local line=${COMP_LINE:0:COMP_POINT}\n"
          "    line=${line##* } # '=' breaks words in bash: this is what stands there\n"
          "    COMPREPLY=()\n"
          "    case $prev in\n"
          "    --config) mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n"
          "    --log-level) mapfile -t COMPREPLY < <(compgen -W 'debug info warn error' -- "
          "\"$cur\"); return ;;\n"
          "    --set) compopt -o nospace 2> /dev/null\n"
          "        mapfile -t COMPREPLY < <(compgen -W '",
          out);
    print_sets(out);
    fputs("' -- \"$line\"); return ;;\n", out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++) {
        for (const struct ctl_option_help *o = c->options; o->name; o++) {
            bool earlier = false;
            for (const struct ctl_command_help *d = ctl_commands; d != c; d++)
                for (const struct ctl_option_help *p = d->options; p->name; p++)
                    earlier |= strcmp(o->name, p->name) == 0;
            if (o->value && !earlier)
                fprintf(out, "    %s) return ;;\n", o->name);
        }
    }
    fputs("    esac\n    case ${COMP_WORDS[0]##*/} in\n", out);
    for (size_t i = 0; i < sizeof daemons / sizeof daemons[0]; i++) {
        fprintf(out, "    %s) words='", daemons[i]);
        for (const struct ctl_option_help *o = ctl_options_daemons; o->name; o++) {
            if (strstr(o->help, daemons[i]))
                fprintf(out, "%s ", o->name);
        }
        names(ctl_options_of_all + 1, " ", out); /* the daemons have no --json */
        fputs("' ;;\n", out);
    }
    fputs("    *)\n        if [ \"$COMP_CWORD\" = 1 ]; then words='--help --version", out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++)
        fprintf(out, " %s", c->name);
    fputs("'; else\n            case ${COMP_WORDS[1]} in\n", out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++) {
        fprintf(out, "            %s) words='", c->name);
        names(c->options, " ", out);
        fprintf(out, "%s", c->options[0].name ? " " : "");
        names(ctl_options_of_all, " ", out);
        fputs("'\n", out);
        if (c->words)
            fprintf(out, "                [[ $COMP_CWORD != 2 || $cur == -* ]] || words='%s' ;;\n",
                    c->words);
        else if (strcmp(c->name, "help") == 0) {
            fputs("                words='", out);
            for (const struct ctl_command_help *d = ctl_commands; d->name; d++)
                fprintf(out, "%s%s", d == ctl_commands ? "" : " ", d->name);
            fputs("' ;;\n", out);
        } else
            fputs("                ;;\n", out);
    }
    fputs("            esac\n        fi ;;\n    esac\n"
          "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
          "}\n"
          "complete -F _lockstep lockstep lockstep-capture lockstep-transform lockstep-apply\n",
          out);
}

/* In zsh's [...] a bracket and a quote, and in its specs a colon, are its own. */
static void
zsh_text(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else if (strchr("[]:\\", *text))
            fprintf(out, "\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void
zsh_options(const struct ctl_option_help *options, FILE *out)
{
    for (; options->name; options++) {
        fprintf(out, "'%s%s[", options->value ? "*" : "", options->name);
        zsh_text(options->help, out);
        fputc(']', out);
        if (options->value && strcmp(options->name, "--config") == 0)
            fputs(":file:_files", out);
        else if (options->value && strcmp(options->name, "--log-level") == 0)
            fputs(":level:(debug info warn error)", out);
        else if (options->value && strcmp(options->name, "--set") == 0)
            fputs(":option:->set", out);
        else if (options->value)
            fprintf(out, ":%s:", options->value);
        fputs("' \\\n            ", out);
    }
}

static void
print_zsh(FILE *out)
{
    fputs("#compdef lockstep lockstep-capture lockstep-transform lockstep-apply\n"
          "# zsh completion for Lockstep; printed by `lockstep reference zsh`\n"
          "_lockstep_set() {\n    local -a sets=(",
          out);
    print_sets(out);
    fputs(")\n    compadd -S '' -- $sets\n}\n\n_lockstep() {\n"
          "    local state line curcontext=$curcontext\n    local -a commands=(\n",
          out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++) {
        fprintf(out, "        '%s:", c->name);
        zsh_text(c->summary, out);
        fputs("'\n", out);
    }
    fputs("    )\n    case $service in\n", out);
    for (size_t i = 0; i < sizeof daemons / sizeof daemons[0]; i++) {
        fprintf(out, "    %s)\n        _arguments -C ", daemons[i]);
        for (const struct ctl_option_help *o = ctl_options_daemons; o->name; o++) {
            if (strstr(o->help, daemons[i]))
                zsh_options((struct ctl_option_help[]){*o, {NULL, NULL, NULL}}, out);
        }
        zsh_options(ctl_options_of_all + 1, out);
        fputs("&& return ;;\n", out);
    }
    fputs("    *)\n        if (( CURRENT == 2 )); then _describe command commands; return; fi\n"
          "        local command=$words[2]\n"
          "        shift words; (( CURRENT-- ))\n        case $command in\n",
          out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++) {
        fprintf(out, "        %s) _arguments -C ", c->name);
        zsh_options(c->options, out);
        zsh_options(ctl_options_of_all, out);
        if (c->words)
            fprintf(out, "'1:action:(%s)' ", c->words);
        else if (strcmp(c->name, "help") == 0)
            fputs("'1:command:{_describe command commands}' ", out);
        fputs("&& return ;;\n", out);
    }
    fputs("        esac ;;\n    esac\n    [[ $state == set ]] && _lockstep_set\n}\n\n"
          "_lockstep \"$@\"\n",
          out);
}

int
ctl_manual(const char *page, FILE *out)
{
    if (strcmp(page, "lockstep.1") == 0)
        print_man_1(out);
    else if (strcmp(page, "lockstep.conf.5") == 0)
        print_man_5(out);
    else if (strcmp(page, "bash") == 0)
        print_bash(out);
    else if (strcmp(page, "zsh") == 0)
        print_zsh(out);
    else
        return -1;
    return 0;
}
