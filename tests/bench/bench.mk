# Benchmarks: asked for by hand, never in CI.
## bench-capture capture beside Debezium, Maxwell and go-mysql on one binlog (ROWS=3000000); about 12 minutes
## bench-transform transform beside a bare pass-through of the same records; about 4 minutes
ROWS        ?= 3000000
BENCH_TOOLS := $(patsubst tests/bench/%.c,build/bench/bin/%,$(filter-out %/stages.c,$(wildcard tests/bench/*.c))) \
               build/bench/bin/stages.so

bench-capture: deps all
	$(PYTHON) tests/bench/capture.py --rows $(ROWS) $(BENCH)

bench-transform: deps all
	$(PYTHON) tests/bench/transform.py $(BENCH)

bench-tools: $(BENCH_TOOLS)

# rows encodes what capture would
build/bench/bin/rows: BENCH_LIBS = $(B)/lib/libcommon.a $(PKG_LIBS) -lm
build/bench/bin/rows: $(B)/lib/libcommon.a

build/bench/bin/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) $(PKG_CFLAGS) -I. -o $@ $< $(BENCH_LIBS) \
	  $(shell pkg-config --libs libmariadb rdkafka) -pthread

build/bench/bin/%.so: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) -shared -fPIC -o $@ $<

.PHONY: bench-capture bench-transform bench-tools
