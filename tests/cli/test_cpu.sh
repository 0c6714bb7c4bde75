#!/usr/bin/env bash
# No instruction that the processor lacks, on processors that qemu imitates. Usage: test_cpu.sh BUILD_DIR
. "$(dirname "$0")/report.sh"

# On the processor $1: qinsrun with the other arguments. qemu's own messages are removed. The sanitizers' shadow
# memory, terabytes of addresses, would take all the machine's memory under qemu: their builds fail at the limit.
on() (
    model=$1
    shift
    ulimit -v 8000000
    qemu-x86_64 -cpu "$model" "$build/qinsrun" "$@" 2> >(grep -v '^qemu-x86_64: warning' >&2)
)

if ! command -v qemu-x86_64 >/dev/null || [ "$(uname -m)" != x86_64 ]; then
    echo "skip - processors without a tier: there is no qemu-x86_64 (Debian: qemu-user), or this is not x86-64"
    exit 0
fi
if ! on Haswell --version >/dev/null 2>&1; then
    echo "skip - processors without a tier: qemu-x86_64 cannot run this build"
    exit 0
fi
"$build/qinsconvert" tests/data/demo -o "$tmp/demo.qins" --quiet || { fail "convert the demo" "exit code $?"; exit 1; }

answers() {
    local answer
    answer=$(on "$1" -m "$tmp/demo.qins" -p "What is the capital of France?" -t 1 2>&1)
    case $answer in
    *Paris*) ok "$1 answers" ;;
    *) fail "$1 answers" "$answer" ;;
    esac
}

# refuses MODEL TIER BEST
refuses() {
    local message code
    message=$(on "$1" -m "$tmp/demo.qins" -p a --cpu "$2" 2>&1)
    code=$?
    if [ $code -eq 2 ] && [ "$message" = "qinsrun: --cpu: this machine has no $2; its best is $3" ]; then
        ok "$1 refuses --cpu $2"
    else
        fail "$1 refuses --cpu $2" "exit code $code, $message"
    fi
}

answers Nehalem
refuses Nehalem avx2 scalar
refuses Nehalem avx512 scalar
answers Haswell
refuses Haswell avx512 avx2
exit $failed
