#!/usr/bin/env bash
# The same checkpoint gives the same file with every compiler, level of optimization, instruction set and tier of
# kernels that this machine has.
# Usage: test_same_bytes.sh BUILD_FOLDER [HF_DIR...]; run from the top of the sources. QINS_TEST_DATA adds checkpoints.
# Slow: the sources are built four times.
set -u
case $(basename "$1") in
asan | tsan)
    echo "skip - same bytes: the release build's are compared"
    exit 0
    ;;
esac
programs=$1
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folders=("$@" tests/data/tiny/*/)
[ -n "${QINS_TEST_DATA:-}" ] && folders+=("$QINS_TEST_DATA"/models/*/)

sources=$(ls engine/base/*.c engine/kernels/*.c engine/format/*.c engine/model/*.c tokenizer/*.c convert/*.c | grep -v '/kernels_avx')

# build COMPILER FLAGS...: $work/program; the files of a tier get its flags on top.
build() {
    local file tier objects=()
    if [ "$(uname -m)" = x86_64 ]; then
        for file in engine/kernels/kernels_avx*.c; do
            objects+=("$work/$(basename "$file" .c).o")
            tier=(-mavx2 -mfma -mf16c)
            case $file in *avx512*) tier+=(-mavx512f -mavx512bw -mavx512vl) ;; esac
            case $file in *vnni*) tier+=(-mavx512vnni) ;; esac
            "$@" -std=c11 -ffp-contract=off -I. "${tier[@]}" -c -o "${objects[-1]}" "$file" || return 1
        done
    fi
    # shellcheck disable=SC2086
    "$@" -std=c11 -D_POSIX_C_SOURCE=200809L -ffp-contract=off -I. -o "$work/program" $sources "${objects[@]}" \
        -lcjson -lxxhash -lm -lpthread -ldl
}

# convert_all PROGRAM NAME: every folder, to every code, and the demo model to a mixture, into $work/NAME.*, and a list of their checksums.
convert_all() {
    local folder type i=0
    for folder in "${folders[@]}"; do
        [ -e "$folder/config.json" ] || continue
        for type in qins8 qins6 qins5 qins4; do
            "$1" "$folder" -o "$work/out.qins" --lm-head qins8 --type $type --quiet 2> /dev/null || return 1
            echo "$i $type $(cksum < "$work/out.qins")"
        done
        i=$((i + 1))
    done > "$work/$2"
    "$1" tests/data/demo -o "$work/out.qins" --plan-bits 6.5 --quiet 2> /dev/null || return 1
    echo "planned $(cksum < "$work/out.qins")" >> "$work/$2"
}

# check COMPILER FLAGS...: in a folder of its own, so that two can run at once.
check() {
    local reference=$work/reference
    work=$(mktemp -d -p "$work")
    if build "$@" 2> "$work/log" &&
        QINS_CPU=scalar convert_all "$work/program" scalar && cmp -s "$reference" "$work/scalar" &&
        QINS_CPU=auto convert_all "$work/program" best && cmp -s "$reference" "$work/best"; then
        echo "ok - same bytes with $*"
    else
        echo "FAIL - same bytes with $*"
        head -n 20 "$work/log"
    fi
}

if ! convert_all "$programs/qinsconvert" reference || [ ! -s "$work/reference" ]; then
    echo "skip - no checkpoint to convert (set QINS_TEST_DATA or name a folder)"
    exit 0
fi
fastest="-O3"
[ "$(uname -m)" = x86_64 ] && grep -q avx2 /proc/cpuinfo && grep -q fma /proc/cpuinfo && fastest="-O3 -mavx2 -mfma"
for compiler in gcc clang; do
    if ! command -v $compiler > /dev/null; then
        echo "skip - $compiler is not installed"
        continue
    fi
    check $compiler -O0 > "$work/slow" &
    # shellcheck disable=SC2086
    check $compiler $fastest > "$work/fast" &
    wait
    cat "$work/slow" "$work/fast"
done > "$work/results"
cat "$work/results"
! grep -q '^FAIL' "$work/results"
