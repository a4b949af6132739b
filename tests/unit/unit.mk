# Unit tests: cmocka, under ASan and UBSan. tests/unit/<folder>/test_<module>.c is one program,
# linked with what its folder may use.
## unit          unit tests under AddressSanitizer and UndefinedBehaviorSanitizer (FOLDER=apply: just those)
UNIT_SRC  := $(wildcard tests/unit/$(or $(FOLDER),*)/test_*.c)
UNIT_BIN  := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
SAN       := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# every program is run when it is there, whatever the others say; several at a time, each with its
# output in one piece
unit unit-build:
	@$(MAKE) --no-print-directory -k -Otarget B=$(B)/san OPT="$(SAN)" LDFLAGS="-fsanitize=address,undefined" $@-all

# one that hangs is ended, and named with its test, long before the suite's time is up
UNIT_RUN = @echo "== $<"; timeout 600 $<
# what takes longest begins first: two that mostly wait, two that never do
UNIT_LONG := $(addprefix $(B)/unit/,common/test_kafka transform/test_pipeline apply/test_histories apply/test_share_histories)
unit-all: $(patsubst %,%.run,$(filter $(UNIT_LONG),$(UNIT_BIN)) $(filter-out $(UNIT_LONG),$(UNIT_BIN)))
unit-build-all: $(UNIT_BIN)
$(UNIT_BIN:%=%.run): %.run: %
	$(UNIT_RUN)

UNIT_LIBS_common    := common
UNIT_LIBS_capture   := capture common
UNIT_LIBS_transform := transform common
UNIT_LIBS_apply     := apply common
UNIT_LIBS_ctl       := ctl apply capture transform common
UNIT_LIBS_flow      := apply transform common
UNIT_LIBS_actions   := apply transform common

# what is tested with a clock that the test drives: folders, and single programs of the others
UNIT_CLOCK := apply flow actions
$(B)/unit/capture/test_stream $(B)/unit/transform/test_status: $(B)/unit/clock.o

# helper files of a folder's tests (not test_*.c) are compiled once and linked into each of its
# programs; what they include is generated where libcommon is there. A test's own file is not optimized: to
# compile it costs more than to run it.
UNIT_CFLAGS = $(CFLAGS_ALL) -Wno-missing-prototypes $(shell pkg-config --cflags cmocka)
UNIT_HELP := $(filter-out $(wildcard tests/unit/*/test_*.c),$(wildcard tests/unit/*.c tests/unit/*/*.c))
$(UNIT_HELP:tests/unit/%.c=$(B)/unit/%.o): $(B)/unit/%.o: tests/unit/%.c | $(B)/lib/libcommon.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(UNIT_CFLAGS) -MMD -MP -c -o $@ $<

define unit_folder
$(B)/unit/$(1)/%: tests/unit/$(1)/%.c $(patsubst tests/unit/%.c,$(B)/unit/%.o,$(filter tests/unit/$(1)/% \
    $(if $(filter $(1),$(UNIT_CLOCK)),tests/unit/clock.c),$(UNIT_HELP))) $(foreach l,$(UNIT_LIBS_$(1)),$(B)/lib/lib$(l).a)
	@mkdir -p $$(@D)
	$$(call say,UNIT)
	$$(Q)$$(CC) $$(UNIT_CFLAGS) -O0 -MMD -MP -o $$@ $$< $$(filter %.o,$$^) $$(filter %.a,$$^) $$(LIBS_ALL) \
	  $$(shell pkg-config --libs cmocka)
endef
$(foreach f,common capture transform apply ctl flow actions,$(eval $(call unit_folder,$(f))))
.PHONY: unit unit-build unit-all unit-build-all
