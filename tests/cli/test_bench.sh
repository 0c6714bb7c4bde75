#!/usr/bin/env bash
# qinsrun bench on the demo model with tiny sizes: the report's form and its refusals. No figure is judged: speed is no
# test. Usage: test_bench.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
bench() { "$run" bench -m "$demo" "$@" 2>"$tmp/err"; }

# matches NAME REGEX TEXT: the whole text is one match.
matches() { if grep -qxE -- "$2" <<<"$3"; then ok "$1"; else fail "$1" "'$3' does not match '$2'"; fi; }
refused() { # NAME TEXT OPTION...
    local name=$1 text=$2
    shift 2
    bench "$@" >"$tmp/out"
    if [ $? -eq 2 ] && grep -q -- "$text" "$tmp/err"; then ok "$name"; else fail "$name" "$(cat "$tmp/err")"; fi
}

number='[0-9.e+-]+'
rates="\"tok_s\":$number,\"tok_s_min\":$number,\"tok_s_max\":$number"
prompt="\"matmul\":\"exact\",$rates,\"gflops\":$number,\"share\":$number"
generation="$rates,\"gbs\":$number,\"share\":$number"
json=$(bench -p 8 -n 4 -d 0,40 -r 2 -t 2 --json)
matches "one line of JSON" '\{"machine":\{.*\},"results":\[.*\],"peak_mib":.*\}' "$json"
baseline() { echo "\"$1\":$number,\"$1_min\":$number,\"$1_max\":$number"; }
matches "the machine" "\{$(baseline read_gbs),$(baseline sgemm_gflops),$(baseline integer_gops),\"threads\":2,\"cpu\":\"[a-z0-9]+\",\"blas\":\"[^\"]+\"\}" \
    "$(sed -E 's/.*"machine":(\{[^}]*\}).*/\1/' <<<"$json")"
results=$(sed -E 's/.*"results":\[(.*)\].*/\1/; s/\},\{/}\n{/g' <<<"$json")
row() { sed -n "$1p" <<<"$results"; }
matches "a prompt" "\{\"test\":\"pp8\",\"depth\":0,$prompt\}" "$(row 1)"
matches "generation" "\{\"test\":\"tg4\",\"depth\":0,$generation\}" "$(row 2)"
matches "a prompt after others" "\{\"test\":\"pp8\",\"depth\":40,$prompt\}" "$(row 3)"
matches "generation after others" "\{\"test\":\"tg4\",\"depth\":40,$generation(,\"kv_gbs\":$number,\"kv_share\":$number)?\}" "$(row 4)" # none if the noise is larger
matches "memory and times" "\"peak_mib\":$number,\"open_ms\":$number,\"first_token_ms\":$number,\"first_token_overhead_ms\":$number,\"first_pass_ms\":$number,\"second_pass_ms\":$number\}" \
    "$(sed -E 's/.*\],//' <<<"$json")"

matches "small caches" "\{\"test\":\"tg2\",\"depth\":40,$generation\}" \
    "$(bench -p 0 -n 2 -d 40 -r 1 --kv-k qins8 --kv-v qins4 --json | sed -E 's/.*"results":\[(.*)\].*/\1/')"

mkdir "$tmp/longer"
cp tests/data/demo/* "$tmp/longer"
sed -i 's/"max_position_embeddings": 512/"max_position_embeddings": 2048/' "$tmp/longer/config.json"
json=$("$build/qinsrun" bench -m "$tmp/longer" -p 1100 -n 0 -r 1 --json 2>"$tmp/err")
matches "a prompt of several chunks" "\{\"test\":\"pp1100\",\"depth\":0,$prompt,\"end_to_start\":$number\}" \
    "$(sed -E 's/.*"results":\[(.*)\].*/\1/' <<<"$json")"

table=$(bench -p 0 -n 2 -r 1)
matches "the table" '\| tg2 \| [0-9.]+ \| [0-9.]+ to [0-9.]+ \| [0-9.]+ GB/s \| [0-9]+ % \|' "$(grep tg2 <<<"$table")"
matches "-p 0 leaves the prompt out" 0 "$(grep -c pp <<<"$table")"
refused "nothing to measure" 'nothing to measure' -p 0 -n 0
refused "a text as a prompt" '-p takes up to 16 whole numbers' -p hello
refused "a list that ends in a comma" '-d takes up to 16 whole numbers' -d 1,
refused "no repeats" '-r takes a whole number' -r 0
"$build/qinsrun" -m "$demo" -p hello -d 3 >/dev/null 2>"$tmp/err"
matches "-d belongs to bench" 2 $?
bench -p 0 -n 2 -d 1000000 >/dev/null
matches "more than the model's context" 4 $?
exit $failed
