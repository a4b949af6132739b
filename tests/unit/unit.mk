# Unit tests: cmocka, under ASan and UBSan. tests/unit/<folder>/test_<module>.c is one program.
## unit          unit tests under AddressSanitizer and UndefinedBehaviorSanitizer
UNIT_SRC  := $(wildcard tests/unit/*/test_*.c)
UNIT_BIN  := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
SAN       := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

unit:
	@$(MAKE) --no-print-directory B=$(B)/san OPT="$(SAN)" LDFLAGS="-fsanitize=address,undefined" unit-run

unit-run: $(UNIT_BIN)
	@fail=0; for t in $(UNIT_BIN); do echo "== $$t"; $$t || fail=1; done; exit $$fail

$(B)/unit/%: tests/unit/%.c $(B)/lib/libctl.a $(B)/lib/libapply.a $(B)/lib/libcapture.a $(B)/lib/libtransform.a $(B)/lib/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Wno-missing-prototypes $(shell pkg-config --cflags cmocka) -MMD -MP -o $@ $< \
	  $(filter %.a,$^) $(LIBS_ALL) $(shell pkg-config --libs cmocka)
.PHONY: unit unit-run
