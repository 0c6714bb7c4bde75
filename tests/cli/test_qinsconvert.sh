#!/usr/bin/env bash
# qinsconvert as a user sees it: messages and exit codes of every failure, and that no failure leaves a file behind.
# Usage: test_qinsconvert.sh BUILD_FOLDER. Checkpoints are made here; QINS_TEST_DATA adds a trained one.
set -u
program=$(cd "$1" && pwd)/qinsconvert
work=$(mktemp -d)
trap 'umount "$work/full" 2> /dev/null; rm -rf "$work"' EXIT
cd "$work" || exit 1
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); echo "ok - $1"; }
fail() { failed=$((failed + 1)); echo "FAIL - $1"; sed 's/^/    /' err 2>/dev/null | head -n 20; }
skip() { skipped=$((skipped + 1)); echo "skip - $1"; }
check() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1: \"$2\" instead of \"$3\""; fi; }

# expect NAME CODE TEXT ARGUMENTS...: exit code, text on stderr, and nothing unfinished left behind.
expect() {
    local name=$1 code=$2 text=$3 found
    shift 3
    "$program" "$@" > out 2> err
    found=$?
    if [ $found -ne "$code" ]; then fail "$name: exit code $found instead of $code"; return; fi
    if [ -n "$text" ] && ! grep -qF -- "$text" err; then fail "$name: no \"$text\" on stderr"; return; fi
    if [ "$code" -ne 0 ] && [ -n "$(find . -name '*.qins*')" ]; then fail "$name: left $(find . -name '*.qins*')"; return; fi
    ok "$name"
}

# make_model FOLDER: one layer of BF16 zeros and ones (hidden 16, ffn 24, 2 heads, vocabulary 32), no tokenizer.
make_model() {
    mkdir -p "$1"
    cat > "$1/config.json" << 'EOF'
{"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "vocab_size": 32, "hidden_size": 16,
 "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "hidden_act": "silu",
 "max_position_embeddings": 64, "sliding_window": null, "tie_word_embeddings": false, "eos_token_id": 2}
EOF
    write_weights "$1/model.safetensors" "model.embed_tokens.weight 32 16" "model.layers.0.input_layernorm.weight 16" \
        "model.layers.0.self_attn.qkv_proj.weight 48 16" "model.layers.0.self_attn.o_proj.weight 16 16" \
        "model.layers.0.post_attention_layernorm.weight 16" "model.layers.0.mlp.gate_up_proj.weight 48 16" \
        "model.layers.0.mlp.down_proj.weight 16 24" "model.norm.weight 16" "lm_head.weight 32 16"
}

# write_weights FILE "NAME ROWS [COLS]"...
write_weights() {
    local file=$1 header="{" offset=0 entry name rows cols bytes length i
    shift
    for entry in "$@"; do
        read -r name rows cols <<< "$entry"
        bytes=$((rows * ${cols:-1} * 2))
        [ $offset -gt 0 ] && header+=","
        header+="\"$name\":{\"dtype\":\"BF16\",\"shape\":[$rows${cols:+,$cols}],\"data_offsets\":[$offset,$((offset + bytes))]}"
        offset=$((offset + bytes))
    done
    header+="}"
    length=${#header}
    for i in 0 1 2 3 4 5 6 7; do printf "\\x$(printf %02x $((length >> (8 * i) & 255)))"; done > "$file"
    printf '%s' "$header" >> "$file"
    head -c $offset /dev/zero | tr '\0' '\77' >> "$file" # 0x3F3F: 0.746
}

make_model good
expect "no arguments" 2 "no folder was given"
expect "no output" 2 "use -o MODEL.qins" good
expect "two folders" 2 "more than one folder" good good -o x.qins
expect "unknown option" 2 "--threds is not an option; did you mean --threads? (see qinsconvert --help)" good --threds 2 -o x.qins
expect "bad type" 2 "--type takes qins8|qins6|qins5|qins4|bf16|f32, not \"q4\"" good -o x.qins --type q4
expect "f16 is no type to ask for" 2 "--type takes" good -o x.qins --type f16
expect "bad head type" 2 "--lm-head takes bf16|qins8|qins6" good -o x.qins --lm-head f32
for n in 0 -1 x 1025 99999999999999999999 ""; do
    expect "threads \"$n\"" 2 "-t takes a whole number from 1 to 1024" good -o x.qins -t "$n"
done
expect "output is a folder" 2 "is a folder" good -o good
expect "output ends in a slash" 2 "is a folder" good -o new/
expect "output is a source" 2 "is a file of the checkpoint" good -o good/config.json
ln -s good/model.safetensors link.safetensors
expect "output is a link to a source" 2 "is a file of the checkpoint" good -o link.safetensors
rm link.safetensors
mkfifo pipe
expect "output is a pipe" 2 "is not a regular file" good -o pipe
expect "output in no folder" 1 "cannot create a file in the folder nowhere" good -o nowhere/x.qins
expect "no such folder" 3 "cannot open the folder missing" missing -o x.qins
expect "a file as the folder" 3 "this is not a .qins file" good/config.json -o x.qins
mkdir empty
expect "empty folder" 3 "has no config.json" empty -o x.qins
cp good/config.json empty/
expect "no weights" 3 "has neither model.safetensors nor" empty -o x.qins
touch empty/pytorch_model.bin
expect "pytorch_model.bin only" 3 "only safetensors are read" empty -o x.qins

# damaged NAME TEXT COMMAND: the good model with one change, refused with exit code 3.
damaged() {
    rm -rf bad
    cp -r good bad
    (cd bad && eval "$3")
    expect "$1" 3 "$2" bad -o x.qins
}
damaged "broken JSON" "bad/config.json: not valid JSON at byte" 'echo "{\"a\":" > config.json'
damaged "other model" "Qwen2ForCausalLM" 'sed -i "s/Phi3F/Qwen2F/; s/phi3/qwen2/" config.json'
damaged "sliding window" "\"sliding_window\" must be a positive integer or null" 'sed -i "s/window\": null/window\": -1/" config.json'
damaged "quantized" "\"quantization_config\"" 'sed -i "s/^{/{\"quantization_config\": {\"bits\": 4},/" config.json'
damaged "rope type" "has the type \"linear\"" 'sed -i "s/^{/{\"rope_scaling\": {\"type\": \"linear\"},/" config.json'
for file in config.json model.safetensors; do
    damaged "git-lfs pointer for $file" "$file is a git-lfs pointer" \
        "printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n' > $file"
    damaged "web page for $file" "$file is a web page" "echo '<!DOCTYPE html>' > $file"
    damaged "empty $file" "$file is empty" ": > $file"
done
damaged "cut weights" "the file was cut off" 'truncate -s -1 model.safetensors'
damaged "appended weights" "the tensors end at byte" 'echo >> model.safetensors'
damaged "other file as weights" "this is not a safetensors file" 'head -c 100 /dev/zero > model.safetensors'
damaged "missing tensor" "tensor model.norm.weight: missing" 'sed -i "s/model.norm.w/model.worm.w/" model.safetensors'
damaged "unknown tensor" "tensor model.worm.weight: not part of this model" \
    'sed -i "s/model.norm.w/model.worm.w/" model.safetensors'
damaged "shapes" "tensor model.layers.0.mlp.down_proj.weight: shape [16, 24] found, [16, 28] expected" \
    'sed -i "s/_size\": 24/_size\": 28/" config.json'
check "every misshaped tensor is named" "$(grep -c 'found,.*expected' err)" 2
damaged "NaN" "tensor model.embed_tokens.weight: row 0, column 0: the value is NaN" \
    'sed -i "s/}??/}\xff\xff/" model.safetensors'
damaged "shards without index" "not the model.safetensors.index.json" \
    'mv model.safetensors model-00001-of-00002.safetensors'
damaged "missing shards" "file b.safetensors: missing" \
    'rm model.safetensors; echo "{\"weight_map\":{\"x\":\"a.safetensors\",\"y\":\"b.safetensors\"}}" > model.safetensors.index.json'
check "every missing shard is named" "$(grep -c 'safetensors: missing' err)" 2
damaged "shard outside the folder" "must be a plain file name" \
    'rm model.safetensors; echo "{\"weight_map\":{\"x\":\"/etc/passwd\"}}" > model.safetensors.index.json'

expect "help" 0 "" --help
grep -q -- "--dry-run" out && ok "help lists the options" || fail "help lists the options"
expect "version" 0 "" --version
check "version" "$(cut -d' ' -f1 out)" qinsconvert
expect "dry run" 0 "" good --dry-run
check "dry run has a line per tensor" "$(grep -c 'BF16' out)" 9
check "dry run tells the totals" "$(grep -c '^total: 9 tensors, 3248 weights, 6496 bytes' out)" 1
if [ -e /dev/full ]; then
    "$program" good --dry-run > /dev/full 2> err
    check "full standard output" "$?" 1
fi

expect "conversion" 0 "no tokenizer.json" good -o model.qins
grep -q "rel. error" err && ok "conversion ends with a table" || fail "conversion ends with a table"
check "permissions are those of any new file" "$(stat -c %a model.qins)" "$(touch plain && stat -c %a plain)"
cp model.qins first.qins
for options in "-t 1" "-t 3" "--quiet"; do
    # shellcheck disable=SC2086
    "$program" good -o model.qins $options 2> err # replaces the file
    cmp -s model.qins first.qins && ok "same bytes with $options" || fail "same bytes with $options"
done
check "quiet is quiet but for warnings" "$(grep -vc 'no tokenizer.json' err)" 0
cp -r good elsewhere
"$program" "$PWD/elsewhere/" -o other.qins --quiet 2> /dev/null
cmp -s other.qins first.qins && ok "same bytes from another folder" || fail "same bytes from another folder"
"$program" good -o good/model.qins --quiet 2> /dev/null && "$program" good -o good/model.qins --quiet 2> err
check "a .qins file in the folder may be replaced" "$?" 0
for options in "--type f32" "--type bf16" "--lm-head qins8"; do
    # shellcheck disable=SC2086
    "$program" good -o other.qins --quiet $options 2> err
    check "$options" "$?" 0
done

# A file that may not grow beyond 1 KiB stands for a full disk; the old file must survive.
before=$(find . -type f | sort)
(ulimit -f 1 && exec "$program" good -o first.qins --type f32) > out 2> err
check "file size limit" "$?" 1
grep -q "cannot write first.qins: File too large" err && ok "write errors are explained" || fail "write errors are explained"
check "a failure leaves no file" "$(find . -type f | sort)" "$before"
cmp -s first.qins model.qins && ok "a failure keeps the old file" || fail "a failure keeps the old file"
mkdir full
if mount -t tmpfs -o size=8k tmpfs full 2> /dev/null; then
    "$program" good -o full/x.qins --type f32 > out 2> err
    check "full disk" "$?" 1
    grep -q "No space left" err && ok "a full disk is named" || fail "a full disk is named"
    check "a full disk is left empty" "$(ls -A full)" ""
    umount full
else
    skip "full disk (needs a mount)"
fi

# Long enough to be interrupted: 64 MB of zeros (a hole) as the embedding of a larger vocabulary.
cp -r good large
sed -i 's/"vocab_size": 32/"vocab_size": 2097152/' large/config.json
write_weights large/model.safetensors "model.embed_tokens.weight 2097152 16" "model.layers.0.input_layernorm.weight 16" \
    "model.layers.0.self_attn.qkv_proj.weight 48 16" "model.layers.0.self_attn.o_proj.weight 16 16" \
    "model.layers.0.post_attention_layernorm.weight 16" "model.layers.0.mlp.gate_up_proj.weight 48 16" \
    "model.layers.0.mlp.down_proj.weight 16 24" "model.norm.weight 16" "lm_head.weight 2097152 16"
set -m # so that background jobs do not ignore SIGINT
for signal in INT TERM; do
    "$program" large -o large.qins -t 1 --type f32 --lm-head qins8 > out 2> err &
    pid=$!
    for _ in $(seq 3000); do [ -n "$(find "/proc/$pid/fd" -lname '*(deleted)' 2>/dev/null)" ] && break; sleep 0.01; done # it has no name
    kill -$signal $pid
    wait $pid
    check "SIG$signal" "$?" 130
    check "SIG$signal leaves no file" "$(find . -name '*large.qins*')" ""
done
set +m

if [ -n "${QINS_TEST_DATA:-}" ]; then
    expect "trained model" 0 "rel. error" "$QINS_TEST_DATA/models/stories260k-phi3" -o trained.qins
    check "trained model has no warnings" "$(grep -c warning err)" 0
else
    skip "trained model (QINS_TEST_DATA is not set)"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
