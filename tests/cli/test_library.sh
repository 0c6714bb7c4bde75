#!/usr/bin/env bash
# libqins: its exports, the host's state that it leaves alone, the installed files, and the examples.
# Usage: test_library.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
cc=${CC:-cc}
library=$build/libqins.so.0

# Names that qins.h declares, those that the library exports, and those that its archive makes visible.
declared=$(sed -nE 's/^[a-z].*[ *](qins_[a-z_]+)\(.*/\1/p' include/qins.h | sort)
equal "qins.h declares functions" yes "$([ "$(wc -l <<<"$declared")" -gt 30 ] && echo yes)"
equal "the library exports what qins.h declares, with a version" "$(sed 's/$/@@QINS_0/' <<<"$declared")" \
    "$(nm -D --defined-only "$library" | awk '$2 == "T" { print $3 }' | sort)"
equal "and nothing else" "QINS_0" "$(nm -D --defined-only "$library" | awk '$2 != "T" { print $3 }')"
equal "so does the archive" "$declared" "$(nm -g --defined-only "$build/libqins.a" | awk 'NF == 3 { print $3 }' | sort)"
equal "its name is that of the file" "libqins.so.0" "$(objdump -p "$library" | awk '$1 == "SONAME" { print $2 }')"

case $(basename "$build") in
asan | tsan)
    echo "skip - what a sanitized library calls, and the examples with it"
    exit $failed
    ;;
esac
equal "it writes to no stream, ends no process, handles no signal, sets no locale" "" "$(nm -D "$library" |
    grep -E ' U (stdout|stderr|printf|puts|putchar|exit|_exit|abort|signal|sigaction|setlocale)(@|$)')"

# The header by itself, in C and C++.
echo '#include <qins.h>' >"$tmp/header.c"
$cc -std=c99 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$tmp/header.c" && ok "the header is C99" || fail "the header is C99" ""
if command -v c++ >/dev/null; then
    c++ -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only -x c++ "$tmp/header.c" && ok "the header is C++" || fail "the header is C++" ""
else
    echo "skip - the header is C++: there is no c++"
fi

# As a user who has installed it. A make around this one is none of its business.
env -u MAKEFLAGS -u MAKELEVEL make -s --assume-old=all BUILD="$build" install PREFIX="$tmp/prefix" >"$tmp/log" 2>&1 ||
    fail "make install" "$(cat "$tmp/log")"
if command -v pkg-config >/dev/null; then
    export PKG_CONFIG_PATH=$tmp/prefix/lib/pkgconfig
    equal "pkg-config knows the version" "$("$run" --version | sed -nE 's/^qinsrun ([0-9.]+) .*/\1/p')" "$(pkg-config --modversion qins)"
    shared=$(pkg-config --cflags --libs qins) archives=$(pkg-config --static --libs-only-l qins)
else
    echo "skip - pkg-config knows the version: there is no pkg-config"
    shared="-I$tmp/prefix/include -L$tmp/prefix/lib -lqins" archives="-lqins -lcjson -lxxhash -lm -lpthread -ldl"
fi
for example in examples/chat.c examples/chat.py; do
    equal "$example has at most 60 lines" yes "$([ "$(wc -l <$example)" -le 60 ] && echo yes)"
done

printf 'What is the capital of France?\nAnd of Peru?\n' >"$tmp/messages"
expected=$("$run" chat -m "$demo" -q <"$tmp/messages")
equal "the chat says something" 2 "$(grep -c . <<<"$expected")"
# shellcheck disable=SC2086 # words
$cc -std=c11 -Wall -Wextra -Werror examples/chat.c $shared -o "$tmp/chat" &&
    equal "the C example chats as qinsrun does" "$expected" "$(LD_LIBRARY_PATH=$tmp/prefix/lib "$tmp/chat" "$demo" <"$tmp/messages")" ||
    fail "the C example compiles" ""
# shellcheck disable=SC2086 # words
$cc -std=c11 examples/chat.c -I"$tmp/prefix/include" -L"$tmp/prefix/lib" ${archives/-lqins/-l:libqins.a} -o "$tmp/chat_static" &&
    equal "linked with the archive, too" "$expected" "$("$tmp/chat_static" "$demo" <"$tmp/messages")" ||
    fail "the C example compiles with the archive" ""
equal "a model that is not there ends it with its status" 3 "$(LD_LIBRARY_PATH=$tmp/prefix/lib "$tmp/chat" "$tmp/none" 2>"$tmp/err" </dev/null; echo $?)"
equal "and with a message" "chat: cannot open $tmp/none: No such file or directory" "$(cat "$tmp/err")"
python=${PYTHON:-python3}
if command -v "$python" >/dev/null; then
    equal "the Python example chats as qinsrun does" "$expected" "$("$python" examples/chat.py "$demo" "$tmp/prefix/lib/libqins.so.0" <"$tmp/messages" 2>&1)"
else
    echo "skip - the Python example: there is no $python"
fi

# A host that has given cJSON an allocator keeps it, and the library works with it.
cat >"$tmp/host.c" <<'C'
#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <qins.h>
#include <stdlib.h>

static int n_allocations;

static void *allocate(size_t size) { // what free() would not take
    char *memory = malloc(size + 64);
    n_allocations++;
    return memory == NULL ? NULL : memory + 64;
}

static void release(void *memory) {
    if (memory != NULL) free((char *)memory - 64);
}

int main(int argc, char **argv) {
    cJSON_InitHooks(&(cJSON_Hooks){allocate, release});
    void *library = dlopen(argv[1], RTLD_NOW);
    if (argc != 3 || library == NULL) return 10;
    cJSON *object = cJSON_CreateObject();
    if (n_allocations != 1) return 11;
    cJSON_Delete(object);
    qins_model *(*open)(const char *, qins_error *) = (qins_model * (*)(const char *, qins_error *)) dlsym(library, "qins_model_open");
    void (*close)(qins_model *) = (void (*)(qins_model *))dlsym(library, "qins_model_close");
    qins_error error = {0};
    qins_model *model = open(argv[2], &error);
    if (model == NULL || n_allocations == 1) return 12;
    close(model);
    return 0;
}
C
$cc -std=c11 "$tmp/host.c" -Iinclude -lcjson -ldl -o "$tmp/host" &&
    equal "a host's cJSON keeps the host's allocator" 0 "$("$tmp/host" "$library" "$demo"; echo $?)" ||
    fail "the host compiles" ""

# A locale whose decimal point is a comma changes nothing.
if command -v localedef >/dev/null && localedef -i de_DE -f UTF-8 "$tmp/de_DE.UTF-8" 2>/dev/null; then
    sed 's/^int main.*/#include <locale.h>\n&\n    if (setlocale(LC_ALL, "") == NULL) return 99;/' examples/chat.c >"$tmp/german.c"
    # shellcheck disable=SC2086 # words
    $cc -std=c11 "$tmp/german.c" $shared -o "$tmp/german"
    equal "a locale with decimal commas changes nothing" "$expected" \
        "$(LOCPATH=$tmp LC_ALL=de_DE.UTF-8 LD_LIBRARY_PATH=$tmp/prefix/lib "$tmp/german" "$demo" <"$tmp/messages")"
else
    echo "skip - a locale with decimal commas: localedef makes none here"
fi
exit $failed
