#!/usr/bin/env bash
# Format and static analysis; prints findings, and fails if there are any. Tools that are missing are named and skipped.
# Usage: tests/lint.sh [TOOL...]; all by default: format shellcheck tidy cppcheck analyzer
set -u
cd "$(dirname "$0")/.." || exit 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0

sources() { ls engine/*/*.c tokenizer/*.c convert/*.c; }
scripts() { git ls-files | xargs grep -lE '^#!/(usr/bin/env bash|bin/sh)|^# shellcheck shell='; }
in_parallel() { xargs -P "$(nproc)" "$@"; }

# Each tool prints FILE:LINE: MESSAGE [CHECK] for a finding.
format() { git ls-files '*.c' '*.h' | xargs clang-format --dry-run 2>&1; }
shellcheck_all() { scripts | xargs shellcheck -S warning -f gcc; }
tidy() {
    make -s compile_commands.json build/release/page_policy
    sources | in_parallel -n 4 clang-tidy --quiet -p . 2>/dev/null
}
cppcheck_all() {
    sources | xargs cppcheck -q -j "$(nproc)" --std=c11 --enable=warning,portability --inline-suppr -I. -D__x86_64__ -D__BYTE_ORDER__=1 \
        -D__ORDER_LITTLE_ENDIAN__=1 --template='{file}:{line}: {severity}: {message} [{id}]' 2>&1
}
analyzer() {
    make -s compile_commands.json build/release/page_policy
    sed -nE 's/.*"command": "(.*) -MMD -MP (.*) -c -o .* ([^ ]+\.c)"}.*/\1 \2 -fanalyzer -Wno-error -c -o \/dev\/null \3/p' compile_commands.json |
        sed 's/\\"/"/g' | grep -E ' (engine|tokenizer|convert)/[^ ]*$' | sort -u | in_parallel -d '\n' -n 1 sh -c 2>&1
}

# check NAME PROGRAM FUNCTION: runs it, leaves out what tests/lint_known.txt has, and counts.
check() {
    if ! command -v "$2" >/dev/null; then
        echo "skip - $1: $2 is not installed"
        return
    fi
    "$3" | awk 'NR == FNR { if (!/^#/ && NF > 2) known[$1 " " $2] = 1; next }
        match($0, /^[^ ]+:[0-9]+:.* \[[^]]+\]$/) {
            file = $0; sub(/:.*/, "", file); sub(/.*\//, "", file)
            name = $0; sub(/.* \[/, "", name); sub(/\]$/, "", name); sub(/,.*/, "", name)
            if ($0 !~ / note: / && !((file " " name) in known) && !seen[$0]++) print
        }' tests/lint_known.txt - >"$tmp/findings"
    cat "$tmp/findings"
    if [ -s "$tmp/findings" ]; then echo "FAIL - $1: $(wc -l <"$tmp/findings") findings"; failed=1; else echo "ok - $1"; fi
}

[ $# -gt 0 ] || set -- format shellcheck tidy cppcheck analyzer
for tool in "$@"; do
    case $tool in
    format) check format clang-format format ;;
    shellcheck) check shellcheck shellcheck shellcheck_all ;;
    tidy) check clang-tidy clang-tidy tidy ;;
    cppcheck) check cppcheck cppcheck cppcheck_all ;;
    analyzer) check "gcc -fanalyzer" gcc analyzer ;;
    *) echo "usage: tests/lint.sh [format|shellcheck|tidy|cppcheck|analyzer]..." >&2; exit 2 ;;
    esac
done
exit $failed
