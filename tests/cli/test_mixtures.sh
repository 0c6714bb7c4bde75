#!/usr/bin/env bash
# Files whose matrices have different types: the choices of --plan-bits and --tensor, the programs' reports of them,
# and the refusals. Usage: test_mixtures.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert() { "$build/qinsconvert" tests/data/demo "$@"; }
kld() { "$run" compare -m "$1" --ref tests/data/demo -f tests/data/demo/held_out.txt -c 96 --max-windows 8 -q --json | grep -oE '"mean": *[0-9.e-]+' | head -n 1 | grep -oE '[0-9.e-]+$'; }
less() { if awk "BEGIN {exit !($2 < $3)}"; then ok "$1"; else fail "$1" "$2 is not below $3"; fi; }

convert -o "$tmp/qins4.qins" --type qins4 --quiet
convert -o "$tmp/planned.qins" --plan-bits 6.2 -t 1 2>"$tmp/table"
equal "a planned conversion" 0 $?
less "it takes no more bits than were given" "$(awk '$1 == "layers" {print $5}' "$tmp/table")" 6.2001
less "and nearly all of them" 6 "$(awk '$1 == "layers" {print $5}' "$tmp/table")"
equal "the table tells the layers of each type" 1 "$(grep -cE '^  qkv: qins5 in layers [0-9]' "$tmp/table")"
convert -o "$tmp/again.qins" --plan-bits 6.2 -t 3 --quiet
cmp -s "$tmp/planned.qins" "$tmp/again.qins" && ok "the same choice with 3 threads" || fail "the same choice with 3 threads" "the files differ"
expect "the file is intact" 0 '' "$run" verify -m "$tmp/planned.qins"
less "it is closer to the checkpoint than qins4" "$(kld "$tmp/planned.qins")" "$(kld "$tmp/qins4.qins")"
expect "it answers" 0 '' "$run" -m "$tmp/planned.qins" -p "$question" -n 8
"$run" info -m "$tmp/planned.qins" >"$tmp/info"
equal "info lists a kind's types line by line" "qins4 qins5" "$(awk '$1 == "qkv" {print $3}' "$tmp/info" | sort | xargs)"
convert --dry-run --plan-bits 6.2 >"$tmp/dry"
equal "a dry run makes the same choice" "$(grep ' in layers ' "$tmp/table")" "$(grep ' in layers ' "$tmp/dry")"
equal "a dry run tells every tensor's expected error" 33 "$(grep -cE 'bytes  error [0-9.]+e' "$tmp/dry")"

convert -o "$tmp/rules.qins" --type qins4 --tensor '*.layers.0.*=qins8' --tensor down=qins6 --lm-head qins6 --quiet
equal "rules for single tensors" "1 qins8 4 qins4" "$("$run" info -m "$tmp/rules.qins" | awk '$1 == "qkv" {print $2, $3}' | sort | xargs)"
equal "the last rule that fits counts" "5 qins6" "$("$run" info -m "$tmp/rules.qins" | awk '$1 == "down" {print $2, $3}')"
convert -o "$tmp/cal.qins" --plan-bits 6.2 --calibrate tests/data/demo/calibration.txt --calibrate-tokens 1024 --quiet
expect "planned and calibrated by one text" 0 '' "$run" verify -m "$tmp/cal.qins"

# --- embeddings ---
convert -o "$tmp/embedding.qins" --type qins4 --embedding qins8 --quiet
equal "a coded embedding" "1 qins8" "$("$run" info -m "$tmp/embedding.qins" | awk '$1 == "embedding" {print $2, $3}')"
less "it takes fewer bytes" "$(stat -c %s "$tmp/embedding.qins")" "$(stat -c %s "$tmp/qins4.qins")"
less "and costs little" "$(kld "$tmp/embedding.qins")" "$(kld "$tmp/qins4.qins" | awk '{print 1.05 * $1}')"
convert -o "$tmp/cal.qins" --type qins4 --embedding qins6 --calibrate tests/data/demo/calibration.txt --calibrate-tokens 1024 --quiet
less "calibration knows of it" "$(kld "$tmp/cal.qins")" "$(kld "$tmp/embedding.qins")"
tied() { "$build/qinsconvert" tests/data/tiny/tied-bf16 -o "$tmp/tied.qins" --quiet "$@" && "$run" info -m "$tmp/tied.qins" | awk '$1 == "embedding" {print $3}'; }
equal "a tied head is coded as a head is" "bf16 qins8 qins6" "$(tied --type qins8) $(tied --type qins6) $(tied --type qins4)"
expect "but cannot have two types" 2 'it cannot be qins8 .--embedding. and bf16 .--lm-head.' \
    "$build/qinsconvert" tests/data/tiny/tied-bf16 -o "$tmp/two.qins" --embedding qins8 --lm-head bf16
equal "and is told the same ways" "qins8 qins8 bf16" "$(tied --type qins4 --lm-head qins8) $(tied --type qins4 --embedding qins8) $(tied --type qins4 --tensor embedding=bf16)"
echo "1 2 3" >"$tmp/ids"
expect "a tied file runs" 0 "" "$run" score -m "$tmp/tied.qins" --ids "$tmp/ids"

expect "type and budget" 2 'exclude each other' convert --dry-run --plan-bits 6 --type qins4
expect "no number" 2 'takes a number above 0' convert --dry-run --plan-bits six
expect "not a number" 2 'takes a number above 0' convert --dry-run --plan-bits nan
expect "too few bits" 2 'take at least 5\.630 bits' convert --dry-run --plan-bits 4
expect "too many bits" 2 'convert with --type qins8' convert --dry-run --plan-bits 12
expect "no type" 2 'takes PATTERN=TYPE' convert --dry-run --tensor qkv
expect "an unknown type" 2 'the type must be qins8' convert --dry-run --tensor qkv=q4_k
expect "a pattern for nothing" 2 'no tensor matches' convert --dry-run --tensor 'layers.0=qins8'
expect "a coded norm" 2 'never coded' convert --dry-run --tensor 'norm=qins8'
cp -r tests/data/demo "$tmp/bare" && rm "$tmp/bare/tokenizer.json"
expect "a budget without a tokenizer" 3 '--plan-bits needs a tokenizer.json' "$build/qinsconvert" "$tmp/bare" --dry-run --plan-bits 6
exit $failed
