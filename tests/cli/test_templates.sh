#!/usr/bin/env bash
# Chat templates of checkpoints: recognized in other spellings, chosen, unknown; and the end of a turn that is not a stop id.
# Usage: test_templates.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
convert=$build/qinsconvert
source=tests/data/demo
bee="What does a bee make?"

# folder NAME [TEMPLATE]: the demo model with this chat template, or with none
folder() {
    mkdir -p "$tmp/$1"
    cp $source/config.json $source/generation_config.json $source/tokenizer.json $source/model.safetensors "$tmp/$1"
    [ $# -eq 1 ] || printf '%s' "$2" >"$tmp/$1/chat_template.jinja"
    [ $# -eq 1 ] || echo '{"bos_token": {"content": "<s>"}, "eos_token": "<|endoftext|>"}' >"$tmp/$1/tokenizer_config.json"
}
# answers NAME MODEL [OPTION...]: the demo model's answer
answers() {
    equal "$1" "A bee says buzz." "$("$run" -m "$2" -q -n 60 -p "$bee" "${@:3}" 2>&1)"
}
# converted NAME FOLDER [OPTION...]: without a word
converted() {
    "$convert" "$tmp/$2" -o "$tmp/$2.qins" --quiet "${@:3}" >"$tmp/out" 2>&1
    equal "$1" "0 " "$? $(cat "$tmp/out")"
}
info() { "$run" info -m "$tmp/$1.qins" | grep -E '^(template|system|   )'; }

by_role='{% for m in messages %}<|{{ m.role }}|>
{{ m.content }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}'
folder by_role "$by_role"
converted "another spelling" by_role
answers "another spelling: the chat works" "$tmp/by_role.qins"
equal "another spelling: info" "template   phi3" "$(info by_role)"

folder unknown '{{ messages[0].content }}'
expect "an unknown template is reported" 0 'not one that qins knows, so prompts must be raw.*--chat-template' \
    "$convert" "$tmp/unknown" -o "$tmp/unknown.qins" --quiet
info unknown | grep -q '^template   none known' && ok "info says so again" || fail "info says so again" "$(info unknown)"
expect "no chat without a template" 2 'no chat template that qins knows; use --raw' "$run" -m "$tmp/unknown.qins" -p hi
expect "but text as it is" 0 '' "$run" -m "$tmp/unknown.qins" --raw -p hi -n 1
folder empty ''
expect "an empty template is told" 0 'the chat template, chat_template.jinja, is empty, so prompts must be raw.*--chat-template' \
    "$convert" "$tmp/empty" -o "$tmp/empty.qins" --quiet
expect "an empty template: no chat" 2 'no chat template that qins knows; use --raw' "$run" -m "$tmp/empty.qins" -p hi
folder unreadable '{% for m in messages %}
{% macro f() %}'
expect "the unsupported construct" 0 '\(line 2: the tag macro is not supported\)' \
    "$convert" "$tmp/unreadable" -o "$tmp/unreadable.qins" --quiet

converted "a chosen template" unknown --chat-template phi3
answers "a chosen template: the chat works" "$tmp/unknown.qins"
answers "a chosen template of a folder" "$tmp/unknown" --chat-template phi3
converted "none, chosen" by_role --chat-template none
expect "none, chosen: no chat" 2 'no chat template' "$run" -m "$tmp/by_role.qins" -p hi
needs='the chat template needs the token <\|im_start\|>, which'
expect "a chosen template whose tokens the tokenizer lacks" 2 "--chat-template chatml: $needs" \
    "$convert" "$tmp/unknown" -o "$tmp/x.qins" --chat-template chatml
folder chatml '{% for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}<|im_start|>assistant
'
printf '\n' >>"$tmp/chatml/chat_template.jinja" # of two newlines at the end one is the template's
expect "a recognized template whose tokens the tokenizer lacks" 0 "$needs.*so prompts must be raw" \
    "$convert" "$tmp/chatml" -o "$tmp/x.qins" --quiet
expect "no such template" 2 '--chat-template takes phi3\|' "$convert" "$tmp/unknown" -o "$tmp/x.qins" --chat-template llama3

# Text of a template's own comes once, at the beginning.
folder own "{{ bos_token }}{% if messages[0].role != 'system' %}<|system|>
Be a fox.<|end|>
{% endif %}$by_role"
converted "a template with a system message" own
equal "a template with a system message: info" "template   phi3, after <s>
system     Be a fox." "$(info own)"
prompt() { # OPTION...: texts of the prompts' tokens over two turns
    printf '%s\n%s\n' "$bee" "$bee" | "$run" chat -m "$tmp/own.qins" -n 1 --verbose-prompt "$@" 2>&1 >/dev/null |
        sed -nE 's/^ +[0-9]+ +[0-9]+  //p' | tr -d '\n'
}
count() { grep -o "$1" <<<"$2" | wc -l; }
both=$(prompt)
equal "its system message comes once" "1 1 2" "$(count '<s>' "$both") $(count '<|system|>' "$both") $(count '<|user|>' "$both")"
equal "the prompt begins with it" '<s><|system|>▁Be' "$(cut -c 1-20 <<<"$both" | grep -o '^<s><|system|>▁Be')"
both=$(prompt --system "Sing.")
equal "the user's replaces it" "0 1" "$(count 'fox' "$both") $(count 'S' "$(grep -o '<|system|>.*<|user|>' <<<"$both" | cut -c 1-16)")"

folder no_system "{% for m in messages %}{% if m.role == 'user' %}<|user|>
{{ m.content }}<|end|>
<|assistant|>
{% elif m.role == 'assistant' %}{{ m.content }}<|end|>
{% endif %}{% endfor %}"
converted "a template without system messages" no_system
answers "a template without system messages: the chat works" "$tmp/no_system.qins"
equal "a template without system messages: info" "template   phi3, without system messages" "$(info no_system)"
expect "a template without system messages: --system" 2 'has no system message' "$run" -m "$tmp/no_system.qins" -p hi --system x

# Stop ids
for eos in 2 null '[]'; do
    folder stop "$by_role"
    echo "{\"eos_token_id\": $eos}" >"$tmp/stop/generation_config.json"
    sed -i 's/"eos_token_id": 768/"eos_token_id": null/' "$tmp/stop/config.json"
    expect "eos_token_id $eos: the end of a turn becomes a stop id" 0 'end of turn, is not a stop id \(eos_token_id\); it becomes one' \
        "$convert" "$tmp/stop" -o "$tmp/stop.qins" --quiet
    answers "eos_token_id $eos: the reply ends" "$tmp/stop.qins"
done
exit $failed
