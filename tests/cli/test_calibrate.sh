#!/usr/bin/env bash
# qinsconvert --calibrate: the same bytes for any number of threads, its record in the file, and its refusals. Its
# benefit is measured in tests/test_encoder_quality.c. Usage: test_calibrate.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert() { "$build/qinsconvert" tests/data/demo --quiet "$@"; }
text=tests/data/demo/calibration.txt

convert -o "$tmp/one.qins" --calibrate $text --calibrate-tokens 2048 -t 1 --lm-head qins8 2>"$tmp/err"
equal "calibrated conversion" 0 $?
for t in 2 3; do
    convert -o "$tmp/more.qins" --calibrate $text --calibrate-tokens 2048 -t $t --lm-head qins8
    cmp -s "$tmp/one.qins" "$tmp/more.qins" && ok "the same bytes with $t threads" || fail "the same bytes with $t threads" "they differ"
done
cmp -s "$tmp/one.qins" "$demo" && fail "other codes than without" "the files are equal" || ok "other codes than without"
expect "the file is intact" 0 '' "$run" verify -m "$tmp/one.qins"
equal "the file names the text" "calibrated with 2048 tokens of calibration.txt by feedback" "$("$run" info -m "$tmp/one.qins" | grep calibrated)"
convert -o "$tmp/more.qins" --calibrate $text
equal "4096 tokens by default" "calibrated with 4096 tokens of calibration.txt by feedback" "$("$run" info -m "$tmp/more.qins" | grep calibrated)"
table() { "$build/qinsconvert" tests/data/demo -o "$tmp/more.qins" "$@" 2>&1; }
case $(table --calibrate $text --calibrate-tokens 512) in
*"calibrated: "*"errors of the weights themselves larger"*) ok "the table explains the larger error" ;;
*) fail "the table explains the larger error" "$(table --calibrate $text --calibrate-tokens 512)" ;;
esac
case $(table) in
*"calibrated: "*) fail "the table of other conversions does not" "$(table)" ;;
*"bits/weight counts all bytes of the tensors, scales and padding included"*) ok "the table says what its bits count" ;;
*) fail "the table says what its bits count" "$(table)" ;;
esac
equal "a file without calibration names none" 0 "$("$run" info -m "$demo" --json | grep -c calibration)"

cp $text "$tmp/"$'caf\xe9 \xc3\xa9.txt'
convert -o "$tmp/more.qins" --calibrate "$tmp/"$'caf\xe9 \xc3\xa9.txt' --calibrate-tokens 512
equal "a name that is not UTF-8" $'calibrated with 512 tokens of caf? \xc3\xa9.txt by feedback' "$("$run" info -m "$tmp/more.qins" | grep -a calibrated)"

echo "Too short." >"$tmp/short"
expect "a text that is too short" 2 'must have at least [0-9]+ tokens, it has' convert -o "$tmp/x.qins" --calibrate "$tmp/short"
expect "a text that is not there" 1 'missing' convert -o "$tmp/x.qins" --calibrate "$tmp/missing"
expect "calibration of types without codes" 2 'only for coded weights' convert -o "$tmp/x.qins" --calibrate $text --type bf16
convert -o "$tmp/search.qins" --calibrate default --calibrate-method search --calibrate-tokens 2048 -t 1
equal "the built-in text, searched" "calibrated with 2048 tokens of default by search" "$("$run" info -m "$tmp/search.qins" | grep calibrated)"
convert -o "$tmp/more.qins" --calibrate default --calibrate-method search --calibrate-tokens 2048 -t 3
cmp -s "$tmp/search.qins" "$tmp/more.qins" && ok "the same bytes by search" || fail "the same bytes by search" "they differ"
for type in qins6 qins5 qins4; do
    convert -o "$tmp/more.qins" --type $type --calibrate default --calibrate-tokens 1024
    expect "calibrated $type is intact" 0 '' "$run" verify -m "$tmp/more.qins"
done
expect "a method for no text" 2 "says how to use --calibrate's text" convert -o "$tmp/x.qins" --calibrate-method search
expect "tokens of no text" 2 "says how much of --calibrate's text" convert -o "$tmp/x.qins" --calibrate-tokens 2048
mkdir "$tmp/no_tokenizer" && cp tests/data/demo/{config.json,generation_config.json,model.safetensors} "$tmp/no_tokenizer"
expect "a model without a tokenizer" 3 'needs a tokenizer.json' "$build/qinsconvert" "$tmp/no_tokenizer" -o "$tmp/x.qins" --calibrate $text

# Interrupted in the middle of it, which takes a second of processor time; once more where the signal came too late.
for _ in $(seq 5); do
    "$build/qinsconvert" tests/data/demo -o "$tmp/stopped.qins" --calibrate $text --calibrate-tokens 16384 -t 1 2>"$tmp/err" &
    pid=$!
    while ticks=$(cut -d' ' -f14 /proc/$pid/stat 2>/dev/null) && [ "$ticks" -lt 10 ]; do sleep 0.01; done
    kill -TERM $pid 2>/dev/null # in the background of a script SIGINT is ignored, and stays so
    wait $pid
    status=$?
    [ $status = 0 ] && ! grep -q '^qinsconvert: stopping' "$tmp/err" || break
    rm "$tmp/stopped.qins"
done
equal "an interruption: exit code, answer, files left" "130 1 0" \
    "$status $(grep -c '^qinsconvert: stopping' "$tmp/err") $(find "$tmp" -name 'stopped.qins*' | wc -l)"
exit $failed
