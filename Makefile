# SPDX-License-Identifier: PostgreSQL
# Athena, built out of tree in build/. `make help` lists what there is.
#
# Programs are src/<program>.c linked with libathena.a, which is every other src/**/*.c; a new file
# needs no line here. SQL becomes C through sql/embed.awk. Nothing generated is committed.

VERSION := 0.1.0

# Knobs, for the command line. Each SAN has a build folder of its own, and so have FAULTS=1, programs
# with fault points (src/base/fault.h), and FUZZ=1, what fuzzers are made of: both for tests only.
CC := gcc
SAN :=
FAULTS :=
FUZZ :=
FUZZ_S := 600
WERROR :=
V :=
PACKAGES :=
PREFIX := /usr/local
PEERS :=
MAJORS :=
CHECKS :=
OUT :=
DESTDIR :=
DOCDIR = $(PREFIX)/share/doc/athena
MANDIR = $(PREFIX)/share/man
UNITDIR = $(PREFIX)/lib/systemd/system
COMPLETIONDIR = $(PREFIX)/share/bash-completion/completions

comma := ,
BUILD := build$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(FAULTS),-fault)$(if $(FUZZ),-fuzz)
GEN := $(BUILD)/gen
GOALS := $(or $(MAKECMDGOALS),all)
Q := $(if $(V),,@)
say = $(if $(V),@:,@printf '  %-7s %s\n' $(1) $(2))

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all faults fuzzers all-fuzzers demo test test-backup test-clone test-fault test-majors test-croner chaos fuzz \
	model check lint bench bench-long fmt install deb test-deb clean help FORCE

all:

# --- Packages. Missing ones are installed first, before pkg-config is asked about them.

MODULES := libpq libuv yaml-0.1 jansson libcrypto libcurl expat libmicrohttpd libsystemd
PURPOSES := build \
	$(if $(filter demo test test-backup test-clone test-fault test-majors test-croner chaos bench%,$(GOALS)),run) \
	$(if $(filter bench%,$(GOALS)),bench) \
	$(if $(filter test test-backup test-clone test-fault test-majors test-croner chaos,$(GOALS)),test) \
	$(if $(filter chaos,$(GOALS)),chaos) \
	$(if $(filter test fuzz fuzzers,$(GOALS)),fuzz) \
	$(if $(filter test-majors test-croner,$(GOALS)),majors) \
	$(if $(filter deb test test-deb,$(GOALS)),deb) \
	$(if $(filter test-deb,$(GOALS)),test-deb fresh) \
	$(if $(filter model,$(GOALS)),model) \
	$(if $(filter check lint,$(GOALS)),check) \
	$(if $(filter lint,$(GOALS)),lint)

ifneq ($(filter-out clean help fmt,$(GOALS)),)
ifneq ($(PACKAGES),skip)
ifneq ($(shell tools/packages.sh $(PURPOSES) >&2 && echo there),there)
$(error packages are missing)
endif
endif
MODULE_CFLAGS := $(shell pkg-config --cflags $(MODULES))
MODULE_LIBS := $(shell pkg-config --libs $(MODULES))
endif

# --- Flags. gnu11: C11 with the cleanup attribute, statement expressions and __VA_OPT__ we use.

CFLAGS_LANGUAGE := -std=gnu11 -D_GNU_SOURCE $(if $(FAULTS),-DFAULTS)

# -Werror: only on request, so that newer compilers still build a release.
# -Wshadow: a second `e` inside a function is a bug that waits.
# -Wstrict-prototypes: `f()` would accept any arguments.
# -Wmissing-prototypes: what is not in a header must be static.
# -Wformat=2: formats are literals, and checked.
# -Wvla: a stack must not grow by what somebody sends.
# -Wwrite-strings, -Wcast-qual: const is meant.
# -Wpointer-arith: void has no size.
# -Wundef: a misspelt #if is not 0.
CFLAGS_WARNINGS := -Wall -Wextra $(if $(WERROR),-Werror) \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wwrite-strings \
	-Wcast-qual -Wpointer-arith -Wundef

# Sanitizers want frame pointers, end at the first finding, and know better than _FORTIFY_SOURCE.
# Otherwise: checked copies, stack canaries, code at random addresses, no function pointers that
# could be overwritten. -ffile-prefix-map: the same program wherever it is built.
# Fuzzers want both, and counters of what an input reached.
ifdef FUZZ
CFLAGS_KIND := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all
LDFLAGS_KIND := -fsanitize=address,undefined
else ifdef SAN
CFLAGS_KIND := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
LDFLAGS_KIND := -fsanitize=$(SAN)
else
CFLAGS_KIND := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE \
	-ffile-prefix-map=$(CURDIR)=.
LDFLAGS_KIND := -pie -Wl,-z,relro,-z,now
endif

CFLAGS_ALL = $(CFLAGS_LANGUAGE) $(CFLAGS_WARNINGS) $(CFLAGS_KIND) -Isrc -I$(GEN) \
	$(MODULE_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = $(LDFLAGS_KIND) $(LDFLAGS)

# --- What there is.

SOURCES := $(sort $(wildcard src/*.c src/*/*.c src/*/*/*.c))
PROGRAM_SOURCES := $(filter src/athena.c src/athena_worker.c src/athena_daemon.c,$(SOURCES))
PROGRAMS := $(subst _,-,$(PROGRAM_SOURCES:src/%.c=$(BUILD)/%))

GEN_HEADERS := $(GEN)/sql_statements.h $(GEN)/sql_migrations.h $(GEN)/version.h
GEN_OBJECTS := $(GEN)/sql_statements.o $(GEN)/sql_migrations.o

LIBRARY := $(BUILD)/libathena.a
LIBRARY_SOURCES := $(filter-out $(PROGRAM_SOURCES),$(SOURCES))
LIBRARY_OBJECTS := $(LIBRARY_SOURCES:%.c=$(BUILD)/%.o) $(GEN_OBJECTS)

UNIT := $(BUILD)/tests/unit/run
UNIT_SOURCES := $(sort $(wildcard tests/unit/*.c))
UNIT_MODULES := $(patsubst tests/unit/test_%.c,%,$(filter tests/unit/test_%,$(UNIT_SOURCES)))
UNIT_OBJECTS := $(UNIT_SOURCES:%.c=$(BUILD)/%.o)

# Programs of tests: build/tests/support/NAME from tests/support/NAME.c
SUPPORT_SOURCES := $(sort $(wildcard tests/support/*.c))
SUPPORT := $(SUPPORT_SOURCES:%.c=$(BUILD)/%)

# Fuzzers, likewise, in a build with FUZZ=1.
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/*.c))
FUZZERS := $(FUZZ_SOURCES:%.c=$(BUILD)/%)

# Programs of benchmarks, likewise; the questions themselves are bench/*.py.
BENCH_SOURCES := $(sort $(wildcard bench/*.c))
BENCH := $(BENCH_SOURCES:%.c=$(BUILD)/%)

DOCUMENTS := $(wildcard README.md LICENSE config.example.yaml)
COMMIT := $(or $(shell git rev-parse --short HEAD 2>/dev/null),unknown)

all: $(PROGRAMS) $(LIBRARY)

# --- Stamps, which change when and only when what they hold does: a new flag compiles all again,
# a removed source file links anew.

FORCE:

define remember
$(Q)mkdir -p $(@D)
$(Q)printf '%s\n' $(1) | cmp -s - $@ || printf '%s\n' $(1) >$@
endef

$(BUILD)/flags: FORCE
	$(call remember,'$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL)')

$(BUILD)/sources: FORCE
	$(call remember,'$(LIBRARY_OBJECTS) $(UNIT_OBJECTS)')

$(GEN)/version.h: FORCE
	$(call remember,'#define ATHENA_VERSION "$(VERSION)"' '#define ATHENA_COMMIT "$(COMMIT)"')

$(GEN)/unit_suites.h: FORCE
	$(call remember,$(foreach module,$(UNIT_MODULES),'SUITE($(module))'))

# --- SQL as C. The patterns are static: a plain `sql_%` rule would match the objects, too. The
# folders are prerequisites, so that a removed file counts.

define embed
$(call say,SQL,$@)
$(Q)mkdir -p $(@D)
$(Q)awk -v what=$(1) -v form=$* -f sql/embed.awk $(filter %.sql,$^) </dev/null >$@
endef

$(GEN)/sql_statements.h $(GEN)/sql_statements.c: $(GEN)/sql_statements.%: sql/embed.awk \
		$(sort $(wildcard sql/statements/*.sql)) $(wildcard sql/statements)
	$(call embed,statements)

$(GEN)/sql_migrations.h $(GEN)/sql_migrations.c: $(GEN)/sql_migrations.%: sql/embed.awk \
		$(sort $(wildcard sql/migrations/*.sql)) $(wildcard sql/migrations)
	$(call embed,migrations)

# --- Compiling and linking. Generated headers come first; from then on the .d files know.

define compile
$(call say,CC,$<)
$(Q)mkdir -p $(@D)
$(Q)$(CC) $(CFLAGS_ALL) $(1) -MMD -MP -c -o $@ $<
endef

define link
$(call say,LINK,$@)
$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ $(MODULE_LIBS) $(1)
endef

$(BUILD)/src/%.o: src/%.c $(BUILD)/flags | $(GEN_HEADERS)
	$(call compile)

$(GEN_OBJECTS): %.o: %.c $(BUILD)/flags | $(GEN_HEADERS)
	$(call compile)

# check's own macros hand their formats an argument too many.
$(UNIT_OBJECTS): $(BUILD)/%.o: %.c $(BUILD)/flags | $(GEN_HEADERS) $(GEN)/unit_suites.h
	$(call compile,-Wno-format-extra-args $(shell pkg-config --cflags check))

$(LIBRARY): $(LIBRARY_OBJECTS) $(BUILD)/sources
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

# build/athena-worker from src/athena_worker.c
.SECONDEXPANSION:
$(PROGRAMS): $(BUILD)/%: $(BUILD)/src/$$(subst -,_,$$*).o $(LIBRARY)
	$(call link)

$(SUPPORT:=.o) $(BENCH:=.o) $(FUZZERS:=.o): $(BUILD)/%.o: %.c $(BUILD)/flags | $(GEN_HEADERS)
	$(call compile)

$(SUPPORT) $(BENCH): %: %.o $(LIBRARY)
	$(call link)

$(FUZZERS): %: %.o $(LIBRARY)
	$(call link,-fsanitize=fuzzer)

$(UNIT): $(UNIT_OBJECTS) $(LIBRARY)
	$(call link,$(shell pkg-config --libs check))

-include $(wildcard $(LIBRARY_OBJECTS:.o=.d) $(PROGRAM_SOURCES:%.c=$(BUILD)/%.d) \
	$(UNIT_OBJECTS:.o=.d) $(SUPPORT:=.d) $(BENCH:=.d) $(FUZZERS:=.d))

# --- Goals.

export ATHENA_BUILD := $(BUILD)

# An allocation too large is NULL, as without the sanitizer, and ours to abort on.
export ASAN_OPTIONS ?= allocator_may_return_null=1

demo: all
	$(Q)tools/demo.sh

# Programs with fault points, beside the ordinary ones.
FAULT_BUILD := $(BUILD)-fault
export ATHENA_FAULT_BUILD := $(FAULT_BUILD)

faults:
	$(Q)$(MAKE) --no-print-directory FAULTS=1 PACKAGES=skip all

# tests/fuzz/, each a program; libFuzzer comes with clang.
FUZZ_BUILD := $(BUILD)-fuzz
export ATHENA_FUZZ_BUILD := $(FUZZ_BUILD)

fuzzers:
	$(Q)$(MAKE) --no-print-directory FUZZ=1 CC=clang PACKAGES=skip all-fuzzers

all-fuzzers: $(FUZZERS)

# FUZZ_S: seconds for each of them; CHECKS: only these.
fuzz: fuzzers
	$(Q)tests/fuzz/run $(FUZZ_S) $(CHECKS)

# AGAIN=N: so many tests that failed may run once more.
test: all faults fuzzers $(UNIT) $(SUPPORT)
	$(Q)AGAIN=$(AGAIN) tests/run

# All of backup: `make test` has a sample of it.
test-backup: all faults $(UNIT) $(SUPPORT)
	$(Q)$(UNIT) store store_local backup_seal backup_retention
	$(Q)ATHENA_MATRIX=all tests/run -n 4 --dist load tests/integration/test_backup*.py tests/fault/test_backup_kill.py \
		tests/fault/test_crash_backup.py

test-fault: all faults $(SUPPORT)
	$(Q)ATHENA_MATRIX=all tests/run -n 4 --dist load tests/fault

# All that is known of clones: every point, and kills anywhere in each mode.
test-clone: all faults $(SUPPORT)
	$(Q)ATHENA_MATRIX=all ATHENA_CLONES=all tests/run -n 4 --dist load tests/integration/test_clone.py tests/integration/test_clone_*.py \
		tests/fault/test_clone_*.py tests/fault/test_crash_clone.py

chaos: all faults
	$(Q)ATHENA_CHAOS=all tests/run tests/chaos

# MAJORS: only these, of 14 to 18.
test-majors: all $(SUPPORT)
	$(Q)tests/majors $(MAJORS)

# Fire times of schedules, all of them, compared with those of npm's croner.
test-croner: all $(SUPPORT)
	$(Q)tests/croner

check: $(UNIT)
	$(Q)$(UNIT)
	$(Q)tools/lint.sh quick

lint: $(GEN_HEADERS) $(GEN)/unit_suites.h
	$(Q)LINT_CFLAGS='$(CFLAGS_ALL) -Itests/unit -Wno-unused-value' tools/lint.sh all

# CHECKS: a pattern that chooses lines of model/checks.txt.
model:
	$(Q)model/run $(if $(CHECKS),'$(CHECKS)')

# PEERS: a folder of drivers of other queues, measured in the same sitting. OUT: where plots go to.
bench: all $(BENCH)
	$(Q)bench/run $(if $(PEERS),--peers '$(PEERS)') $(if $(OUT),--out '$(OUT)')

bench-long: all $(BENCH)
	$(Q)bench/run --long $(if $(PEERS),--peers '$(PEERS)') $(if $(OUT),--out '$(OUT)')

fmt:
	$(Q)git ls-files '*.[ch]' | xargs clang-format -i

# What is made from the tables of commands and options, by the program that has them.
MANUALS := $(addprefix $(BUILD)/man/,athena.1 athena-worker.1 athena-daemon.1 athena-config.5)
COMPLETION := $(BUILD)/man/athena.bash

$(MANUALS): $(BUILD)/man/%: $(BUILD)/athena
	$(call say,MAN,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$< manual $* >$@

$(COMPLETION): $(BUILD)/athena
	$(Q)mkdir -p $(@D)
	$(Q)$< completion bash >$@

UNITS := $(patsubst packaging/systemd/%.in,$(BUILD)/systemd/%,$(wildcard packaging/systemd/*.in))

$(BUILD)/systemd/%: packaging/systemd/%.in FORCE
	$(Q)mkdir -p $(@D)
	$(Q)sed 's|@BINDIR@|$(PREFIX)/bin|' $< >$@

# bash loads completions by the name of the program.
install: all $(MANUALS) $(COMPLETION) $(UNITS)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(DOCDIR) $(DESTDIR)$(COMPLETIONDIR) \
		$(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(UNITDIR)
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(DOCUMENTS) $(DESTDIR)$(DOCDIR)
	install -m 644 $(filter %.1,$(MANUALS)) $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(filter %.5,$(MANUALS)) $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(UNITS) $(DESTDIR)$(UNITDIR)
	for program in $(notdir $(PROGRAMS)); do \
		install -m 644 $(COMPLETION) $(DESTDIR)$(COMPLETIONDIR)/$$program || exit 1; done
	$(if $(wildcard docs),cp -R docs/. $(DESTDIR)$(DOCDIR))

# packaging/debian becomes the debian/ of an otherwise empty tree, whose rules install from this one.
# What dpkg-buildpackage makes is put beside that tree.
DEB := $(BUILD)/deb

deb: all
	$(Q)rm -rf $(DEB) && mkdir -p $(DEB)/athena && cp -R packaging/debian $(DEB)/athena/
	$(Q)cd $(DEB)/athena && TREE=$(CURDIR) dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes
	$(Q)ls $(DEB)/*.deb

test-deb: deb
	$(Q)tests/deb $(DEB)/athena_*.deb

clean:
	rm -rf build build-*

help:
	@echo 'make            the programs, in $(BUILD)/'
	@echo 'make demo       a sample database cloned by one INSERT, in a private Postgres'
	@echo 'make test       all tests, against a private Postgres; ends with "N passed, N failed"'
	@echo 'make test-majors the engine on Postgres 14 to 18: servers from the network, an hour'
	@echo 'make test-backup all tests of backups'
	@echo 'make test-croner fire times of schedules, compared with npm croner: from the network'
	@echo 'make test-fault the whole crash matrix: every fault point with every harm'
	@echo 'make test-clone all tests of clones, killed at every point and at random'
	@echo 'make chaos      servers, sessions, networks, disks, clocks that fail under load, and figures'
	@echo 'make fuzz       every fuzzer for FUZZ_S=600 seconds; CHECKS="frame http"'
	@echo 'make model      the protocol in Promela (model/), checked by spin: two minutes; CHECKS=wake'
	@echo 'make bench      every benchmark, short, with plots: ten minutes; PEERS=DIR OUT=DIR'
	@echo 'make bench-long the sizes that figures are quoted of: hours, unattended'
	@echo 'make check      unit tests, format, direction of includes: fast, no database'
	@echo 'make lint       everything that analyses source'
	@echo 'make fmt        clang-format over all of it'
	@echo 'make install    PREFIX=$(PREFIX) DESTDIR='
	@echo 'make deb        Debian packages of it, in $(BUILD)/deb/'
	@echo 'make test-deb   installs them in a bare Debian: from the network, as root, two minutes'
	@echo 'make clean      removes all build folders'
	@echo
	@echo 'CC=clang  SAN=address,undefined  WERROR=1  V=1'
	@echo 'PACKAGES=skip   do not look for missing Debian packages'
