#!/usr/bin/env bash
# The validation of a model: the differences between its qins8 form and its checkpoint, in one table, and a plot of the KL
# divergence against the position. Exit code 1 when a row misses its target.
# Usage: tests/validate.sh BUILD_DIR HF_DIR TEXT [PLOT.svg]     (make validate)
#   TEXT: text that the model did not see in training, markers such as <|user|> included; 5,000 tokens or more
set -eu
build=$1 folder=$2 text=$3 plot=${4:-}
run=$build/qinsrun
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
missed=0
question="Tell me a story."

# row NAME VALUE TARGET VERDICT: a line of the table. VERDICT: an awk expression; empty: for information.
row() {
    local verdict=
    if [ -n "$4" ]; then
        if awk "BEGIN { exit !($4) }"; then verdict=pass; else verdict=MISSED missed=1; fi
    fi
    printf '| %s | %s | %s | %s |\n' "$1" "$2" "$3" "$verdict"
}
field() { grep -oE "\"$1\":[^,}]*" <<<"$2" | head -n 1 | cut -d: -f2; }
number() { field "$1" "$2" | awk '{ printf "%.3g", $1 }'; }
percent() { awk -v x="$1" 'BEGIN { printf "%.2f %%", 100 * x }'; }
compare() { "$run" compare -m "$1" --ref "$2" -f "$3" --parse-special --json -q "${@:4}"; }

"$build/qinsconvert" "$folder" -o "$tmp/model.qins" --quiet
model=$tmp/model.qins
info=$("$run" info -m "$model" --json)

# --- figures compared with the checkpoint in FP32 ---
greedy=$(compare "$model" "$folder" "$text" -c 256 --greedy 128 --prompts 8)
steps=$(grep -oE '"tokens":[0-9]+' <<<"$greedy" | awk -F: '{ n += $2 } END { print n }')
forced=$(field teacher_forced "$greedy") ratio=$(field ppl_ratio "$greedy")
echo "| measurement | value | target | |"
echo "| --- | --- | --- | --- |"
row "same greedy choice, $steps steps given the reference's text" "$(percent "$forced")" ">= 99 %" "$forced >= 0.99"
row "same greedy choice, free-running from 8 prompts" "$(percent "$(field free_running "$greedy")"), $(field same_texts "$greedy") of 8 texts identical to their end" "" ""
row "mean KL divergence, nats" "$(number mean "$greedy")" "" ""
row "change of perplexity, $(number ref_ppl "$greedy") in FP32" "$(percent "$(awk -v r="$ratio" 'BEGIN { print r - 1 }')")" "within 0.5 %" "$ratio < 1.005 && $ratio > 0.995"

# --- sampling: 2000 first tokens at temperature 0.7, compared with the reference's probabilities ---
draws=2000
{ echo "$question"; for _ in $(seq 2 $draws); do echo /regen; done; } |
    "$run" chat -m "$model" -n 1 --temp 0.7 -s 1 --ids-out -q >"$tmp/drawn"
vocabulary=$(field vocab_size "$info")
reference=$("$run" -m "$folder" --type f32 --kv-k f32 --kv-v f32 -p "$question" -n 1 --json --logprobs "$vocabulary" -q)
grep -oE '"top":\[.*' <<<"$reference" | grep -oE '"id":[0-9]+,"logprob":[^}]*' | tr -c '0-9.e\n-' ' ' >"$tmp/expected"
# Pearson's statistic over tokens that are expected at least 5 times, the others as one; its 0.1 % quantile by Wilson and
# Hilferty.
sampled=$(awk -v n=$draws '
    NR == FNR { drawn[$1]++; next }
    { p[$1] = exp($2 / 0.7); total += p[$1] }
    END {
        for (id in p) {
            e = n * p[id] / total
            if (e < 5) { rest_e += e; rest += drawn[id] } else { cells++; x += (drawn[id] - e) ^ 2 / e }
        }
        if (rest_e >= 5) { cells++; x += (rest - rest_e) ^ 2 / rest_e }
        df = cells - 1; a = 2 / (9 * df)
        printf "%.1f %d %.1f", x, df, df * (1 - a + 3.09 * sqrt(a)) ^ 3
    }' "$tmp/drawn" "$tmp/expected")
read -r statistic df quantile <<<"$sampled"
row "chi-square of $draws tokens drawn at temperature 0.7, $df degrees of freedom" "$statistic" "<= $quantile (0.1 %)" "$statistic <= $quantile"

# --- a conversation, turn by turn and as a whole ---
ids_of() { "$run" tokenize -m "$model" -f - ; }
printf '%s\nWhat is the capital of France?\nThank you.\n' "$question" | "$run" chat -m "$model" -n 60 --ids-out -q >"$tmp/chat"
end=$(printf '<|end|>' | ids_of)
conversation='' same=0
while read -r message <&3 && read -r reply <&4; do
    conversation+=" $(printf '<|user|>\n%s<|end|>\n<|assistant|>\n' "$message" | ids_of)"
    whole=$(echo "$conversation" | "$run" -m "$model" --ids - -n 60 --ids-out -q)
    [ "$whole" = "$reply" ] && same=$((same + 1))
    conversation+=" $reply $end"
done 3< <(printf '%s\nWhat is the capital of France?\nThank you.\n' "$question") 4<"$tmp/chat"
row "chat turns identical to a run over the whole conversation" "$same of 3" "3" "$same == 3"

# --- long contexts: the same weights with LongRoPE's switch at 4096 tokens ---
mkdir "$tmp/long"
cp "$folder"/* "$tmp/long"
sed -i -E 's/("original_max_position_embeddings": )[0-9]+/\14096/; s/("max_position_embeddings": )[0-9]+/\116384/' "$tmp/long/config.json"
"$build/qinsconvert" "$tmp/long" -o "$tmp/long.qins" --quiet
for _ in 1 2 3 4; do cat "$text"; done >"$tmp/long_text"
short=$(compare "$tmp/long.qins" "$tmp/long" "$tmp/long_text" -c 4096 --max-windows 1)
long=$(compare "$tmp/long.qins" "$tmp/long" "$tmp/long_text" -c 12288 --max-windows 1)
across=$(compare "$tmp/long.qins" "$tmp/long" "$tmp/long_text" -c 8128 --max-windows 1 --greedy 64 --prompts 1)
row "KL divergence over 4,096 tokens (short factors)" "$(number mean "$short")" "" ""
row "KL divergence over 12,288 tokens (long factors), compared with the row above" "$(number mean "$long")" "at most twice" "$(field mean "$long") <= 2 * $(field mean "$short")"
row "same greedy choice across the switch, 64 steps from position 4,064" "$(percent "$(field teacher_forced "$across")")" ">= 95 %" "$(field teacher_forced "$across") >= 0.95"
long_run=$("$run" -m "$tmp/long.qins" -p "$question" --temp 1.2 -s 1 -n 10000 --json --logprobs 1 -q)
generated=$(field generated_tokens "$long_run")
for seed in $(seq 2 2000); do
    [ "$generated" -ge 10000 ] && break
    more=$("$run" -m "$tmp/long.qins" -p "$question" --temp 1.2 -s "$seed" -n $((10000 - generated)) --json --logprobs 1 -q)
    generated=$((generated + $(field generated_tokens "$more")))
    long_run+=$more
done
not_numbers=$(grep -oiE '"logprob":(null|-?nan|-?inf)' <<<"$long_run" | wc -l)
row "NaN or infinite log-probabilities in $generated generated tokens" "$not_numbers" "0" "$not_numbers == 0"

# --- size and speed ---
bits=$("$run" info -m "$model" | awk '$3 == "qins8" { bytes += $4; weights += $4 / $5 } END { printf "%.2f", bytes / weights }')
whole=$(($(field hidden_dim "$info") % 64 + $(field ffn_dim "$info") % 64))
row "bits per coded weight, instead of 16$([ "$whole" -eq 0 ] || echo ' (columns are padded to multiples of 64)')" "$bits" \
    "$([ "$whole" -ne 0 ] || echo '<= 8.8: 45 % smaller')" "$([ "$whole" -ne 0 ] || echo "$bits <= 8.8")"
cache=$(field kv_token_bytes "$("$run" -m "$model" --plan --json)")
half=$(field kv_token_bytes "$("$run" -m "$model" --plan --json --kv-v f16)")
row "bytes of keys and values per token, $cache instead of $half in FP16" "$(percent "$(awk -v a="$cache" -v b="$half" 'BEGIN { print 1 - a / b }')") smaller" "" ""
speed() { field tok_s "$("$run" bench -m "$1" -p 0 -n 32 -r 3 --json -q)"; }
if [ "$(stat -c %s "$model")" -gt $((256 << 20)) ]; then
    own=$(speed "$model")
    for type in bf16 f32; do
        "$build/qinsconvert" "$folder" -o "$tmp/$type.qins" --type $type --quiet
        times=$(awk -v a="$own" -v b="$(speed "$tmp/$type.qins")" 'BEGIN { printf "%.2f", a / b }')
        rm "$tmp/$type.qins"
        judged=$([ $type = bf16 ] && echo ">= 1.7" || true)
        row "generation speed, compared with weights in $type" "$times" "$judged" "${judged:+$times >= 1.7}"
    done
else
    row "generation speed, compared with weights in bf16 and f32" "not measured: the model fits into the caches" "" ""
fi

# --- the plot: mean KL divergence in 64 ranges of positions, both windows ---
if [ -n "$plot" ]; then
    for window in "$short" "$long"; do
        echo "$(field step "$window") $(grep -oE '"kld_by_position":\{[^]]*' <<<"$window" | sed 's/.*\[//; s/,/ /g')"
    done | awk '
        { n = NF - 1; per = int((n + 63) / 64)
          for (i = 0; i < n; i++) { sum[NR, int(i / per)] += $(i + 2); count[NR, int(i / per)]++ }
          for (b = 0; (NR, b) in sum; b++) {
              y = sum[NR, b] / count[NR, b]; points[NR, b] = y; at[NR, b] = (b + 0.5) * per * $1
              if (y > top) top = y }
          bins[NR] = b; if (n * $1 > end) end = n * $1 }
        function px(x) { return sprintf("%.1f", 70 + 560 * x / end) }
        function py(y) { return sprintf("%.1f", 300 - 260 * y / top) }
        END {
            print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 350\" font-family=\"sans-serif\" font-size=\"12\">"
            print "<rect width=\"660\" height=\"350\" fill=\"white\"/>"
            for (i = 0; i <= 4; i++) {
                printf "<line x1=\"70\" x2=\"630\" y1=\"%s\" y2=\"%s\" stroke=\"#ddd\"/>", py(top * i / 4), py(top * i / 4)
                printf "<text x=\"64\" y=\"%s\" text-anchor=\"end\">%.1e</text>\n", py(top * i / 4) + 4, top * i / 4
                printf "<text x=\"%s\" y=\"318\" text-anchor=\"middle\">%d</text>\n", px(end * i / 4), end * i / 4 }
            split("#1f77b4 #d62728", colour, " ")
            split("window of 4,096 (short factors)|window of 12,288 (long factors)", name, "|")
            for (w = 1; w <= 2; w++) {
                printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"", colour[w]
                for (b = 0; b < bins[w]; b++) printf "%s,%s ", px(at[w, b]), py(points[w, b])
                printf "\"/>\n<text x=\"630\" y=\"%d\" fill=\"%s\" text-anchor=\"end\">%s</text>\n", 20 + 16 * w, colour[w], name[w] }
            print "<text x=\"350\" y=\"340\" text-anchor=\"middle\">position</text>"
            print "<text x=\"10\" y=\"20\">mean KL divergence from the checkpoint, nats</text>"
            print "</svg>"
        }' >"$plot"
fi
exit $missed
