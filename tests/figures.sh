#!/usr/bin/env bash
# Quality against size against speed: every code of a model, data-free and calibrated, and types planned for 4.6 and 5.7 bits,
# calibrated, compared with the checkpoint in FP32. A line of JSON for each file on stdout, progress on stderr.
# Usage: tests/figures.sh BUILD_DIR HF_DIR TEXT [CALIBRATION_TEXT]     (make figures)
#   TEXT: the text on which quality is measured, 12 windows of 512 tokens at most; a name in .i32 stands for token ids
#   CALIBRATION_TEXT: "default", the one that is built in, unless given
set -eu
build=$1 folder=$2 text=$3 calibration=${4:-default}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
case $text in *.i32) sample=(--ids-file "$text") ;; *) sample=(-f "$text" --parse-special) ;; esac

field() { grep -oE "\"$1\":[^,}]*" <<<"$2" | head -n 1 | cut -d: -f2; }

# Tokens a second, of a prompt of 512 and of 32 generated after it, and memory, where the file does not fit into the caches.
speed_of() {
    [ "$(stat -c %s "$1")" -lt $((64 << 20)) ] && return
    local result
    result=$("$build/qinsrun" bench -m "$1" -p 512 -n 32 -r 3 --json -q)
    printf ',"prompt_s":%.1f,"tok_s":%.1f,"peak_mib":%.0f' "$(field tok_s "${result%\"tg*}")" "$(field tok_s "${result#*\"tg}")" \
        "$(field peak_mib "$result")"
}

# measure NAME OPTIONS...: convert with the options and measure the file.
measure() {
    local name=$1 quality
    shift
    echo "$name ..." >&2
    if ! "$build/qinsconvert" "$folder" -o "$tmp/model.qins" "$@" 2>"$tmp/table"; then
        echo "not measured: $(tail -n 1 "$tmp/table")" >&2 # small matrices need more bits than planned here
        return
    fi
    quality=$("$build/qinsrun" compare -m "$tmp/model.qins" --ref "$folder" "${sample[@]}" -c 512 --max-windows 12 --json -q)
    printf '{"program":"qins","name":"%s","bits":%s,"file_bytes":%s,"kld":%.3e,"kld_se":%.1e,"same_top":%.4f%s}\n' "$name" \
        "$(awk '$1 == "layers" { print $5 }' "$tmp/table")" "$(stat -c %s "$tmp/model.qins")" "$(field mean "$quality")" \
        "$(field mean_se "$quality")" "$(field same_top "$quality")" "$(speed_of "$tmp/model.qins")"
}

for type in qins8 qins6 qins5 qins4; do
    measure $type --type $type
    measure "$type calibrated" --type $type --calibrate "$calibration"
done
for bits in 4.6 5.7; do
    measure planned --plan-bits $bits --calibrate "$calibration"
done
