# Benchmarks: asked for by hand, never in CI.
## bench-capture capture beside Debezium, Maxwell and go-mysql on one binlog (ROWS=3000000); about 12 minutes
## bench-transform transform beside a bare pass-through of the same records; about 4 minutes
## bench-apply   apply beside rclone, a bare client and the sharing API on one oCIS; about 8 minutes
## bench-beside  how many of a real oCIS's own sharing calls fail while apply's writer is at work; about 5 minutes
ROWS        ?= 3000000
BENCH_TOOLS := $(patsubst tests/bench/%.c,build/bench/bin/%,$(filter-out %/stages.c,$(wildcard tests/bench/*.c))) \
               build/bench/bin/stages.so

bench-capture: deps all
	$(PYTHON) tests/bench/capture.py --rows $(ROWS) $(BENCH)

bench-transform: deps all
	$(PYTHON) tests/bench/transform.py $(BENCH)

bench-apply: deps all
	$(PYTHON) tests/bench/apply.py $(BENCH)

bench-beside: deps all
	$(PYTHON) tests/bench/beside.py $(BENCH)

bench-tools: $(BENCH_TOOLS)

# rows encodes what capture would, states what transform would
build/bench/bin/rows build/bench/bin/states: BENCH_LIBS = $(B)/lib/libcommon.a $(PKG_LIBS) -lm
build/bench/bin/rows build/bench/bin/states: $(B)/lib/libcommon.a
build/bench/bin/uploads: BENCH_LIBS = $(B)/lib/libapply.a $(B)/lib/libcommon.a $(PKG_LIBS) -lm
build/bench/bin/uploads: $(B)/lib/libapply.a $(B)/lib/libcommon.a

build/bench/bin/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) $(PKG_CFLAGS) -I. -I$(B)/gen -o $@ $< $(BENCH_LIBS) \
	  $(shell pkg-config --libs libmariadb rdkafka) -pthread

build/bench/bin/%.so: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) -shared -fPIC -o $@ $<

.PHONY: bench-capture bench-transform bench-apply bench-beside bench-tools
