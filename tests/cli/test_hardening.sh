#!/usr/bin/env bash
# The mitigations in release builds, read from the binaries. Usage: test_hardening.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
case $(basename "$build") in
release | clang) ;;
*) echo "skip - hardening: this is no release build" && exit 0 ;;
esac
for file in "$build/qinsrun" "$build/qinsconvert" "$build/libqins.so.0"; do
    name=$(basename "$file")
    equal "$name can lie anywhere" DYN "$(readelf -hW "$file" | awk '$1 == "Type:" { print $2 }')"
    equal "$name: what it imports becomes read-only at the start" "GNU_RELRO NOW" \
        "$(readelf -lW "$file" | grep -o GNU_RELRO) $(readelf -dW "$file" | grep -oE '\bNOW\b' | head -n 1)"
    equal "$name has no stack that can be executed" "RW" "$(readelf -lW "$file" | awk '$1 == "GNU_STACK" { print $7 }')"
    equal "$name guards its stack" yes "$(nm -D "$file" | grep -q __stack_chk_fail && echo yes)"
    equal "$name checks the sizes of buffers" yes "$(nm -D "$file" | grep -qE '__(memcpy|snprintf|vsnprintf|memset|strcat|fprintf)_chk' && echo yes)"
    equal "$name has no segment that can be written and executed" "" "$(readelf -lW "$file" | awk '$1 == "LOAD" && /RWE/')"
done
if [ "$(uname -m)" = x86_64 ] && [ "$(basename "$build")" = release ]; then
    # Of an object: whether a program says so depends on the C library's own files, too.
    equal "jumps and returns are marked for CET" "IBT SHSTK" "$(readelf -n "$build/engine/base/json.o" | grep -oE 'IBT|SHSTK' | sort -u | xargs)"
fi
exit $failed
