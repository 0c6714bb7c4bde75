#!/usr/bin/env bash
# Hostile files that no advisory is about: cut off, too long, or with code in them. Those of known attacks are in
# test_cve_*.sh. Usage: test_security.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

# --- a file that is cut off, or goes on ---
size=$(stat -c %s "$demo")
for n in 0 1 63 64 65 $((size / 2)) $((size - 1)); do
    head -c "$n" "$demo" >"$tmp/cut.qins"
    expect "cut off after $n bytes" 3 "cut.qins" "$run" info -m "$tmp/cut.qins"
done
{ cat "$demo" && printf x; } >"$tmp/long.qins"
expect "one byte more" 3 "long.qins" "$run" info -m "$tmp/long.qins"

# --- code in a model file: templates are not executed, and pickles are not read ---
mkdir "$tmp/pickle" && cp tests/data/demo/*.json "$tmp/pickle/" && printf 'PK\3\4' >"$tmp/pickle/pytorch_model.bin"
expect "weights as a pickle" 3 "only safetensors are read" "$build/qinsconvert" "$tmp/pickle" -o "$tmp/pickle.qins"
mkdir "$tmp/template" && cp tests/data/demo/*.json tests/data/demo/model.safetensors "$tmp/template/"
for code in "{{ cycler.__init__.__globals__.os.popen('touch $tmp/ran').read() }}" \
    "{{ ''.__class__.__mro__[1].__subclasses__() }}" "{% import 'os' as os %}{{ os.system('touch $tmp/ran') }}" \
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}" "{% include '/etc/passwd' %}"; do
    echo "$code" >"$tmp/template/chat_template.jinja"
    expect "a template with code: ${code:0:20}" 0 'chat template' "$build/qinsconvert" "$tmp/template" -o "$tmp/template.qins"
    equal "it becomes no template" "template   none" "$("$run" info -m "$tmp/template.qins" | sed -n 's/^\(template   none\).*/\1/p')"
done
[ -e "$tmp/ran" ] && fail "nothing ran" "it did" || ok "nothing ran"
exit $failed
