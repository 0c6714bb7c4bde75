#!/usr/bin/env bash
# Who may include whom (ARCHITECTURE.md, "Where things are"), and two rules on ending a program. First checks itself:
# made-up trees with one violation each must be refused. Usage: tests/check_layers.sh
set -u
cd "$(dirname "$0")/.." || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The order of the rooms, and within two of them that of the modules: FILES | HEADERS, of which the first row with the file
# counts. A word without a slash is a room: engine/WORD/*. A file may always include its own header.
order="
include/*                                                  |
engine/base/error.h                                        | include/qins.h
engine/base/*                                              | base
engine/kernels/*                                           | base kernels
engine/format/config.?                                     | base
engine/format/schema.?                                     | base kernels engine/format/config.h
engine/format/header.?                                     | base kernels engine/format/{config,schema}.h
engine/format/{image,writer}.?                      | base kernels engine/format/{config,schema,header}.h
engine/model/{weights,rope,hadamard,kvcache}.?             | base kernels format
engine/model/attention.?                                   | base kernels format engine/model/kvcache.h
engine/model/forward.?                                     | base kernels format engine/model/{weights,rope,hadamard,kvcache,attention}.h
engine/runtime/{sampler,stop_text}.? engine/runtime/logits.h | base engine/runtime/logits.h
engine/runtime/*                                           | include/qins.h base kernels format model runtime tokenizer/{tokenizer,chat}.h
tokenizer/*                                                | base tokenizer/*
convert/confine.c engine/cli/confine.c                     | base engine/kernels/blas.h
convert/{calibrate,feedback,sensitivity}.c convert/reference.? | base kernels engine/model/forward.h convert/{calibrate,encode_tensor,feedback,reference,sensitivity,tensor_writer}.h
convert/onnx_graph.c                                       | base format engine/model/rope.h convert/*
convert/*                                                  | base engine/kernels/{code,encoder,tiers}.h format tokenizer/{tokenizer,chat}.h convert/*
engine/measure/*                                           | include/qins.h base kernels format engine/model/kvcache.h runtime measure tokenizer/tokenizer.h
engine/server/*                                            | include/qins.h base runtime server tokenizer/tokenizer.h
engine/cli/*                                               | base engine/kernels/tiers.h engine/format/{config,image}.h engine/model/rope.h runtime measure \
    tokenizer/{tokenizer,chat}.h convert/{convert,option_setters}.h engine/server/{http,listen,mhd,access,scheduler,service}.h cli
"

# Headers that only some may include, whatever the order says: limiting a process is the programs' job.
private="
engine/base/sandbox_internal.h         | engine/base/sandbox*.c
engine/base/{sandbox,helper}.h         | engine/cli/* convert/{main,confine}.c engine/base/{sandbox*.c,helper.c,sandbox_internal.h}
"

# expand WORDS...: the patterns that a cell of a table means, one a line. {a,b} as the shell expands it.
expand() {
    set -f # a pattern is not a file
    local word
    for word in $(eval "echo $*"); do
        case $word in */*) echo "$word" ;; *) echo "engine/$word/*" ;; esac
    done
    set +f
}

# load TABLE PREFIX: its rows, expanded, as arrays PREFIX_files and PREFIX_headers of equal length.
load() {
    local -n files=$2_left headers=$2_right
    local left right
    while IFS='|' read -r left right; do
        [ -n "$left" ] || continue
        files+=("$(expand "$left")") headers+=("$(expand "$right")")
    done <<<"$1"
}
order_left=() order_right=() private_left=() private_right=()
load "$order" order
load "$private" private

# fits PATH PATTERNS: is the path one of them?
fits() {
    local pattern
    while IFS= read -r pattern; do
        # shellcheck disable=SC2254 # a pattern it is
        case $1 in $pattern) return 0 ;; esac
    done <<<"$2"
    return 1
}

# Headers of the C library and of POSIX; everything else in <> must be named below.
is_libc() {
    case $1 in
    ctype.h | dirent.h | errno.h | fcntl.h | float.h | fnmatch.h | getopt.h | inttypes.h | limits.h | locale.h | math.h | sched.h | signal.h | \
        poll.h | regex.h | std*.h | string.h | strings.h | sys/file.h | sys/ioctl.h | sys/random.h | sys/resource.h | sys/stat.h | sys/types.h | termios.h | time.h | \
        unistd.h | wchar.h) true ;;
    *) false ;;
    esac
}

may_include_library() { # FILE HEADER
    case $2 in
    cjson/*) [ "$1" = engine/base/json.c ] ;;
    sys/mman.h) [ "$1" = engine/base/map.c ] || [ "$1" = engine/base/sandbox_calls.c ] ;;
    linux/*) [ "$1" = engine/base/sandbox_calls.c ] ;;
    sys/syscall.h) case $1 in engine/base/sandbox_files.c | engine/base/sandbox_calls.c) true ;; *) false ;; esac ;;
    sys/prctl.h) [ "$1" = engine/base/sandbox_files.c ] || [ "$1" = engine/base/helper.c ] ;;
    pthread.h) case $1 in engine/base/pool.c | engine/base/lock.c | engine/base/thread.c) true ;; *) false ;; esac ;;
    sys/wait.h) [ "$1" = engine/base/helper.c ] ;;
    cblas.h) [ "$1" = engine/kernels/blas.c ] ;;
    dlfcn.h) [ "$1" = engine/kernels/blas.c ] || [ "$1" = engine/server/mhd.c ] ;;
    semaphore.h) [ "$1" = engine/kernels/blas.c ] ;;
    microhttpd.h) [ "$1" = engine/server/mhd.h ] ;;
    sys/eventfd.h) [ "$1" = engine/server/http.c ] ;;
    sys/socket.h) case $1 in engine/base/helper.c | engine/server/listen.c | engine/server/http.c) true ;; *) false ;; esac ;;
    arpa/inet.h) [ "$1" = engine/server/access.c ] || [ "$1" = engine/server/listen.c ] ;;
    netdb.h | netinet/in.h | sys/un.h) [ "$1" = engine/server/listen.c ] ;;
    xxhash.h) case $1 in engine/format/image.c | engine/format/writer.c | convert/*) true ;; *) false ;; esac ;;
    cpuid.h) [ "$1" = engine/base/cpu.c ] ;;
    *intrin.h | arm_neon.h) case $1 in engine/kernels/lanes_?*.h) true ;; *) false ;; esac ;;
    *) is_libc "$2" ;;
    esac
}

may_include_own() { # FILE HEADER
    local i
    for i in "${!private_left[@]}"; do
        if fits "$2" "${private_left[i]}" && [ "$2" != "${1%.c}.h" ]; then fits "$1" "${private_right[i]}"; return; fi
    done
    [ "$2" != "${1%.c}.h" ] || return 0
    for i in "${!order_left[@]}"; do
        if fits "$1" "${order_left[i]}"; then fits "$2" "${order_right[i]}"; return; fi
    done
    return 1
}

# FILE:LINE:text of every match in the product's sources.
search() {
    grep -rnE --include='*.[ch]' -- "$1" include engine tokenizer convert 2>/dev/null
}

# Violations of the tree in the current folder, one line each.
violations() {
    local file line rest header
    search '^[[:space:]]*#[[:space:]]*include' | while IFS=: read -r file line rest; do
        header=$(sed -E 's/.*include[[:space:]]*[<"]([^>"]*)[>"].*/\1/' <<<"$rest")
        case $header in
        /* | *..*) echo "$file:$line: includes a path: $header" ;;
        *) case $rest in
            *\"*) may_include_own "$file" "$header" || echo "$file:$line: may not include $header" ;;
            *\<*) may_include_library "$file" "$header" || echo "$file:$line: may not include <$header>" ;;
            *) echo "$file:$line: cannot be judged: $rest" ;;
            esac ;;
        esac
    done
    search '(^|[^A-Za-z0-9_])(_?_?[Ee]xit|quick_exit|abort)[[:space:]]*\(' | grep -vE '^[^:]*:[0-9]+:[[:space:]]*//' |
        grep -vE '^([a-z/]*/main|engine/base/sandbox|engine/base/helper)\.c:' | sed 's/$/: only a main.c, the sandbox and a helper may end the process/'
    search '(^|[^A-Za-z0-9_])assert[[:space:]]*\(|<assert\.h>' | grep -vE '^[^:]*:[0-9]+:[[:space:]]*//' |
        sed 's/$/: no assert in the product/'
}

# check_sample NAME FILE LINE [accepted]: a tree with this one file of one line is refused, or accepted.
check_sample() {
    local tree=$tmp/tree found
    rm -rf "$tree"
    mkdir -p "$tree/$(dirname "$2")"
    printf '%s\n' "$3" >"$tree/$2"
    found=$(cd "$tree" && violations)
    if [ "${4-refused}" = accepted ] && [ -n "$found" ]; then echo "FAIL - self-test: $1: refused: $found"
    elif [ "${4-refused}" = refused ] && [ -z "$found" ]; then echo "FAIL - self-test: $1: was not noticed"
    else echo "ok - self-test: $1"; fi
}

self_test() {
    check_sample "base may not include kernels" engine/base/file.c '#include "engine/kernels/code.h"'
    check_sample "base may include itself" engine/base/file.c '#include "engine/base/memory.h"' accepted
    check_sample "cJSON only in json.c" engine/base/file.c '#include <cjson/cJSON.h>'
    check_sample "mmap only in map.c" engine/base/file.c '#include <sys/mman.h>'
    check_sample "seccomp only in sandbox_calls.c" engine/base/pool.c '#include <linux/seccomp.h>'
    check_sample "seccomp in sandbox_calls.c" engine/base/sandbox_calls.c '#include <linux/seccomp.h>' accepted
    check_sample "system calls by number only in the sandbox" engine/base/file.c '#include <sys/syscall.h>'
    check_sample "the library may not limit its host" engine/runtime/engine.c '#include "engine/base/sandbox.h"'
    check_sample "nor may base" engine/base/pool.c '#include "engine/base/sandbox.h"'
    check_sample "the programs may" engine/cli/cli.c '#include "engine/base/sandbox.h"' accepted
    check_sample "but do not know how" engine/cli/cli.c '#include "engine/base/sandbox_internal.h"'
    check_sample "nor does a helper" engine/base/helper.c '#include "engine/base/sandbox_internal.h"'
    check_sample "exit in a helper" engine/base/helper.c '    _exit(0);' accepted
    check_sample "threads only in base" engine/runtime/session.c '#include <pthread.h>'
    check_sample "no unknown library" engine/base/file.c '#include <zlib.h>'
    check_sample "kernels may not include model" engine/kernels/linear.c '#include "engine/model/forward.h"'
    check_sample "BLAS only in blas.c" engine/kernels/kernels.c '  #  include <cblas.h>'
    check_sample "BLAS in blas.c" engine/kernels/blas.c '#include <cblas.h>' accepted
    check_sample "no intrinsics in the scalar tier" engine/kernels/kernels_scalar.c '#include <immintrin.h>'
    check_sample "measure may include sessions" engine/measure/greedy.c '#include "engine/runtime/session.h"' accepted
    check_sample "measure knows no command line" engine/measure/windows.c '#include "engine/cli/options.h"'
    check_sample "measure knows no server" engine/measure/windows.c '#include "engine/server/service.h"'
    check_sample "the runtime may not measure itself" engine/runtime/session.c '#include "engine/measure/windows.h"'
    check_sample "the server may not measure" engine/server/service.c '#include "engine/measure/machine.h"'
    check_sample "the engine may not measure itself" engine/model/forward.c '#include "engine/measure/cost.h"'
    check_sample "intrinsics in the words of a tier" engine/kernels/lanes_avx2.h '#include <immintrin.h>' accepted
    check_sample "config may not include schema" engine/format/config.c '#include "engine/format/schema.h"'
    check_sample "schema may include config" engine/format/schema.h '#include "engine/format/config.h"' accepted
    check_sample "rope may not include kvcache" engine/model/rope.c '#include "engine/model/kvcache.h"'
    check_sample "kernels may not include format" engine/kernels/linear.c '#include "engine/format/schema.h"'
    check_sample "format may not include model" engine/format/header.c '#include "engine/model/weights.h"'
    check_sample "model may include format" engine/model/weights.c '#include "engine/format/image.h"' accepted
    check_sample "nobody may include the writer but convert" engine/cli/cmd_info.c '#include "engine/format/writer.h"'
    check_sample "convert may include the writer" convert/convert.c '#include "engine/format/writer.h"' accepted
    check_sample "forward may not include session" engine/model/forward.c '#include "engine/runtime/session.h"'
    check_sample "the sampler knows no model" engine/runtime/sampler.c '#include "engine/format/config.h"'
    check_sample "the runtime may include forward" engine/runtime/engine.c '#include "engine/model/forward.h"' accepted
    check_sample "the runtime may not convert" engine/runtime/model.c '#include "convert/convert.h"'
    check_sample "the runtime knows no command line" engine/runtime/session.c '#include "engine/cli/options.h"'
    check_sample "the public header needs no other" include/qins.h '#include "engine/base/error.h"'
    check_sample "the public header needs the C library" include/qins.h '#include <stddef.h>' accepted
    check_sample "errors are public" engine/base/error.h '#include "include/qins.h"' accepted
    check_sample "other files of base are not" engine/base/file.h '#include "include/qins.h"'
    check_sample "a new file of model needs a place" engine/model/new.c '#include "engine/format/config.h"'
    check_sample "a new file of format needs a place" engine/format/new.c '#include "engine/base/memory.h"'
    check_sample "a new room needs a place" engine/new/file.c '#include "engine/base/memory.h"'
    check_sample "hashes not in header.c" engine/format/header.c '#include <xxhash.h>'
    check_sample "tokenizer may not include format" tokenizer/bpe.c '#include "engine/format/config.h"'
    check_sample "convert may not include linear.h" convert/encode_tensor.c '#include "engine/kernels/linear.h"'
    check_sample "convert runs the model to calibrate" convert/calibrate.c '#include "engine/model/forward.h"' accepted
    check_sample "convert may not include the tokenizer's inside" convert/convert.c '#include "tokenizer/tokenizer_internal.h"'
    check_sample "cli may not include forward" engine/cli/cmd_run.c '#include "engine/model/forward.h"'
    check_sample "cli may include the session" engine/cli/cmd_run.c '#include "engine/runtime/session.h"' accepted
    check_sample "HTTP only in the server" engine/cli/cmd_serve.c '#include <microhttpd.h>'
    check_sample "sockets only where the server listens" engine/server/request.c '#include <sys/socket.h>'
    check_sample "the server may include sessions" engine/server/session_cache.c '#include "engine/runtime/session.h"' accepted
    check_sample "the server knows no command line" engine/server/http.c '#include "engine/cli/options.h"'
    check_sample "the runtime knows no server" engine/runtime/session.c '#include "engine/server/scheduler.h"'
    check_sample "commands may start a server" engine/cli/cmd_serve.c '#include "engine/server/http.h"' accepted
    check_sample "commands do not read requests" engine/cli/cmd_serve.c '#include "engine/server/request.h"'
    check_sample "no absolute path" engine/base/file.c '#include "/usr/include/stdio.h"'
    check_sample "no path upwards" engine/base/file.c '#include "../base/memory.h"'
    check_sample "no exit outside main" engine/cli/cli.c '    if (failed) exit(1);'
    check_sample "exit in main" convert/main.c '    exit(1);' accepted
    check_sample "a name that ends in exit is no exit" engine/cli/cli.c '    on_exit_request(1);' accepted
    check_sample "no abort" engine/base/memory.c '    abort();'
    check_sample "no assert" engine/base/memory.c '    assert(size > 0);'
    check_sample "a static assertion is fine" engine/base/half.h '_Static_assert(sizeof(float) == 4, "");' accepted
}

self_test
[ -n "$(search '#include')" ] || echo "FAIL - layers: no sources found"
found=$(violations)
if [ -z "$found" ]; then echo "ok - layers: every include and every exit is where it may be"
else while IFS= read -r line; do echo "FAIL - layers: $line"; done <<<"$found"; fi
