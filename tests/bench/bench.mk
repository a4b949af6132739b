# Benchmarks: asked for by hand, never in CI.
## bench-capture capture beside Debezium, Maxwell and go-mysql on one binlog (ROWS=3000000); about 12 minutes
ROWS        ?= 3000000
BENCH_TOOLS := $(patsubst tests/bench/%.c,build/bench/bin/%,$(wildcard tests/bench/*.c))

bench-capture: deps all
	$(PYTHON) tests/bench/capture.py --rows $(ROWS) $(BENCH)

bench-tools: $(BENCH_TOOLS)

build/bench/bin/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) -O2 $(WARN) $(PKG_CFLAGS) -o $@ $< $(shell pkg-config --libs libmariadb rdkafka) -pthread

.PHONY: bench-capture bench-tools
