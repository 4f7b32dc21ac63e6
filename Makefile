# fusio_manifest: foreign tables kept as immutable sorted runs
#
#   make, make install     build and install with PGXS
#   make installcheck      regression tests on a running server of yours
#   make test              every test, on private servers of its own
#   make test-matrix       regression and isolation tests on newer PostgreSQL
#   make fuzz              longer fuzzing of the decoders
#   make fuzz-sql SECONDS=600 SEED=1
#                          longer random statements, beside a native table
#   make sqlsmith SECONDS=600 SEED=1
#                          random queries by sqlsmith: does anything fall over?
#   make demo, make bench  see README.md
#
# WERROR=1 makes warnings errors, as the project's own checks do.

MODULE_big = fusio_manifest
EXTENSION = fusio_manifest
DATA = $(wildcard sql/fusio_manifest--*.sql)
PGFILEDESC = "fusio_manifest - foreign tables kept as immutable sorted runs"

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))

# The extension's script lives in sql/ too, and is not a test.
REGRESS = $(filter-out fusio_manifest--%,$(sort $(notdir $(basename $(wildcard sql/*.sql)))))
REGRESS_OPTS = --load-extension=fusio_manifest

# -MMD: a changed header rebuilds what includes it.
PG_CPPFLAGS = -Isrc -isystem $(shell $(PG_CONFIG) --includedir-server)
PG_CFLAGS = -std=gnu11 -Wextra -Wno-unused-parameter -MMD -MP
ifeq ($(WERROR),1)
PG_CFLAGS += -Werror
endif
PG_CFLAGS += $(FM_CFLAGS)
SHLIB_LINK = -lzstd -lcurl
EXTRA_CLEAN = $(OBJS:.o=.d) results regression.diffs regression.out

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Calls between our own files need not go through the symbol table.
ifeq ($(PORTNAME),linux)
SHLIB_LINK += -Wl,-Bsymbolic-functions
endif

-include $(OBJS:.o=.d)
$(OBJS:.o=.bc): %.bc: %.o

.PHONY: test test-matrix fuzz fuzz-sql sqlsmith demo bench

test:
	@tests/run

test-matrix:
	@tests/matrix

fuzz:
	@tests/install-deps build test
	$(MAKE) -C tests/fuzz fuzz

SECONDS ?= 60
SEED ?= 1

fuzz-sql: all
	@tests/install-deps build test
	@tests/differential/run --seconds $(SECONDS) --seed $(SEED) \
		$(if $(S3),--s3 --faults)

sqlsmith: all
	@tests/sqlsmith/run $(SECONDS) $(SEED)

demo:
	@tests/demo/demo

bench:
	@bench/bench
	@bench/s3
