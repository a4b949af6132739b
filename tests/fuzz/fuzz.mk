# Fuzzing: libFuzzer under ASan and UBSan, and each corpus as a unit test. See tests/fuzz/README.md.
## fuzz          every fuzz target for FUZZ_SECONDS (60) each (FUZZ=rows: just that one)
## fuzz-smoke    every fuzz target for a number of runs, always the same ones
FUZZ_SECONDS ?= 60
FUZZ_RUNS    := 8000
FUZZ_RUNS_stream := 2500 # of many events each
FUZZ_ALL     := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ         ?= $(FUZZ_ALL)
FUZZ_SAN     := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_LIBS    := $(B)/lib/libcapture.a $(B)/lib/libcommon.a
FUZZ_ARGS     = -max_len=4096 -rss_limit_mb=2048 -timeout=120 -artifact_prefix=$(B)/fuzz/crash-$(1)-

fuzz fuzz-smoke:
	@$(MAKE) --no-print-directory B=$(B)/libfuzzer CC=clang OPT="$(FUZZ_SAN)" $@-run

fuzz-run: $(FUZZ:%=$(B)/fuzz/%)
	@mkdir -p $(FUZZ:%=$(B)/found/%)
	@$(foreach t,$(FUZZ),echo "== $(t)"; $(B)/fuzz/$(t) -max_total_time=$(FUZZ_SECONDS) $(call FUZZ_ARGS,$(t)) $(B)/found/$(t) tests/fuzz/corpus/$(t) || exit 1;)

# a folder of its own for what is found, so that a run does not depend on the one before
fuzz-smoke-run: $(FUZZ:%=$(B)/fuzz/%)
	@rm -rf $(B)/smoke; mkdir -p $(FUZZ:%=$(B)/smoke/%)
	@$(foreach t,$(FUZZ),echo "== $(t)"; $(B)/fuzz/$(t) -runs=$(or $(FUZZ_RUNS_$(t)),$(FUZZ_RUNS)) -seed=1 -reload=0 -verbosity=0 $(call FUZZ_ARGS,$(t)) \
	  $(B)/smoke/$(t) tests/fuzz/corpus/$(t) || exit 1;)

$(B)/fuzz/%: tests/fuzz/fuzz_%.c $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer,address,undefined -MMD -MP -o $@ $< $(FUZZ_LIBS) $(LIBS_ALL)

# ---- the same as unit tests (FOLDER=fuzz: just these)
FUZZ_UNIT := $(if $(filter-out fuzz,$(FOLDER)),,$(FUZZ_ALL:%=$(B)/unit/fuzz/%))
unit-all: $(FUZZ_UNIT:%=%.run)
unit-build-all: $(FUZZ_UNIT)
$(FUZZ_UNIT:%=%.run): %.run: %
	$(UNIT_RUN)

$(B)/unit/fuzz/%: tests/fuzz/fuzz_%.c tests/fuzz/plain.c $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call say,UNIT)
	$(Q)$(CC) $(CFLAGS_ALL) -DFUZZ_CORPUS=\"tests/fuzz/corpus/$*\" $(shell pkg-config --cflags cmocka) -MMD -MP -o $@ \
	  $(filter %.c,$^) $(FUZZ_LIBS) $(LIBS_ALL) $(shell pkg-config --libs cmocka)
-include $(wildcard $(B)/fuzz/*.d)
.PHONY: fuzz fuzz-smoke fuzz-run fuzz-smoke-run
