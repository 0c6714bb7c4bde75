"""Make tests/data/chat_templates.json: what transformers renders with chat templates.

    python make_chat_goldens.py

"templates": spellings of the formats of the family, and templates of others, written here after the behaviour of published
ones; each with the chat format that it should be recognized as and its renderings of "conversations".  "snippets": small
pieces of the language, each with its text, or null where Jinja2 raises an error.  "refused": what Jinja2 renders and the
converter's interpreter should refuse instead of guessing.  "encodings": ids of the rendered text by tokenizers, with the demo
model's tokenizer whose placeholders are named after ChatML's tokens, its tokens swallowing white space after them ("rstrip"), on
both sides ("both") or not at all ("none").
"""

import json
from pathlib import Path

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

DATA = Path(__file__).resolve().parent.parent / "data"
OUT = DATA / "chat_templates.json"
PHI3 = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "unk_token": "<unk>", "pad_token": "<|endoftext|>"}
PHI4 = {"bos_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
CHATML = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
LLAMA = {"bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>"}

CONVERSATIONS = [
    [("user", "Hello")],
    [("system", "Be kind."), ("user", "Hello")],
    [("user", "  one\n"), ("assistant", "two\n\n"), ("user", "\tthree é ")],
    [("system", " x "), ("user", "1"), ("assistant", "2"), ("user", "3"), ("assistant", "4"), ("user", "<|end|>")],
    [("user", "Hello"), ("assistant", "Bye")],
    [("user", "a"), ("user", "b")],
    [("assistant", "I begin.")],
    [("system", ""), ("user", "empty")],
    [("tool", "x"), ("user", "y")],
    [],
]

# name, tokens, expected, text. Expected: the format; what is different from its plain form.
T = []


def template(name, tokens, expected, *lines, **traits):
    T.append({"name": name, "tokens": tokens, "expected": {"template": expected, **traits}, "template": "".join(lines)})


# --- Phi-3 ---
template("phi-3.5", PHI3, "phi3",
         "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
         "{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}"
         "{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}"
         "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}")
template("phi-3 by role", PHI3, "phi3",
         "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
template("phi-3, first release: a beginning token, the prompt after each message, no system", PHI3, "phi3",
         "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content']"
         " + '<|end|>' + '\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + "
         "'<|end|>' + '\n'}}{% endif %}{% endfor %}", start="<s>", no_system=True)
template("phi-3-medium: no system", PHI3, "phi3",
         "{% for message in messages %}{% if (message['role'] == 'user') %}{{'<|user|>' + '\n' + message['content'] + '<|end|>' + "
         "'\n' + '<|assistant|>' + '\n'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|end|>' + '\n'}}"
         "{% endif %}{% endfor %}", no_system=True)
template("phi-3 with an else for all roles and a beginning token", PHI3, "phi3",
         "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + "
         "'<|end|>\n' }}{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n' + message['content'] + '<|end|>\n' }}"
         "{% else %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}", start="<s>")
template("phi-3 over lines, with indentation", PHI3, "phi3",
         "{#- a comment -#}\n{% for message in messages %}\n    {% if message.role == 'system' %}\n        {{- '<|system|>\n' ~ "
         "message.content ~ '<|end|>\n' -}}\n    {% elif message.role in ['user', 'assistant'] %}\n        {{- '<|' ~ message.role "
         "~ '|>\\n' }}{{ message.content }}{{ \"<|end|>\\n\" -}}\n    {% endif %}\n{% endfor %}\n"
         "{% if add_generation_prompt %}\n    {{- '<|assistant|>\\n' }}\n{%- endif %}\n")
template("phi-3 with the system message taken out first", PHI3, "phi3",
         "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content']"
         " %}{% else %}{% set loop_messages = messages %}{% endif %}{% if system_message is defined %}{{ '<|system|>\n' + "
         "system_message + '<|end|>\n' }}{% endif %}{% for message in loop_messages %}{% set content = message['content'] %}"
         "{% if message['role'] == 'user' %}{{ '<|user|>\n' + content + '<|end|>\n<|assistant|>\n' }}"
         "{% elif message['role'] == 'assistant' %}{{ content + '<|end|>' + '\n' }}{% endif %}{% endfor %}")
template("phi-3 with marks for training", PHI3, "phi3",
         "{%- for message in messages -%}{%- if message['role'] == 'assistant' -%}{{- '<|assistant|>\n' -}}{%- generation -%}"
         "{{- message['content'] + '<|end|>\n' -}}{%- endgeneration -%}{%- else -%}{{- '<|' + message['role'] + '|>\n' + "
         "message['content'] + '<|end|>\n' -}}{%- endif -%}{%- endfor -%}{%- if add_generation_prompt -%}"
         "{{- '<|assistant|>\n' -}}{%- endif -%}")
template("phi-3 with roles that must alternate", PHI3, "phi3",
         "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
         "{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
         "{{ raise_exception('Roles must alternate') }}{% endif %}{{ '<|' + message['role'] + '|>\n' + message['content'] + "
         "'<|end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}", no_system=True)
template("phi-3 with a system message of its own", PHI3, "phi3",
         "{% if messages|length == 0 or messages[0].role != 'system' %}<|system|>\nYou are Tim.<|end|>\n{% endif %}"
         "{% for message in messages %}{{ '<|%s|>\n' | replace('%s', message.role) }}{{ message.content }}<|end|>\n{% endfor %}"
         "{{ '<|assistant|>\n' if add_generation_prompt else '' }}", default_system="You are Tim.")
template("phi-3 without newlines after <|end|>", PHI3, "none",
         "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
template("phi-3 that trims", PHI3, "none",
         "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content | trim }}<|end|>\n{% endfor %}"
         "{% if add_generation_prompt %}<|assistant|>\n{% endif %}")
template("phi-3 that ignores earlier turns", PHI3, "none",
         "{% set m = messages[-1] %}<|user|>\n{{ m.content }}<|end|>\n<|assistant|>\n")

# --- Phi-4 ---
template("phi-4", PHI4, "phi4",
         "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + "
         "'<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}"
         "{% elif (message['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>' + message['content'] + '<|im_end|>'}}"
         "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}{% endif %}")
template("phi-4, first release: the prompt after each message", PHI4, "phi4",
         "{% for message in messages %}{% if (message['role'] == 'system') %}{{'<|im_start|>system<|im_sep|>' + message['content'] + "
         "'<|im_end|>'}}{% elif (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + "
         "'<|im_end|><|im_start|>assistant<|im_sep|>'}}{% elif (message['role'] == 'assistant') %}{{message['content'] + '<|im_end|>'}}"
         "{% endif %}{% endfor %}")
template("phi-4 by role, with a beginning token", PHI4, "phi4",
         "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' ~ message.role ~ '<|im_sep|>' ~ message.content ~ "
         "'<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}", start="<|endoftext|>")
template("phi-4-reasoning: a system message that is always the same", PHI4, "phi4",
         "<|im_start|>system<|im_sep|>You are Phi. Think first:\n<think> {Thoughts} </think>.<|im_end|>{% for message in messages %}"
         "{% if (message['role'] == 'user') %}{{'<|im_start|>user<|im_sep|>' + message['content'] + '<|im_end|>'}}"
         "{% elif (message['role'] == 'assistant') %}{{'<|im_start|>assistant<|im_sep|>'}}{% generation %}{{message['content'] + "
         "'<|im_end|>'}}{% endgeneration %}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_sep|>' }}"
         "{% endif %}", default_system="You are Phi. Think first:\n<think> {Thoughts} </think>.", no_system=True)

# --- Phi-4-mini ---
template("phi-4-mini", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}, "phi4-mini",
         "{% for message in messages %}{% if message['role'] == 'system' and 'tools' in message and message['tools'] is not none %}"
         "{{ '<|' + message['role'] + '|>' + message['content'] + '<|tool|>' + message['tools'] + '<|/tool|>' + '<|end|>' }}"
         "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}")
template("phi-4-mini-reasoning: a name before every system message", PHI4, "phi4-mini",
         "{{ '<|system|>Your name is Phi.' }}{% for message in messages %}{% if message['role'] == 'system' %} {{ message['content'] }}"
         "{% if 'tools' in message and message['tools'] is not none %}{{ '<|tool|>' + message['tools'] + '<|/tool|>' }}{% endif %}"
         "{% endif %}{% endfor %}{{ '<|end|>' }}{% for message in messages %}{% if message['role'] != 'system' %}"
         "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% else %}{{ eos_token }}{% endif %}",
         default_system="Your name is Phi.", system_prefix="Your name is Phi. ")

# --- ChatML ---
template("chatml", CHATML, "chatml",
         "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")
template("chatml of SmolLM2", CHATML, "chatml",
         "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a "
         "helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + "
         "'\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
         "{% endif %}", default_system="You are a helpful AI assistant named SmolLM, trained by Hugging Face")
template("chatml with a test for its prompt and another end", {"bos_token": "<s>", "eos_token": "</s>"}, "chatml",
         "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% for message in messages %}"
         "{% if message['role'] == 'user' %}{{'<|im_start|>user\n' + message['content'] + '<|im_end|>\n'}}"
         "{% elif message['role'] == 'assistant' %}{{'<|im_start|>assistant\n' + message['content'] + '<|im_end|>\n' }}{% else %}"
         "{{ '<|im_start|>system\n' + message['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
         "{{ '<|im_start|>assistant\n' }}{% endif %}")
template("chatml with tools, reasoning and a namespace", CHATML, "chatml",
         "{%- if tools %}\n    {{- '<|im_start|>system\\n' }}\n    {%- if messages[0].role == 'system' %}\n        "
         "{{- messages[0].content + '\\n\\n' }}\n    {%- endif %}\n    {{- \"# Tools\\n\" }}\n    {%- for tool in tools %}\n        "
         "{{- \"\\n\" }}\n        {{- tool | tojson }}\n    {%- endfor %}\n    {{- \"<|im_end|>\\n\" }}\n{%- else %}\n    "
         "{%- if messages[0].role == 'system' %}\n        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}\n    "
         "{%- endif %}\n{%- endif %}\n{%- set ns = namespace(multi_step_tool=true, last=messages|length - 1) %}\n"
         "{%- for message in messages[::-1] %}\n    {%- set index = (messages|length - 1) - loop.index0 %}\n    "
         "{%- if ns.multi_step_tool and message.role == \"user\" and message.content is string and not(message.content.startswith("
         "'<tool_response>') and message.content.endswith('</tool_response>')) %}\n        {%- set ns.multi_step_tool = false %}\n"
         "        {%- set ns.last = index %}\n    {%- endif %}\n{%- endfor %}\n{%- for message in messages %}\n    "
         "{%- if message.content is string %}\n        {%- set content = message.content %}\n    {%- else %}\n        "
         "{%- set content = '' %}\n    {%- endif %}\n    {%- if (message.role == \"user\") or (message.role == \"system\" and not "
         "loop.first) %}\n        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}\n    "
         "{%- elif message.role == \"assistant\" %}\n        {%- set reasoning = '' %}\n        {%- if '</think>' in content %}\n"
         "            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}\n"
         "            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}\n        {%- endif %}\n        "
         "{%- if loop.index0 > ns.last and (loop.last or (not loop.last and reasoning)) %}\n            {{- '<|im_start|>' + message.role"
         " + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}\n        {%- else %}\n"
         "            {{- '<|im_start|>' + message.role + '\\n' + content }}\n        {%- endif %}\n        "
         "{%- if message.tool_calls %}\n            {%- for tool_call in message.tool_calls %}\n                "
         "{{- tool_call.arguments | tojson }}\n            {%- endfor %}\n        {%- endif %}\n        {{- '<|im_end|>\\n' }}\n    "
         "{%- elif message.role == \"tool\" %}\n        {{- '<|im_start|>user' }}\n        {{- content }}\n        "
         "{{- '<|im_end|>\\n' }}\n    {%- endif %}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    "
         "{{- '<|im_start|>assistant\\n' }}\n    {%- if enable_thinking is defined and enable_thinking is false %}\n        "
         "{{- '<think>\\n\\n</think>\\n\\n' }}\n    {%- endif %}\n{%- endif %}\n")
template("chatml of old style, message by message", CHATML, "chatml",
         "{% for message in messages %}\n<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}\n"
         "{% if add_generation_prompt %}\n<|im_start|>assistant\n{% endif %}\n")
template("chatml with thoughts in the prompt", CHATML, "none",
         "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}")
template("chatml in capitals", CHATML, "none",
         "{% for message in messages %}{{'<|im_start|>' + message['role']|capitalize + '\n' + message['content'] + '<|im_end|>\n'}}"
         "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>Assistant\n' }}{% endif %}")

# --- others ---
template("as llama 3", LLAMA, "none",
         "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] "
         "+ '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + "
         "content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>"
         "\n\n' }}{% endif %}")
template("as mistral", {"bos_token": "<s>", "eos_token": "</s>"}, "none",
         "{%- if messages[0]['role'] == 'system' %}\n    {%- set system_message = messages[0]['content'] %}\n    "
         "{%- set loop_messages = messages[1:] %}\n{%- else %}\n    {%- set loop_messages = messages %}\n{%- endif %}\n\n"
         "{{- bos_token }}\n{%- for message in loop_messages %}\n    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
         "        {{- raise_exception('roles must alternate') }}\n    {%- endif %}\n    {%- if message['role'] == 'user' %}\n        "
         "{%- if loop.first and system_message is defined %}\n            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] "
         "+ ' [/INST]' }}\n        {%- else %}\n            {{- ' [INST] ' + message['content'] + ' [/INST]' }}\n        {%- endif %}\n"
         "    {%- elif message['role'] == 'assistant' %}\n        {{- ' ' + message['content'] + eos_token}}\n    {%- else %}\n        "
         "{{- raise_exception('unknown role') }}\n    {%- endif %}\n{%- endfor %}\n")
template("as zephyr", {"bos_token": "<s>", "eos_token": "</s>"}, "none",
         "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
         "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n"
         "{% elif message['role'] == 'assistant' %}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n"
         "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}")
template("as gemma", {"bos_token": "<bos>"}, "none",
         "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
         "{% for message in messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}"
         "{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n'"
         " }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}")
template("nothing", PHI3, "none", "")
template("only the last message", PHI3, "none", "{{ messages[-1].content }}")
template("broken", PHI3, "none", "{% for message in messages %}{{ message.content }")
template("always an error", PHI3, "none", "{{ raise_exception('no') }}")

SNIPPETS = [
    # text and white space
    "", "a", "a\n", "a\n\n", "\n", "a\r\nb\rc\r\n", "{", "}}", "%}", "{ {", "a{# b #}c", "a {#- b -#} c", "a\n  {# b #}\n  c",
    "{#\n#}\nx", "{# a -#}\n\n x", "{# a +#}\n x", "a {{ 1 }} b", "a {{- 1 -}} b", "a\n{{ 1 }}\nb", "a\n  {{ 1 }}\n  b",
    "a\n  {%- if 1 %}\n  b\n  {%- endif %}\n  c", "a\n  {% if 1 %}\n  b\n  {% endif %}\n  c", "a\n  {%+ if 1 %}\n  b\n  {%+ endif %}\n  c",
    "a\n  {% if 1 +%}\n  b\n  {% endif +%}\n  c", "a  {% if 1 %}  b  {% endif %}  c", "  {% if 1 %}x{% endif %}", "\t{% if 1 %}x{% endif %}\n\ny",
    "a\n\u00a0{% if 1 %}x{% endif %}", "a\u2003{%- if 1 -%}\u2003x{% endif %}", "{% if 1 %}\n\nx\n\n{% endif %}\n\ny", "{{ 1 }}\n", "{{ 1 }}\n\n",
    "x\n   {{- 'y' }}", "x\n\n{%- if 1 %}\n{%- endif -%}\n\ny", "{{ '}}' }}", "{{ '%}' }}{% if '%}' %}a{% endif %}", "{{ \"{{\" }}", "é{{ 'é' }}日",
    "a\n{% if 1 %}b{% endif %}\n{% if 1 %}{% endif %}\nc", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a':{'b':1}}.a.b}}", "{%if 1%}x{%endif%}",
    "a\n  {# x #}{% if 1 %}b{% endif %}", "a\n  {{ 1 }}{% if 1 %}b{% endif %}", "a {%- if 1 %}\n   b{% endif %}", "{{1}}{#- x #}\n y",
    # strings
    r"{{ 'a\nb\tc\\d\'e\"f' }}", r"{{ 'A\u00e9\U0001F600' }}", r"{{ '\q\/' }}", "{{ 'a\nb' }}", "{{ 'a' 'b' \"c\" }}", "{{ 'a' + 'b' }}",
    "{{ 'a' ~ 1 ~ none ~ true ~ x }}", "{{ 'a' + 1 }}", "{{ none + 'a' }}", "{{ x + 'a' }}", "{{ 'abc'[1] }}{{ 'abc'[-1] }}{{ 'abc'[5] }}|",
    "{{ 'héllo'[1:3] }}|{{ 'abc'[::-1] }}|{{ 'abcdef'[-3:-1] }}|{{ 'abc'[:2] }}|{{ 'abc'[10:] }}|{{ 'abcdef'[4:0:-2] }}", "{{ 'a' * 3 if false else 'b' }}",
    "{{ 'abc'.upper() }}{{ 'ABC'.lower() }}{{ 'aBC'.capitalize() }}", "{{ '  a '.strip() }}|{{ '  a '.lstrip() }}|{{ '  a '.rstrip() }}|",
    "{{ 'xxaxyx'.strip('x') }}|{{ 'xyaxy'.lstrip('yx') }}|{{ 'a\n\n'.rstrip('\n') }}|{{ ''.strip() }}|{{ 'xx'.strip('x') }}|",
    "{{ '\u2003a\u00a0\x1c'.strip() }}|", "{{ 'a,b,,c'.split(',') | join('|') }}", "{{ ' a  b c '.split() | join('|') }}", "{{ 'a,b,c'.split(',', 1)[1] }}",
    "{{ ' a  b  c '.split(none, 1) | join('|') }}", "{{ ''.split(',') | length }}{{ ''.split() | length }}", "{{ 'aXXbXX'.split('XX')[-1] }}|",
    "{{ 'a'.split('') }}", "{{ 'abc'.startswith('ab') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.endswith('bc') }}{{ 'abc'.endswith('') }}",
    "{{ 'aXbX'.replace('X', '--') }}", "{{ ','.join(['a', 'b']) }}", "{{ ','.join([1]) }}", "{{ 'abc' | length }}{{ 'é日' | length }}",
    # numbers and logic
    "{{ 1 + 2 * 3 - 4 }}", "{{ (1 + 2) * 3 }}", "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }}", "{{ 1 // 0 }}", "{{ -1 }} {{ - 1 + 2 }} {{ 2 - -1 }}",
    "{{ true }} {{ false }} {{ none }} {{ True }} {{ None }}", "{{ 1 == 1 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == none }} {{ x == y }} {{ x == none }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 2 >= 2 }} {{ 2 != 3 }}", "{{ 'a' < 1 }}", "{{ none < 1 }}", "{{ x < 1 }}",
    "{{ 1 and 2 }} {{ 0 and 2 }} {{ 0 or 'a' }} {{ '' or [] or 'b' }} {{ not 1 }} {{ not '' }}", "{{ not 1 == 2 }}", "{{ 1 or x.y.z }}",
    "{{ 'a' if 1 else 'b' }}{{ 'a' if 0 else 'b' }}{{ 'a' if 0 }}|", "{{ 1 if 0 else 2 if 0 else 3 }}", "{{ 'b' in 'abc' }} {{ 1 in [1, 2] }} {{ 3 not in [1, 2] }} {{ 'k' in {'k': 1} }}",
    "{{ 1 in 'abc' }}", "{{ 'a' in x }}", "{{ 'a' in none }}", "{{ '' in 'abc' }}{{ 'd' in 'abc' }}", "{{ [1, [2, 'a']] == [1, [2, 'a']] }} {{ (1, 2) == [1, 2] }} {{ {'a': 1} == {'a': 1} }}",
    "{{ 'a' ~ 'b' + 'c' ~ 'd' }}", "{{ 1 + 2 ~ 3 }}", "{{ 'a' ~ 1 + 2 }}", "{{ 2 * 3 ~ 4 }}", "{{ -1 | string }}", "{{ ('a' + 'b') | upper }}{{ 'a' + 'b' | upper }}",
    "{{ true + 1 }}", "{{ ([1] + [2, 3]) | join(',') }}", "{{ [1] + (2,) }}",
    # names, attributes, items
    "{{ x }}|", "{{ x.y }}", "{{ x['y'] }}", "{{ x() }}", "{{ messages[0].role }}{{ messages[0]['content'] }}{{ messages[0].nothing }}|", "{{ messages[0].nothing.more }}",
    "{{ messages[9] }}|", "{{ messages[9].role }}", "{{ messages[-1].content }}", "{{ messages.0.role }}", "{{ none.x }}|{{ none['x'] }}|", "{{ x[1:] }}",
    "{{ messages[0].get('role') }}{{ messages[0].get('z') }}{{ messages[0].get('z', 'd') }}", "{{ messages[0]['get'] is defined }}", "{{ {'get': 1}['get'] }}",
    "{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in messages[0] %}{{ k }};{% endfor %}{% for v in messages[0].values() %}{{ v }};{% endfor %}",
    "{{ messages | length }}{{ messages | count }}{{ messages[0] | length }}{{ x | length }}", "{{ 1 | length }}", "{{ none | length }}", "{{ bos_token }}{{ eos_token }}{{ unk_token }}|",
    "{{ add_generation_prompt }}", "{{ tools }} {{ documents }} {{ tools is none }} {{ tools is defined }}",
    # filters and tests
    "{{ '  a ' | trim }}|{{ 'xax' | trim('x') }}|{{ none | trim }}|{{ x | trim }}|{{ 5 | trim }}", "{{ 'ab' | upper }}{{ 'AB' | lower }}{{ 'aB' | capitalize }}{{ x | upper }}",
    "{{ [1, 2] | first }}{{ [1, 2] | last }}{{ 'abc' | first }}{{ [] | first }}|", "{{ none | first }}", "{{ ['a', 1, none] | join('-') }}{{ 'abc' | join('.') }}{{ [] | join }}|",
    "{{ 'aXa' | replace('a', 'b') }}{{ 12 | replace('1', 'x') }}", "{{ x | default('d') }}{{ 'v' | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ none | d('d', boolean=true) }}{{ x | d }}|",
    "{{ 12 | string | length }}", "{{ ('a', 'b') | list | length }}", "{{ x is defined }} {{ messages is defined }} {{ x is undefined }} {{ x is not defined }}",
    "{{ none is none }} {{ x is none }} {{ 'a' is string }} {{ 1 is string }} {{ {} is mapping }} {{ [] is mapping }}",
    "{{ 'a' is iterable }} {{ 1 is iterable }} {{ [] is sequence }} {{ {} is sequence }} {{ x is iterable }} {{ x is sequence }} {{ none is sequence }}",
    "{{ 1 is number }} {{ true is number }} {{ true is boolean }} {{ 1 is boolean }} {{ 1 is integer }} {{ true is integer }} {{ true is true }} {{ 1 is true }} {{ false is false }}",
    "{{ 1 is odd }} {{ 2 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }}", "{{ 'a' is equalto 'a' }} {{ 'a' is eq('b') }} {{ 1 is ne 2 }} {{ 1 is in [1] }} {{ 1 is lt 2 }}",
    "{{ 'a' is string and 1 is number or false }}", "{{ x is defined and x.y }}", "{{ not x is defined }}", "{{ 'a' if x is defined else 'b' }}", "{{ messages[0].content is string and messages[0]['content'] is not none }}",
    # statements
    "{% if x %}a{% elif 1 %}b{% else %}c{% endif %}", "{% if x %}a{% elif y %}b{% else %}c{% endif %}", "{% if x %}a{% endif %}", "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }};{% endfor %}",
    "{% for i in [1, 2, 3] %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }}{% endfor %}", "{% for i in [] %}a{% else %}b{% endfor %}", "{% for i in x %}a{% else %}b{% endfor %}", "{% for i in none %}a{% endfor %}", "{% for i in 3 %}a{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% endfor %}|{% for i in range(1, 7, 2) %}{{ i }}{% endfor %}|{% for i in range(3, 0, -1) %}{{ i }}{% endfor %}|{{ range(4) | length }}", "{% for c in 'aé' %}{{ c }}.{% endfor %}",
    "{% for i in range(6) if i is odd %}{{ loop.index }}:{{ i }} {% endfor %}", "{% for i in range(6) if i > 9 %}a{% else %}b{% endfor %}", "{% for i in range(9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for a, b in [(1, 2), (3, 4)] %}{{ a }}{{ b }};{% endfor %}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{% for a, b in [(1,)] %}{% endfor %}", "{% for m in messages %}{% for n in messages %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% set a = 1 %}{{ a }}{% set a = a + 1 %}{{ a }}", "{% set a, b = (1, 2) %}{{ a }}{{ b }}", "{% set a = 1 %}{% if 1 %}{% set a = 2 %}{% endif %}{{ a }}", "{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = i + 5 %}{{ a }};{% endfor %}{{ a }}",
    "{% for i in [1, 2] %}{% if loop.first %}{% set z = 'q' %}{% endif %}{{ z }}|{% endfor %}{{ z }}", "{% set ns = namespace(a=1, b='x') %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}|", "{% set x.y = 1 %}", "{% set ns = namespace() %}{% set ns.q = 1 %}{{ ns.q }}",
    "{% set a %}b{{ 1 + 1 }}c{% endset %}{{ a }}{{ a | length }}", "{% set a %}{% set q = 1 %}{% endset %}{{ q }}|", "{% generation %}a{% set q = 1 %}{{ q }}{% endgeneration %}{{ q }}|", "{% set messages = messages[1:] %}{{ messages | length }}", "{% set q = messages[1:] %}{{ q | length }}{{ messages[:-1] | length }}{{ messages[::-1][0].role }}",
    "{{ raise_exception('bad') }}", "{% if 0 %}{{ raise_exception('bad') }}{% endif %}ok", "{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}{{ raise_exception('role') }}{% endif %}{{ m.role[0] | upper }}{% endfor %}",
    "{% if messages[0]['role'] == 'system' %}S{% else %}N{% endif %}", "{% set s = '' if messages[0].role != 'system' else messages[0].content | trim %}{{ s }}", "{{ ('a' if messages else 'b') + 'c' }}", "{% for m in messages %}{{ m.role ~ ':' ~ m.content ~ ('' if loop.last else ', ') }}{% endfor %}",
    "{{ {'a': 1, 'b': 2,}['b'] }}{{ [1, 2,][1] }}", "{{ (1,)[0] }}{{ () | length }}{{ (((3))) }}", "{{ loop }}", "{{ loop.index }}",
    # errors of syntax
    "{{ }}", "{{ 1", "{{ 1 }", "{% if 1 %}", "{% if %}{% endif %}", "{% for in x %}{% endfor %}", "{% for i x %}{% endfor %}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ a b }}", "{{ 1 + }}", "{% set %}",
    "{% %}", "{{ 'a' | }}", "{{ x is }}", "{{ f(a=1, 2) }}", "{{ .a }}", "{{ a. }}",
    "{{ 1 or f(a=1, 2) }}", "{% if 1 if 2 %}{% endif %}", "{% for none in [1] %}{% endfor %}", "{% set true = 1 %}", "{% break %}", "{% if 0 %}{% continue %}{% endif %}", "{% for i in [1] %}{% else %}{% break %}{% endfor %}",
]

REFUSED = [
    "{{ none[1:] }}", "{{ 'a'[] }}", "{{ 'a' % x }}", "{{ 'ab'[1:'c'] }}|", "{{ 1 if 1 else x | y.z }}", "{% for i in 1, 2 %}{{ i }}{% endfor %}", "a{#", "{{ 1 if 1 else x is y.z }}",
    "{{ [1, 2] }}", "{{ {'a': 1} }}", "{{ 1.5 }}", "{{ 1 / 2 }}", "{{ 2 ** 3 }}", "{{ 'a' * 3 }}", "{{ 'a%s' % 'b' }}", "{{ [1] | tojson }}", "{{ messages | map(attribute='role') | join }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1) }}", "{% raw %}{{ a }}{% endraw %}", "{% with a = 1 %}{{ a }}{% endwith %}", "{% filter upper %}a{% endfilter %}",
    "{{ strftime_now('%Y') | length }}", "{{ cycler('a', 'b').next() }}", "{{ dict(a=1).a }}", "{{ 'a'.title() }}", "{{ 'é'.upper() }}", "{{ 'a' is lower }}", "{{ 'abc' | reverse }}", "{{ 'a,b'.rsplit(',') | join }}", "{{ 'a'.find('a') }}",
    "{{ [3, 1] | sort | join }}", "{{ [1, 2] < [1, 3] }}", "{{ {1: 2}[1] }}", "{{ 0x10 }}", "{{ 1_000 }}", "{{ +1 }}", "{{ 1, 2 }}", "{% set a = 1, 2 %}{{ a[0] }}", "{{ range(3) }}", "{{ namespace(a=1) }}", "{{ 100000000000000 * 1000 }}", "{{ 99999999999999999999999 }}", "{% autoescape true %}<{% endautoescape %}",
    "{% for i in [1] %}{{ loop.cycle('a', 'b') }}{% endfor %}", "{{ 'a' is filter }}", "{{ 'a' | wordcount }}", "{{ messages[0].copy().role }}", "{{ 'abc'.foo }}", r"{{ '\101' }}", "{% for i in [1] recursive %}{{ i }}{% endfor %}", "{{ messages[0].items() | list | length ~ messages[0].items() }}",
]


def messages_of(conversation):
    return [{"role": role, "content": content} for role, content in conversation]


def render(text, conversation, tokens, reply=True):
    """The text, or None where the template, or its compilation, raises an error."""
    try:
        return _compile_jinja_template(text).render(messages=messages_of(conversation), tools=None, documents=None,
                                                    add_generation_prompt=reply, **tokens)
    except Exception:  # whatever Jinja2 or Python raise
        return None


def tokenizers():
    """By the white space that tokens swallow; tests/test_tokenizer_chat.c makes the same changes."""
    text = (DATA / "demo" / "tokenizer.json").read_text("utf-8")
    for old, new in (("<|placeholder1|>", "<|im_start|>"), ("<|placeholder2|>", "<|im_end|>"), ("<|placeholder3|>", "<|im_sep|>")):
        text = text.replace(old, new)
    yield "rstrip", Tokenizer.from_str(text)
    yield "none", Tokenizer.from_str(text.replace('"rstrip": true', '"rstrip": false'))
    yield "both", Tokenizer.from_str(text.replace('"lstrip": false', '"lstrip": true'))


def encodings():
    plain = {"phi3": "phi-3.5", "phi4": "phi-4", "phi4-mini": "phi-4-mini", "chatml": "chatml"}
    for swallow, tokenizer in tokenizers():
        for kind, name in plain.items():
            case = next(case for case in T if case["name"] == name)
            for conversation in CONVERSATIONS[:3]:
                ids = tokenizer.encode(render(case["template"], conversation, case["tokens"])).ids
                yield {"template": kind, "swallow": swallow, "messages": messages_of(conversation), "ids": ids}


def main():
    for case in T:
        case["renders"] = [render(case["template"], c, case["tokens"], reply) for c in CONVERSATIONS for reply in (True, False)]
    told = CONVERSATIONS[3]
    snippets = [{"template": text, "text": render(text, told, PHI3)} for text in SNIPPETS]
    for text in REFUSED:
        if render(text, told, PHI3) is None:
            raise SystemExit(f"Jinja2 raises an error: {text}")
    parts = {"conversations": [messages_of(c) for c in CONVERSATIONS], "templates": T, "snippets": snippets, "refused": REFUSED,
             "encodings": list(encodings())}
    lines = [f"{json.dumps(key)}: [\n" + ",\n".join(map(json.dumps, items)) + "\n]" for key, items in parts.items()]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n", "ascii")
    print({key: len(items) for key, items in parts.items()}, sum(s["text"] is None for s in snippets), "snippets raise an error")


if __name__ == "__main__":
    main()
