# What CI runs. Each suite says what it needs and how long it may take (tests/run.py).
## deps          install the Debian 12 packages that building, checking and testing need
## check         clang-format, warnings as errors, clang-tidy, cppcheck, unit tests under ASan and UBSan, the fuzz targets
## test          everything CI runs
## test-SUITE    one suite: contract, scenarios, recordings, ... (python3 tests/run.py --list)
## soak          the tests of each stage's edges, and random days, with their full counts (tests/soak); a day
## demo          the main job on throwaway servers; demo-stop cleans up
PYTHON    ?= /usr/bin/python3
OUR_C     := $(wildcard $(foreach f,$(FOLDERS),$(f)/*.c $(f)/*/*.c))
OUR_H     := $(wildcard $(foreach f,$(FOLDERS),$(f)/*.h $(f)/*/*.h))
TEST_C    := $(wildcard tests/unit/*/*.[ch] tests/fuzz/*.[ch])
TIDY      ?= $(OUR_C)

deps:
	@packaging/install-deps

check: deps
	$(PYTHON) tests/run.py format build clang tidy cppcheck unit fuzz

test: deps
	$(PYTHON) tests/run.py

test-%: deps all
	$(PYTHON) tests/run.py $*

soak: deps all
	SOAK="$(SOAK)" $(PYTHON) tests/soak/run.py

check-format:
	@clang-format --dry-run -Werror $(OUR_C) $(OUR_H) $(TEST_C)

# its warnings come before it optimizes
check-clang:
	@$(MAKE) --no-print-directory B=$(B)/clang CC=clang OPT=-O0 all

# one file at a time, two at once: a file's findings stay together
check-tidy: $(GENERATED)
	@printf '%s\n' $(TIDY) | xargs -P 2 -I{} clang-tidy --quiet {} -- $(CFLAGS_ALL) 2>/dev/null

check-cppcheck:
	cppcheck --quiet -j 2 --std=c11 --language=c --enable=warning,performance,portability \
	  --inline-suppr --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
	  --error-exitcode=1 -I. --include=tests/cppcheck.h $(OUR_C)

demo: deps
	$(PYTHON) tests/demo/main.py start

demo-stop:
	@$(PYTHON) tests/demo/main.py stop

.PHONY: deps check test soak check-format check-clang check-tidy check-cppcheck demo demo-stop
