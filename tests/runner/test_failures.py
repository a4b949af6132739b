"""Who sees only the end of a failed run knows what failed, where and why."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import failures
import run
from bed.fetch import ROOT
from bed.process import wait_until

CMOCKA = r"""
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
static void fits(void **state) { (void)state; assert_int_equal(1, 1); }
static void differs(void **state) { (void)state;
    assert_string_equal("this", "that"); }
static int no_setup(void **state) { (void)state; fail_msg("no %s here", "ledger"); return 0; }
static void touches_what_is_freed(void **state) { (void)state;
    char *volatile gone = malloc(3); free(gone); gone[1] = 1; }
static void goes_away(void **state) { (void)state; abort(); }
int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(fits), cmocka_unit_test(differs),
        cmocka_unit_test_setup(fits, no_setup)};
    const struct CMUnitTest freed[] = {cmocka_unit_test(fits), cmocka_unit_test(touches_what_is_freed)};
    const struct CMUnitTest dies[] = {cmocka_unit_test(goes_away)};
    return argv[argc - 1][0] == 'f' ? cmocka_run_group_tests(freed, NULL, NULL)
         : argv[argc - 1][0] == 'd' ? cmocka_run_group_tests(dies, NULL, NULL)
                                    : cmocka_run_group_tests(tests, NULL, NULL);
}
"""
MAKEFILE = """
all: test_some.run test_freed.run test_died.run test_killed.run test_late.run test_unbuilt.run
test_some.run:
\t@echo "== test_some"; ./tests some
test_freed.run:
\t@echo "== test_freed"; ./tests freed
test_died.run:
\t@echo "== test_died"; ./tests died
test_killed.run:
\t@echo "== test_killed"; kill -9 $$$$
test_late.run:
\t@echo "== test_late"; timeout 0.1 sleep 30
test_unbuilt.run:
\t@$(CC) -c -o unbuilt.o unbuilt.c
"""
PYTEST = """
import pytest
@pytest.fixture
def server():
    raise RuntimeError("no server came up")
def test_a_name_may_be_a_whole_sentence_that_tells_at_length_what_ought_to_be_so_in_every_case():
    assert [1, 2] == [1, 3], "the rows differ"
def test_nothing_is_wrong_here():
    pass
def test_without_a_server(server):
    pass
@pytest.mark.parametrize("what", ["one - two", "one"])
def test_of(what):
    raise ValueError(what + "!")
def test_chained():
    try:
        {}["a key"]
    finally:
        assert not "in the end"
"""
HANGS = """
import os, signal, threading
import pytest
@pytest.fixture
def server():
    yield
    print("the server " + "ended")
def test_that_hangs(server):
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)  # its limit is over soon
    threading.Event().wait()
def test_behind_it():
    pass
def test_whose_suite_is_ended(server):
    os.killpg(0, signal.SIGINT)
    threading.Event().wait()
def test_that_nobody_has_time_for():
    pass
"""


def end_of(suites):
    """What run.py prints behind its table for these suites, and its status."""
    code = (f"import run, sys; run.SUITES = {suites!r}; sys.argv = ['run.py']\n"
            "sys.exit(run.main())")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True,
                          text=True)
    return done.stdout.split("\nall  ")[1].splitlines()[1:], done.returncode


@pytest.fixture(scope="module")
def unit_lines(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unit")
    (folder / "tests.c").write_text(CMOCKA)
    (folder / "unbuilt.c").write_text("int main(void) { return nothing; }\n")
    (folder / "Makefile").write_text(MAKEFILE)
    subprocess.run(["gcc", "-g", "-fsanitize=address", "-o", "tests", "tests.c", "-lcmocka"],
                   cwd=folder, check=True)
    end, status = end_of({"unit": (60, ["make", "-k", "-Otarget", "-j2", "-C", str(folder)])})
    assert status == 1 and "FAILED: unit" in end
    return end


def one(lines, *words):
    return [line for line in lines if all(w in line for w in words)]


def test_a_failed_assertion_is_named_with_its_place(unit_lines):
    assert one(unit_lines, "test_some: differs: tests.c:10: \"this\" != \"that\"")
    assert one(unit_lines, "test_some: fits: tests.c:11: no ledger here")
    assert not one(unit_lines, "test_freed: fits")


def test_a_sanitizers_word_is_given_with_the_test_that_ran(unit_lines):
    assert one(unit_lines, "test_freed: touches_what_is_freed: ERROR: AddressSanitizer")
    assert one(unit_lines, "test_freed: touches_what_is_freed: SUMMARY:", "tests.c:13")


def test_a_program_that_dies_or_runs_out_of_time_is_named(unit_lines):
    assert one(unit_lines, "test_died: ", "goes_away: ")
    assert one(unit_lines, "test_killed: ended by: Killed")
    assert one(unit_lines, "test_late: ended by: Error 124")


def test_a_compilers_error_is_given_with_its_place(unit_lines):
    assert one(unit_lines, "unbuilt.c:1:25: error: ")


def test_the_last_line_is_the_sum(unit_lines):
    assert unit_lines[-1] == "1 passed, 1 failed, 0 skipped"


def test_a_failed_test_of_pytest_is_named_with_place_and_reason(tmp_path):
    test = tmp_path / "test_it.py"
    test.write_text(PYTEST)
    end, status = end_of({"it": (60, [sys.executable, "tests/pytest_venv.py", str(test)]),
                          "good": (60, ["true"])})
    assert status == 1
    assert one(end, "FAILED", "in_every_case: ", "test_it.py:7: ", ": AssertionError: the rows differ")
    assert one(end, "ERROR", "::test_without_a_server", "test_it.py:5: ", "no server came up")
    assert one(end, "FAILED", "::test_of[one - two]", "test_it.py:14: ", "ValueError: one - two!")
    assert one(end, "FAILED", "::test_of[one]", "test_it.py:14: ", "ValueError: one!")
    assert one(end, "FAILED", "::test_chained: ", "test_it.py:19: ", "KeyError: 'a key', then AssertionError")
    assert not one(end, "nothing_is_wrong") and "FAILED: good" not in end


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "test_it.py").write_text("import nothing_of_that_name\n")
    end, _ = end_of({"it": (60, [sys.executable, "tests/pytest_venv.py", str(tmp_path)])})
    assert one(end, "ERROR", "test_it.py", "No module named 'nothing_of_that_name'")


def test_a_test_that_hangs_is_named_and_the_others_go_on_until_the_suite_is_ended(tmp_path):
    (tmp_path / "test_it.py").write_text(HANGS)
    done = subprocess.run([sys.executable, "tests/pytest_venv.py", str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True, start_new_session=True)
    end = failures.of(done.stdout, f"status {done.returncode}")
    assert len(end) == 2 and done.returncode != 0
    assert one(end, "::test_that_hangs: ", "took longer than ", "test_it.py:")
    assert one(end, "::test_whose_suite_is_ended: ", "ended by SIG", "test_it.py:")
    assert done.stdout.count("the server ended") == 2
    assert run.count(done.stdout, done.returncode) == [1, 2, 0]


def test_a_suite_over_its_budget_says_so_with_its_last_words():
    end, status = end_of({"slow": (1, ["sh", "-c", "echo waiting for a server; sleep 60"])})
    assert status == 1
    assert one(end, "over its budget of 1 s") and one(end, "  waiting for a server")


def test_a_suite_that_does_not_heed_its_end_is_not_waited_for():
    deaf = "trap '' INT; echo deaf; setsid sleep 200 & while :; do sleep 1; done"
    code = ("import run, sys; run.PATIENCE = 1; sys.argv = ['run.py']\n"
            f"run.SUITES = {{'deaf': (1, ['sh', '-c', {deaf!r}])}}; sys.exit(run.main())")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tests", capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 1
    assert "over its budget of 1 s" in done.stdout and "  deaf\n" in done.stdout


def test_who_stops_all_from_outside_stops_the_suites_and_reads_what_was_done(tmp_path):
    """Also when it was begun where interrupts are ignored."""
    suites = {"slow": (600, ["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 600"]), "next": (600, ["true"])}
    code = f"import run, sys; run.SUITES = {suites!r}; sys.argv = ['run.py']\nsys.exit(run.main())"
    running = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT / "tests", text=True,
                               stdout=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    wait_until((tmp_path / "pid").exists, 60, "the suite")
    wait_until(lambda: (tmp_path / "pid").read_text().endswith("\n"), 60, "its number")
    running.terminate()
    out = running.communicate(timeout=120)[0]
    assert running.returncode == 1
    assert "stopped from outside" in out and "not begun" in out
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


ONCE = """
import pathlib
def test_that_fails_once():
    flag = pathlib.Path(__file__).with_name("flag")
    seen = flag.exists()
    flag.touch()
    assert seen, "too early"
def test_that_passes():
    pass
"""
FAILS = """
import pytest
@pytest.mark.parametrize("n", range(%d))
def test_that_fails_always(n):
    assert n < 0
"""
C_ONCE = """
all: unit
unit:
\t@+$(MAKE) -k -f $(firstword $(MAKEFILE_LIST)) $(UNIT_SRC:tests/%%.c=build/%%.run)
UNIT_SRC = tests/unit/a/test_one.c tests/unit/a/test_two.c
build/unit/a/test_one.run:
\t@echo "== build/unit/a/test_one"; echo "[  PASSED  ] 2 test(s)."
build/unit/a/test_two.run:
\t@echo "== build/unit/a/test_two"; if [ -e %(dir)s/flag ]; then echo "[  PASSED  ] 3 test(s)."; \\
\telse touch %(dir)s/flag; echo "[  PASSED  ] 2 test(s)."; echo "[  FAILED  ] 1 test(s), listed below:"; \\
\techo "%(word)s"; %(end)s; fi
"""


def of_pytest(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "test_it.py").write_text(text)
    return 60, [sys.executable, "tests/pytest_venv.py", str(folder / "test_it.py")]


def of_c(folder, word="", end="exit 1"):
    (folder / "Makefile").write_text(C_ONCE % {"dir": folder, "word": word, "end": end})
    return 60, ["make", "--no-print-directory", "-f", str(folder / "Makefile"), "unit"]


def test_what_passes_when_run_again_is_no_failure_and_is_named(tmp_path):
    end, status = end_of({"once": of_pytest(tmp_path, ONCE), "good": (60, ["true"])})
    assert status == 0 and end[-1] == "3 passed, 0 failed, 0 skipped; 1 unsteady"
    assert one(end, "UNSTEADY: once") and one(end, "::test_that_fails_once: ", "too early")


def test_what_fails_again_has_failed_and_hides_nothing_beside_it(tmp_path):
    suites = {"once": of_pytest(tmp_path / "a", ONCE), "never": of_pytest(tmp_path / "b", FAILS % 2)}
    end, status = end_of(suites)
    assert status == 1 and end[-1] == "2 passed, 2 failed, 0 skipped; 1 unsteady"
    assert one(end, "UNSTEADY: once") and one(end, "FAILED: never")


def test_many_that_failed_are_not_run_again(tmp_path):
    suites = {"once": of_pytest(tmp_path / "a", ONCE),
              "never": of_pytest(tmp_path / "b", FAILS % run.AGAIN_AT_MOST)}
    end, status = end_of(suites)
    assert status == 1 and end[-1] == f"1 passed, {run.AGAIN_AT_MOST + 1} failed, 0 skipped"


def test_of_the_unit_tests_just_the_program_that_failed_is_run_again(tmp_path):
    end, status = end_of({"unit": of_c(tmp_path)})
    assert status == 0 and end[-1] == "5 passed, 0 failed, 0 skipped; 1 unsteady"


@pytest.mark.parametrize("word, end", [
    ("==1==ERROR: AddressSanitizer: heap-use-after-free", "exit 1"),
    ("", "exit 124"), ("", "kill -6 $$$$")])
def test_what_is_no_matter_of_time_is_not_run_again(tmp_path, word, end):
    lines, status = end_of({"unit": of_c(tmp_path, word, end)})
    assert status == 1 and lines[-1] == "4 passed, 1 failed, 0 skipped"


def test_what_nothing_is_known_of_gives_its_last_lines():
    lines = failures.of("one\ntwo\nthree\nfour\nfive\n", "status 3")
    assert lines == ["status 3; its last words:", "  two", "  three", "  four", "  five"]


def test_nothing_floods_the_end():
    text = "".join(f"a.c:{n}:1: error: {'x' * 1000}\n" for n in range(1, 100))
    lines = failures.of(text, "status 2")
    assert len(lines) == failures.AT_MOST + 1 and lines[-1] == "... and 69 more"
    assert max(map(len, lines)) <= failures.WIDTH
