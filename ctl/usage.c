/*
 * The table of commands and options as people read it, and `lockstep help`.
 *
 * What can go wrong: an option that is parsed and not here, or here and not parsed. A test asks the
 * programs for each one here, and looks in the sources for those that are not.
 */
#include "ctl/usage.h"
#include <string.h>

#define WIDTH 80

/* clang-format off */
const struct ctl_option_help ctl_options_of_all[] = {
    {"--json", NULL, "one JSON document instead of text"},
    {"--config", "FILE", "read FILE instead of /etc/lockstep/lockstep.conf"},
    {"--set", "SECTION.KEY=VALUE", "set an option; may be given more than once"},
    {"--log-level", "LEVEL", "debug, info, warn or error"},
    {"--check-config", NULL, "look at the configuration and the arguments, and exit"},
    {"--dump-config", NULL, "print the configuration, without secrets, and exit"},
    {"--version", NULL, "print the version and exit"},
    {"--help", NULL, "print the command's help and exit"},
    {NULL, NULL, NULL},
};

const struct ctl_option_help ctl_options_daemons[] = {
    {"--snapshot", NULL, "lockstep-capture: take a snapshot of everything beside the stream, whatever the position says"},
    {"--from-start", NULL, "lockstep-apply: read the topics from their beginning, not from the ledger's offsets"},
    {NULL, NULL, NULL},
};

const struct ctl_command_help ctl_commands[] = {
    {"check", NULL, NULL, "is everything in place: source, Kafka, target, data directory",
     "The pre-flight. Each line is pass, note, warn or fail, and says what to do. It does not burden a living "
     "ownCloud: each query ends after ten seconds. With options those parts alone. Status 3 when a line failed.",
     {{"--source", NULL, "the source, and the rows that lines are about"},
      {"--kafka", NULL, "Kafka: topics, how they are kept and copied, rights"},
      {"--target", NULL, "oCIS: sign-in, settings, room and quotas"},
      {"--data", NULL, "the data directory, as this host sees it"}}},
    {"status", NULL, NULL, "every stage: ready, behind by, applied, parked, dead",
     "One line a stage and instance, from the status topic, so that it works from any host that reaches Kafka; below it why "
     "something is parked or dead, by cause. "
     "Status 3 when a stage is silent, not ready or out of balance.",
     {{"--watch", NULL, "again every second until interrupted"}}},
    {"lag", NULL, NULL, "how far each stage is behind: seconds, records, bytes",
     "The age of the oldest thing that each stage has not done yet, and the records and bytes that wait for it (~: by the mean size of those seen lately); of the hundred "
     "users who wait longest, what is open in apply. What is parked is no lag; why it is parked stands beside it, "
     "of each stage and each user. Status as of status; 7 when Kafka does not tell how many records wait.",
     {{"--user", "U", "of the users, this one alone"},
      {"--watch", NULL, "again every second until interrupted"}}},
    {"verify", NULL, NULL, "compare ownCloud 10 with oCIS, independently of the ledger",
     "Reads both sides themselves: trees, sizes, times and checksums, trash, shares with their grants, and links, as each user sees them. "
     "What differs is looked at again when the stream has passed that moment, so that what it still carries is told "
     "apart. Status 0 when they are equal, 3 when they differ, 10 when nothing differs but what is still carried. A side "
     "that cannot be read is neither: 4 source, 6 target, 9 data directory; 11 when nothing differs, but something "
     "(UNSEEN) could not be compared.\n"
     " lockstep verify --deep --sample 5 --resume verify.state --html verify.html",
     {{"--all", NULL, "everybody, as without --user and --group"},
      {"--user", "U", "this user's tree, trash, links and what he received"},
      {"--group", "G", "the members of this group at the source"},
      {"--deep", NULL, "read each file on both sides and compare what was read"},
      {"--sample", "N", "N percent of the users; with --deep, of the files read"},
      {"--seed", "N", "the sample of an earlier run, which printed this"},
      {"--resume", "FILE", "keep what was done in FILE, go on from there after a kill"},
      {"--html", "FILE", "write a page for people beside what is printed"},
      {"--wait", "S", "wait S seconds at most for the stream (60); 0: not at all"}}},
    {"snapshot", "start pause resume cancel status", NULL,
     "have capture read everything, or some users, again",
     "Sends a signed command to capture and waits up to 30 s for its answer; needs [control] key. A snapshot runs beside "
     "the stream, at any time. Status 3 when capture refuses, with why; 1 without an answer. status also tells which "
     "sweeps wait for a word, and what they would delete.\n"
     " lockstep snapshot start --user alice --user bob",
     {{"--all", NULL, "start: everything"},
      {"--user", "U", "start: the storages of this user; up to 64 times"},
      {"--group", "G", "start: of the members of this group at the source"},
      {"--storage", "N", "start: this storage (oc_storages); up to 256 times"},
      {"--watch", NULL, "status: again every second until interrupted"}}},
    {"dlq", "list show retry drop export", "[LETTER]...",
     "what can never be applied, and why; once more, or given up",
     "Dead letters of all stages, by their numbers or filtered by the options. Secrets are masked. retry sends them once "
     "more through the replay topic, in their order, and drop gives them up for a reason that is kept; drop asks, and retry of "
     "those about what somebody has changed in oCIS, where the source then wins. Both need [control] key.\n"
     " lockstep dlq retry --cause content-missing",
     {{"--cause", "C", "letters of this cause"},
      {"--stage", "S", "letters of this stage"},
      {"--topic", "T", "letters of this topic"},
      {"--user", "U", "letters of this user"},
      {"--state", "S", "letters in this state: open, retried, alive, dropped"},
      {"--all", NULL, "all letters"},
      {"--secrets", NULL, "show the bytes as they came"},
      {"--reason", "TEXT", "drop: why"},
      {"--yes", NULL, "do not ask"}}},
    {"replay", NULL, NULL, "entities of a topic once more, in their latest state",
     "Those with a record in the range go through the replay topic, signed, in their latest state: the parked are tried "
     "at once, the dead come alive, what is as it shall be costs no call. With --reconcile each is looked up at the target, too, and brought into step "
     "where that is otherwise: after it was restored from a backup. That overwrites what somebody has changed in oCIS, so it "
     "asks. Nobody's offsets move; needs [control] key.\n"
     "A range by GTID (MariaDB's 0-1-100, MySQL's uuid:100) is of the transactions of that domain, or that uuid, by their "
     "numbers; rows of snapshots have none. A GTID that the topic does not have is told of, and status 3 says that nothing "
     "was in the range. What looks like a day is one: write gtid:2026-11-22.\n"
     " lockstep replay --topic cs3.resource --user alice --reconcile --dry-run",
     {{"--topic", "T", "cs3.resource, .space, .person, .share or .annotation"},
      {"--from", "F", "an offset, a time as 2026-11-22T10:00:00Z, or a GTID"},
      {"--to", "F", "the first that is out"},
      {"--user", "U", "what is this user's"},
      {"--entity", "KEY", "the records of this key"},
      {"--rate", "N", "at most so many records a second"},
      {"--reconcile", NULL, "compare each with the target itself"},
      {"--dry-run", NULL, "say what would be sent"},
      {"--yes", NULL, "do not ask"}}},
    {"repair", NULL, NULL, "what verify finds of some users, brought into step",
     "Compares as verify does, leaves what the stream still carries to it, and sends the rest through the replay topic to be "
     "compared with the target itself: what is missing or otherwise there is made as ownCloud has it, whatever somebody has "
     "changed in oCIS; so it asks. What the target alone has is named and left. Needs [control] key. Status 3 when something "
     "is left.\n"
     " lockstep repair --user alice --dry-run",
     {{"--user", "U", "what differs of this user"},
      {"--group", "G", "of the members of this group at the source"},
      {"--all", NULL, "of everybody"},
      {"--deep", NULL, "read each file on both sides, too"},
      {"--wait", "S", "wait S seconds at most for the stream (60); 0: not at all"},
      {"--dry-run", NULL, "say what would be sent"},
      {"--yes", NULL, "do not ask"}}},
    {"id", NULL, "FILEID", "where a file of ownCloud went: space, node, path",
     "By its number in oc_filecache, from the mirror of apply's ledger, which is read whole; from any host that may read "
     "it. Status 1 when apply has made nothing of it.",
     {{NULL, NULL, NULL}}},
    {"help", NULL, "[COMMAND]", "this text, or more about a command", "", {{NULL, NULL, NULL}}},
    {NULL, NULL, NULL, NULL, NULL, {{NULL, NULL, NULL}}},
};
/* clang-format on */

void
ctl_help(FILE *out)
{
    fputs("usage: lockstep COMMAND [OPTION]...       lockstep help COMMAND says more\n\n", out);
    for (const struct ctl_command_help *c = ctl_commands; c->name; c++)
        fprintf(out, "  %-8s  %s\n", c->name, c->summary);
    fputs("\n  --json    one JSON document instead of text\n"
          "  --config FILE, --set SECTION.KEY=VALUE\n"
          "\nexit status: 0 fine or equal, 1 failed, 2 wrong usage, 3 different, refused or a\n"
          "check failed, 4 source, 5 lost position, 6 target, 7 Kafka, 9 data directory,\n"
          "10 verify: only what is still carried, 11 verify: not all could be compared\n",
          out);
}

/* The text at most WIDTH columns wide; a line that begins with a blank stays as it is. */
static void
print_text(const char *text, FILE *out)
{
    size_t column = 0;

    while (*text) {
        size_t n = strcspn(text, " \n");

        if (column > 0 && column + 1 + n > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column ? " " : "", (int)n, text);
        text += n;
        if (*text == '\n') {
            fputc('\n', out);
            column = 0;
            if (text[1] == ' ') {
                n = strcspn(text + 1, "\n");
                fprintf(out, "\n %.*s\n", (int)n, text + 1);
                text += n + 1;
            }
        }
        if (*text)
            text++;
    }
    if (column > 0)
        fputc('\n', out);
}

static void
print_options(const struct ctl_option_help *options, FILE *out)
{
    char left[64];

    for (; options->name; options++) {
        snprintf(left, sizeof(left), "%s%s%s", options->name, options->value ? " " : "",
                 options->value ? options->value : "");
        fprintf(out, "  %-20s%s%s\n", left, strlen(left) > 18 ? "\n                      " : "",
                options->help);
    }
}

int
ctl_help_of(const char *command, FILE *out)
{
    const struct ctl_command_help *c = ctl_commands;

    while (c->name && strcmp(c->name, command) != 0)
        c++;
    if (!c->name)
        return -1;
    fprintf(out, "usage: lockstep %s ", c->name);
    for (const char *w = c->words; w && *w; w++)
        fputc(*w == ' ' ? '|' : *w, out);
    fprintf(out, "%s%s%s[OPTION]...\n%s\n\n", c->words ? " " : "", c->rest ? c->rest : "",
            c->rest ? " " : "", c->summary);
    print_text(c->text, out);
    if (*c->text)
        fputc('\n', out);
    print_options(c->options, out);
    print_options(ctl_options_of_all, out);
    return 0;
}
