# Lockstep: build, check, test, install. `make help` lists the targets.
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= gcc
B       := build
PKGS    := libmariadb rdkafka avro-c libcurl jansson sqlite3 libmicrohttpd inih libprotobuf-c \
           libnghttp2 libsystemd zlib libdeflate libzstd libcrypto
VERSION := 0.1.0
FOLDERS := common capture transform apply ctl

WARN    := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wwrite-strings -Werror
CSTD    := -std=gnu17 -D_GNU_SOURCE
OPT     ?= -O2 -g
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS   = $(shell pkg-config --libs $(PKGS))
CFLAGS_ALL = $(CSTD) $(OPT) $(WARN) -I. -I$(B)/gen $(PKG_CFLAGS) -DLS_VERSION=\"$(VERSION)\" -pthread $(CFLAGS)
LIBS_ALL   = $(LDFLAGS) $(PKG_LIBS) -lm -pthread

PROGRAMS := $(B)/bin/lockstep-capture $(B)/bin/lockstep-transform $(B)/bin/lockstep-apply $(B)/bin/lockstep

# short lines; make V=1 shows the commands
Q       := $(if $(V),,@)
say      = $(if $(V),,@printf '  %-7s %s\n' $(1) $@)

all: $(PROGRAMS)

include tests/unit/unit.mk
include tests/tests.mk
include tests/fuzz/fuzz.mk
include tests/bench/bench.mk
include packaging/install.mk
include packaging/manual.mk

# ---- generated sources: CS3 messages from our .proto files, the schemas as C text
PROTOS   := $(wildcard schemas/cs3/*.proto)
PB_C     := $(PROTOS:schemas/cs3/%.proto=$(B)/gen/cs3/%.pb-c.c)
PB_H     := $(PB_C:.c=.h)
AVSC     := $(sort $(wildcard schemas/oc10/*.avsc schemas/cs3/*.avsc))

$(B)/gen/cs3/%.pb-c.c $(B)/gen/cs3/%.pb-c.h: schemas/cs3/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=schemas/cs3 --c_out=$(B)/gen/cs3 $<

# make would take the headers for intermediate files, delete them, and build all that includes them again
.SECONDARY: $(PB_H) $(PB_C)

$(B)/gen/schemas.c: schemas/embed.sh $(AVSC)
	@mkdir -p $(@D)
	sh schemas/embed.sh $(AVSC) > $@

# ---- objects: one static library a folder, its rooms with it, main.c left out
$(foreach f,$(FOLDERS),$(eval SRC_$(f) := $(filter-out %/main.c,$(wildcard $(f)/*.c $(f)/*/*.c))))
GENERATED     := $(PB_H) $(B)/gen/schemas.c

$(B)/obj/%.o: %.c | $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

# generated code is not held to our warnings
$(B)/obj/gen/%.o: $(B)/gen/%.c | $(GENERATED)
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CSTD) $(OPT) -I. -I$(B)/gen $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

define folder_lib
$(B)/lib/lib$(1).a: $(SRC_$(1):%.c=$(B)/obj/%.o) $(2)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR)
	$$(Q)ar rcs $$@ $$^
endef
$(eval $(call folder_lib,common,$(B)/obj/gen/schemas.o $(PB_C:$(B)/gen/%.c=$(B)/obj/gen/%.o)))
$(foreach f,capture transform apply ctl,$(eval $(call folder_lib,$(f),)))

LIB = $(foreach f,$(1),$(B)/lib/lib$(f).a)

$(B)/bin/lockstep-capture: $(B)/obj/capture/main.o $(call LIB,capture common)
$(B)/bin/lockstep-transform: $(B)/obj/transform/main.o $(call LIB,transform common)
$(B)/bin/lockstep-apply: $(B)/obj/apply/main.o $(call LIB,apply common)
$(B)/bin/lockstep: $(B)/obj/ctl/main.o $(call LIB,ctl apply capture transform common)
$(PROGRAMS):
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS_ALL)

clean:
	rm -rf $(B)/obj $(B)/lib $(B)/bin $(B)/gen $(B)/unit $(B)/man $(B)/completion

help:
	@sed -n 's/^## //p' Makefile packaging/*.mk tests/*.mk tests/unit/*.mk tests/fuzz/*.mk tests/bench/*.mk

.PHONY: all clean help
-include $(shell find $(B)/obj $(B)/unit -name '*.d' 2>/dev/null)
