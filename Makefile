# qins: `make help` lists what can be made. Everything built goes to build/$(config)/.
config ?= release
CC ?= cc
.DEFAULT_GOAL := all

BUILD := build/$(config)
# Mitigations, in case a mistake lets a hostile file take effect (CET where the processor family has it, below).
CFLAGS_release := -O3 -g -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
CFLAGS_debug := -O0 -g3
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
# AVX-512 on machines without it: SIMDe in place of the instructions, and the answer yes to every question for one.
CFLAGS_emulated := -O2 -g -Wno-psabi -Itests/emulated '-D__builtin_cpu_supports(feature)=1'
CFLAGS_fuzz := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_coverage := -O1 -g --coverage -fprofile-update=prefer-atomic
CFLAGS_counted := -O1 -fno-builtin
ifeq ($(CFLAGS_$(config)),)
$(error config=$(config) is unknown; use release, debug, asan, tsan, emulated, coverage, counted or fuzz)
endif

# No FMA contraction and no fast-math: the bytes of the codes and the logits must not depend on the compiler.
ALL_CFLAGS := -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -ffp-contract=off \
              -fPIC -fvisibility=hidden -I. -MMD -MP $(CFLAGS_$(config)) $(CFLAGS)
LIBS := -lcjson -lxxhash -lm -lpthread -ldl
HARDENED := -Wl,-z,relro,-z,now

PROGRAM_MAINS := engine/cli/main.c convert/main.c
SOURCES := $(filter-out $(PROGRAM_MAINS),$(wildcard engine/*/*.c tokenizer/*.c convert/*.c))
TESTS := $(wildcard tests/*.c)
object = $(patsubst %.c,$(BUILD)/%.o,$(1))

# Instructions beyond the platform's minimum are only for the files of their tier. There may be no compiler yet: make deps
# installs it after this line.
ifneq ($(filter x86_64%,$(shell $(CC) -dumpmachine 2>/dev/null || uname -m)),)
ALL_CFLAGS += $(if $(filter release,$(config)),-fcf-protection=full)
$(call object,$(wildcard engine/kernels/kernels_avx2*.c)): ALL_CFLAGS += -mavx2 -mfma -mf16c
$(call object,$(wildcard engine/kernels/kernels_avx512*.c)): ALL_CFLAGS += -mavx2 -mfma -mf16c
ifneq ($(config),emulated)
$(call object,$(wildcard engine/kernels/kernels_avx512*.c)): ALL_CFLAGS += -mavx512f -mavx512bw -mavx512vl
$(call object,engine/kernels/kernels_avx512vnni.c): ALL_CFLAGS += -mavx512vnni
endif
endif

# libqins: the runtime and the layers below it, except for code of the programs only. Symbols that qins.h does not
# declare are hidden; in the archive, which is a single object, they become local.
LIBRARIES := $(addprefix $(BUILD)/,libqins.a libqins.so.0 libqins.so)
LIBRARY_SOURCES := $(filter-out engine/base/option_table.c engine/base/fault.c engine/base/guard.c engine/base/helper.c \
                     engine/base/leftovers.c engine/base/output_file.c engine/base/progress.c engine/base/sandbox%.c \
                     engine/base/thread.c engine/format/writer.c, \
                     $(wildcard engine/base/*.c engine/kernels/*.c engine/format/*.c engine/model/*.c engine/runtime/*.c tokenizer/*.c))

.PHONY: torture validate figures always all install uninstall dist deb test test-all test-emulated demo bench deps fuzz format lint coverage clean help
all: $(BUILD)/qinsrun $(BUILD)/qinsconvert $(LIBRARIES) ## build programs and library (config=release|debug|asan|tsan)

# V=1 shows whole commands.
Q := $(if $(V),,@)
define link
@echo "  LD $@"
@mkdir -p $(@D)
$(Q)$(CC) $(ALL_CFLAGS) -pie $(HARDENED) -o $@ $^ $(LDFLAGS) $(LIBS)
endef
PORTABLE := $(BUILD)/portable
$(BUILD)/qinsrun $(PORTABLE)/qinsrun: $(call object,engine/cli/main.c $(SOURCES))
	$(link)
$(BUILD)/libqins.so.0: $(call object,$(LIBRARY_SOURCES)) share/libqins.map
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) -shared $(HARDENED) -Wl,-soname,$(@F) -Wl,--version-script=share/libqins.map -o $@ $(filter %.o,$^) \
	    $(LDFLAGS) $(LIBS)
$(BUILD)/libqins.so: $(BUILD)/libqins.so.0
	$(Q)ln -sf $(<F) $@
$(BUILD)/libqins.a: $(call object,$(LIBRARY_SOURCES))
	@echo "  AR $@"
	$(Q)$(LD) -r -o $(BUILD)/libqins.o $^
	$(Q)objcopy --localize-hidden $(BUILD)/libqins.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(BUILD)/libqins.o
$(BUILD)/qinsconvert $(PORTABLE)/qinsconvert: $(call object,convert/main.c $(filter-out engine/cli/% engine/server/%,$(SOURCES)))
	$(link)

# The programs of make dist have xxHash in themselves. cJSON, of which Debian has no archive, and OpenBLAS and
# libmicrohttpd, which are loaded when they are needed, go into the tarball beside them; the old kind of tags lets those
# find their own libraries there, too.
ARCHIVES := libxxhash.a
SHARED := libcjson.so.1
LOADED := libopenblas.so.0 libgfortran.so.5 libquadmath.so.0 libgcc_s.so.1 libmicrohttpd.so.12 libgnutls.so.30 \
          libp11-kit.so.0 libidn2.so.0 libunistring.so.2 libtasn1.so.6 libnettle.so.8 libhogweed.so.6 libgmp.so.10 libffi.so.8
$(PORTABLE)/%: LIBS := $(ARCHIVES:%=-l:%) $(SHARED:%=-l:%) -lm -lpthread -ldl \
                       -Wl,--disable-new-dtags -Wl,-rpath,'$$ORIGIN/../lib/qins'
# --wrap: tests/failing_allocation.c makes single allocations, mappings and thread starts of our own code fail.
WRAPPED := malloc calloc realloc aligned_alloc mmap munmap pthread_create XXH3_createState
$(BUILD)/qinstests: LDFLAGS += $(WRAPPED:%=-Wl,--wrap=%)
# ThreadSanitizer and Criterion's sandbox exclude each other.
TEST_RUNNER := -lcriterion
ifeq ($(config),tsan)
TESTS += tests/tsan/runner.c
TEST_RUNNER :=
endif
$(BUILD)/qinstests: $(call object,$(SOURCES) $(TESTS))
	$(link) $(TEST_RUNNER)
# tests/linear counts the basic blocks of the sources, and what they ask of the C library.
COUNTED := malloc calloc realloc aligned_alloc free memcpy memmove memset memcmp memchr strlen strcmp strncmp strchr strstr \
           XXH3_64bits cJSON_ParseWithLengthOpts
ifeq ($(config),counted)
$(call object,$(SOURCES)): ALL_CFLAGS += -fsanitize-coverage=trace-pc
endif
$(BUILD)/linear: LDFLAGS += $(COUNTED:%=-Wl,--wrap=%)
$(BUILD)/linear: $(call object,$(SOURCES) $(wildcard tests/linear/*.c))
	$(link)
$(BUILD)/%.o: %.c Makefile | $(BUILD)/libraries
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(call object,convert/calibration_text.c): convert/calibration_text.txt # which it includes

# The server's page, and the policy that tells browsers what it may do.
$(BUILD)/page_policy: engine/server/page.html engine/server/page_policy.sh
	@mkdir -p $(@D)
	$(Q)engine/server/page_policy.sh $< >$@
$(call object,engine/server/page.c): engine/server/page.html $(BUILD)/page_policy
$(call object,engine/server/page.c): ALL_CFLAGS += -DPAGE_POLICY='"$(BUILD)/page_policy"'

# Are the libraries there? Asked once, because the first file's error would not say what to do.
HEADERS := cblas.h cjson/cJSON.h microhttpd.h xxhash.h
$(BUILD)/libraries:
	@mkdir -p $(@D)
	@printf '#include <%s>\n' $(HEADERS) | $(CC) $(CFLAGS) -E -x c - >/dev/null || \
	    { echo 'Something to build with is missing: run "make deps" first (docs/guide.md lists it for other systems).' >&2; exit 1; }
	@touch $@

# The commit goes into qinsrun --version; the file changes, and its object is compiled anew, when the commit does.
COMMIT := $(shell [ -e .git ] && git describe --always --dirty --abbrev=10 2>/dev/null)
$(call object,engine/runtime/version.c): $(BUILD)/commit
$(call object,engine/runtime/version.c): ALL_CFLAGS += $(if $(COMMIT),-DQINS_COMMIT='"$(COMMIT)"')
$(BUILD)/commit: always
	@mkdir -p $(@D)
	@echo '$(COMMIT)' | cmp -s - $@ || echo '$(COMMIT)' >$@

# The place of installed files: PREFIX, with DESTDIR before it for staging.
PREFIX ?= /usr/local
bindir = $(DESTDIR)$(PREFIX)/bin
man1dir = $(DESTDIR)$(PREFIX)/share/man/man1
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
libdir = $(DESTDIR)$(PREFIX)/lib
includedir = $(DESTDIR)$(PREFIX)/include
docdir = $(DESTDIR)$(PREFIX)/share/doc/qins
VERSION = $(shell sed -nE 's/^#define QINS_VERSION "(.*)".*/\1/p' include/qins.h)
install: all ## install programs, library, documents and completion (PREFIX=/usr/local, DESTDIR=)
	install -d "$(bindir)" "$(man1dir)" "$(bashdir)" "$(zshdir)" "$(libdir)/pkgconfig" "$(includedir)" "$(docdir)/docs"
	install -m 644 include/qins.h "$(includedir)"
	install -m 644 $(BUILD)/libqins.a $(BUILD)/libqins.so.0 "$(libdir)"
	ln -sf libqins.so.0 "$(libdir)/libqins.so"
	sed -e 's|@PREFIX@|$(subst &,\&,$(if $(filter /%,$(PREFIX)),,$(CURDIR)/)$(PREFIX))|' -e 's|@VERSION@|$(VERSION)|' share/qins.pc.in >"$(libdir)/pkgconfig/qins.pc"
	chmod 644 "$(libdir)/pkgconfig/qins.pc"
	install $(BUILD)/qinsrun $(BUILD)/qinsconvert "$(bindir)"
	install -m 644 share/qinsrun.1 share/qinsconvert.1 "$(man1dir)"
	install -m 644 share/qins.bash "$(bashdir)/qinsrun"
	ln -sf qinsrun "$(bashdir)/qinsconvert"
	install -m 644 share/_qins "$(zshdir)"
	install -m 644 README.md CHANGELOG.md SECURITY.md LICENSE "$(docdir)"
	install -m 644 docs/*.md docs/*.svg "$(docdir)/docs"

uninstall: ## remove the installed files (with the same PREFIX and DESTDIR)
	rm -f $(foreach name,qinsrun qinsconvert,"$(bindir)/$(name)" "$(man1dir)/$(name).1" "$(bashdir)/$(name)") \
	    "$(zshdir)/_qins" "$(includedir)/qins.h" "$(libdir)/libqins.a" "$(libdir)/libqins.so.0" "$(libdir)/libqins.so" \
	    "$(libdir)/pkgconfig/qins.pc"
	rm -rf "$(docdir)"

dist: $(PORTABLE)/qinsrun $(PORTABLE)/qinsconvert all ## make a tarball that runs on a bare Debian 12 (build/release/qins-*.tar.gz)
	share/make_tarball.sh $(BUILD) "$(CC)" $(ARCHIVES) $(SHARED) $(LOADED)

deb: all ## make a Debian package (build/release/qins_*.deb; dpkg-dev)
	share/make_deb.sh $(BUILD) $(VERSION)

# T: the beginning of names of suites and scripts, or several.
test: all $(BUILD)/qinstests $(TORTURE) ## build and run the tests, except the slow ones (T=kernels: only those of a part)
	tests/run.sh $(BUILD) $(T)
test-all: all $(BUILD)/qinstests $(TORTURE) ## run every test (QINS_TEST_DATA: more data, if you have it)
	tests/run.sh $(BUILD) all

SUITES ?= *
test-emulated: ## run the Criterion tests on an emulated AVX-512 tier (x86-64 with AVX2; libsimde-dev)
	@$(MAKE) config=emulated build/emulated/qinstests
	build/emulated/qinstests -j$$(nproc) --color=never --filter '$(SUITES)/*'

demo: all ## convert the demo model that comes with the sources and let it answer
	$(BUILD)/qinsconvert tests/data/demo -o $(BUILD)/demo.qins
	$(BUILD)/qinsrun -m $(BUILD)/demo.qins -p "What is the capital of France?"

# MODEL: a .qins file or a Hugging Face folder; ARGS: more options of qinsrun bench.
MODEL ?= tests/data/demo
ARGS ?= -p 256 -n 64
bench: all ## speed of MODEL (default: the demo model), compared with the machine's limits
	$(BUILD)/qinsrun bench -m $(MODEL) $(ARGS)

# MODEL: a Hugging Face folder; TEXT: a text that it did not see in training; PLOT: the file for the picture.
TEXT ?= tests/data/demo/held_out.txt
PLOT ?= docs/kld_by_position.svg
validate: all ## compare MODEL in qins8 with its checkpoint, as a table and a picture (TEXT=, PLOT=; default: the demo model)
	tests/validate.sh $(BUILD) $(MODEL) $(TEXT) $(PLOT)

# The same for all codes, with and without calibration: lines of JSON, and with those of other programs a picture and the
# tables of the documents.
FIGURES ?= docs/figures
figures: all ## quality, size and speed of MODEL in every code: JSON, a picture, tables in the documents (TEXT=, FIGURES=)
	tests/figures.sh $(BUILD) $(MODEL) $(TEXT) >$(FIGURES).jsonl
	tests/draw_figures.sh $(FIGURES).jsonl docs/peers.jsonl >$(FIGURES).svg
	$(if $(filter docs/figures,$(FIGURES)),tests/figures_tables.sh README.md docs/quality.md)

TORTURE := $(BUILD)/torture $(BUILD)/faults.so
torture: all $(TORTURE) ## damage files, fail calls, kill programs: a table of failures, all zero (about 10 minutes)
	$(BUILD)/torture $(BUILD)
$(BUILD)/torture: $(call object,$(SOURCES) $(filter-out tests/torture/faults.c,$(wildcard tests/torture/*.c)))
	$(link)
$(BUILD)/faults.so: tests/torture/faults.c
	@echo "  LD $@"
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -O1 -fno-builtin -fPIC -shared -o $@ $< -ldl

# CJSON: a folder with the source of cJSON (apt source cjson); it is compiled in, so libFuzzer sees into it, too.
CJSON ?=
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))
fuzz: ## build the libFuzzer targets of tests/fuzz (clang), and run each for T seconds (T=, 0: the seeds; CJSON=)
	@$(MAKE) config=fuzz CC=clang $(FUZZERS)
	$(if $(T),tests/fuzz/run.sh build/fuzz $(T))
.SECONDARY: $(call object,$(wildcard tests/fuzz/*.c))
$(FUZZERS): LIBS := $(if $(CJSON),$(filter-out -lcjson,$(LIBS)),$(LIBS))
build/fuzz/fuzz_%: $(call object,tests/fuzz/fuzz_%.c tests/linear/readers.c $(SOURCES)) $(if $(CJSON),build/fuzz/cJSON.o)
	$(link) -fsanitize=fuzzer
build/fuzz/cJSON.o: $(CJSON)/cJSON.c
	$(Q)$(CC) $(CFLAGS_fuzz) -fPIC -c -o $@ $<

DEBIAN_PACKAGES := gcc make libc6-dev libopenblas-dev libcjson-dev libcriterion-dev libxxhash-dev libmicrohttpd-dev
deps: ## install missing packages (Debian and its relatives; docs/guide.md lists other systems)
	@tests/install_deps.sh $(DEBIAN_PACKAGES)

format: ## format the sources (clang-format)
	clang-format -i $(SOURCES) $(PROGRAM_MAINS) $(TESTS) $(wildcard include/*.h engine/*/*.h tokenizer/*.h convert/*.h tests/*.h)

lint: ## form and static analysis (LINT="format shellcheck": only these)
	tests/lint.sh $(LINT)

# With T= as for make test.
coverage: ## run the tests and print which part of the sources they execute (gcov)
	@$(MAKE) config=coverage all build/coverage/qinstests
	tests/coverage/run.sh build/coverage $(T)

# For editors and clang-tidy: the command that compiles each source, as make would run it.
compile_commands.json: always ## write it, for editors and clang-tidy
	@$(MAKE) -Bn all $(BUILD)/qinstests | sed -nE -e '/ -c -o [^ ]+ [^ ]+\.c$$/!d' -e 's/[\"]/\\&/g' \
	    -e 's|.* ([^ ]+)$$|{"directory": "$(CURDIR)", "file": "\1", "command": "&"}|p' | sed '1s/^/[/; $$!s/$$/,/; $$s/$$/]/' >$@

clean: ## remove everything built
	rm -rf build

help: ## this list
	@grep -E '^[a-z_.-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 16

-include $(patsubst %.c,$(BUILD)/%.d,$(SOURCES) $(PROGRAM_MAINS) $(TESTS) $(wildcard tests/fuzz/*.c tests/linear/*.c tests/torture/*.c))
