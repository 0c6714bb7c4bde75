#!/usr/bin/env bash
# qinsrun serve and batch, by curl: replies, streams, errors, who may use the server, limits, leaving, ending.
# Usage: test_serve.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
for program in curl jq; do
    command -v $program >/dev/null || { echo "skip - server: $program is not installed"; exit 0; }
done
server=
stop_server() { [ -n "$server" ] && kill -TERM "$server" 2>/dev/null && wait "$server"; server=; }
trap 'stop_server; rm -rf "$tmp"' EXIT

# start OPTION...: a server of the demo model at a free port, its address in $url.
start() {
    stop_server
    : >"$tmp/log"
    "$run" serve -m "$demo" --port 0 -t 2 "$@" 2>"$tmp/log" &
    server=$!
    for _ in $(seq 600); do
        grep -q 'listening at' "$tmp/log" && break
        kill -0 $server 2>/dev/null || { fail "start $*" "$(cat "$tmp/log")"; return; }
        sleep 0.1
    done
    url=$(sed -n 's/.*listening at //p' "$tmp/log")
}

# ask PATH BODY OPTION...: the reply in $tmp/reply; prints the status.
ask() {
    local path=$1 body=$2
    shift 2
    curl -s -m 120 -o "$tmp/reply" -w '%{http_code}' -H 'Content-Type: application/json' -d "$body" "$@" "$url$path"
}
get() { curl -s -m 60 -o "$tmp/reply" -w '%{http_code}' "${@:2}" "$url$1"; }
of_reply() { jq -r "$1" "$tmp/reply"; }
metric() { curl -s -m 60 "$url/metrics" | awk -v name="qins_$1" '$1 == name { print $2 }'; }
chat() { jq -nc --arg text "$1" "{messages: [{role: \"user\", content: \$text}], temperature: 0} + ${2:-{\}}"; }

# --- replies ---

start --alias demo
equal "health" "200 ok" "$(get /health) $(of_reply .status)"
equal "models" "200 demo" "$(get /v1/models) $(of_reply '.data[0].id')"
equal "a model" "200 demo" "$(get /v1/models/demo) $(of_reply .id)"
equal "no such model" 404 "$(get /v1/models/other)"
equal "the page" "200" "$(get /)"
text=$("$run" -m "$demo" -p "$question" -q)
equal "a reply" "200" "$(ask /v1/chat/completions "$(chat "$question")")"
equal "it is that of the command line" "$text" "$(of_reply '.choices[0].message.content')"
equal "its form" "chat.completion assistant stop demo" \
    "$(of_reply '[.object, .choices[0].message.role, .choices[0].finish_reason, .model] | join(" ")')"
equal "its usage adds up" true "$(of_reply '.usage | .total_tokens == .prompt_tokens + .completion_tokens')"
equal "its timings" true "$(of_reply '.timings | .prompt_ms > 0 and .predicted_n > 0 and .prompt_per_second > 0')"
equal "again: only the last token of the prompt is computed" true \
    "$(for _ in 1 2; do ask /v1/chat/completions "$(chat "$question" '{max_tokens: 3}')" >/dev/null; done; of_reply '.usage.prompt_tokens - .usage.prompt_tokens_details.cached_tokens == 1')"

ask /v1/chat/completions "$(chat "$question" '{logprobs: true, top_logprobs: 2}')" >/dev/null
equal "its tokens with log-probabilities make up the text" "$text" "$(of_reply '[.choices[0].logprobs.content[].bytes[]] | implode')"

curl -sN -m 60 -d "$(chat "$question" '{stream: true, stream_options: {include_usage: true}}')" "$url/v1/chat/completions" >"$tmp/stream"
equal "a stream ends with [DONE]" "data: [DONE]" "$(grep . "$tmp/stream" | tail -n 1)"
sed -n 's/^data: \({.*\)/\1/p' "$tmp/stream" >"$tmp/chunks"
equal "its text is the same" "$text" "$(jq -rj '.choices[]?.delta.content // ""' "$tmp/chunks")"
equal "its usage comes last" true "$(tail -n 1 "$tmp/chunks" | jq '.choices == [] and .usage.completion_tokens > 0')"
equal "events stand apart" "$(grep -c '^data: ' "$tmp/stream")" "$(grep -c '^$' "$tmp/stream")"

equal "a completion" "200 text_completion" "$(ask /v1/completions '{"prompt": "The sky", "max_tokens": 5, "temperature": 0}') $(of_reply .object)"
equal "it is that of --raw" "$("$run" -m "$demo" --raw -p "The sky" -n 5 -q)" "$(of_reply '.choices[0].text')"
equal "tokens" "200 $("$run" tokenize -m "$demo" -p Hello --no-special --json)" \
    "$(ask /tokenize '{"content": "Hello"}') $(jq -c .tokens "$tmp/reply")"
equal "and back" "200 Hello" "$(ask /detokenize "$(jq -c '{tokens}' "$tmp/reply")") $(of_reply .content)"
held() { awk '/^VmHWM/ { print int($2 / 1024) }' "/proc/$server/status"; }
before=$(held)
{ printf '{"content": "'; head -c 4000000 /dev/zero | tr '\0' z; printf '"}'; } >"$tmp/zs"
equal "a text of 4 MB" "200 {\"tokens\":[" "$(ask /tokenize "@$tmp/zs") $(head -c 11 "$tmp/reply")"
if [[ $build == *san ]]; then
    echo "skip - the memory that it takes: sanitizers keep what is freed"
elif [ $(($(held) - before)) -lt 200 ]; then
    ok "it takes little memory"
else
    fail "it takes little memory" "$before MiB, then $(held)"
fi
equal "metrics" true "$([ "$(metric generated_tokens_total)" -gt 0 ] && echo true)"

# --- the same among others ---

answer() { curl -s -m 300 -d "$1" "$url/v1/chat/completions" | jq -r '.choices[0].message.content'; }
for i in 1 2 3 4 5 6 7 8 9; do
    chat "Say something about number $i, please." "{temperature: 0.9, seed: $i, max_tokens: 40}" >"$tmp/request$i"
    answer "@$tmp/request$i" >"$tmp/alone$i"
done
pids=
for i in 1 2 3 4 5 6 7 8 9; do answer "@$tmp/request$i" >"$tmp/among$i" & pids+=" $!"; done
# shellcheck disable=SC2086 # words
wait $pids
equal "the same texts alone and among 8 others" "$(cat "$tmp"/alone?)" "$(cat "$tmp"/among?)"

# --- a conversation ---

ask /v1/chat/completions "$(chat "$question")" >/dev/null
reply=$(of_reply '.choices[0].message.content') before=$(of_reply '.usage.prompt_tokens')
turn=$(jq -nc --arg a "$question" --arg b "$reply" '{temperature: 0, messages: [{role: "user", content: $a}, {role: "assistant", content: $b}, {role: "user", content: "And of Peru?"}]}')
equal "the next turn" "200" "$(ask /v1/chat/completions "$turn")"
equal "it computes its own tokens only" true "$(of_reply ".usage.prompt_tokens_details.cached_tokens >= $before")"

# --- errors ---

refused() { equal "refused: $1" "$2 $3" "$(ask "${5:-/v1/chat/completions}" "$4") $(of_reply '.error.param // "-"')"; }
refused "an unknown field" 400 tempreature "$(chat x '{tempreature: 1}')"
refused "a value out of range" 400 temperature "$(chat x '{temperature: 3}')"
refused "tools" 400 tools "$(chat x '{tools: [{}]}')"
refused "another format" 400 response_format "$(chat x '{response_format: {type: "json_object"}}')"
refused "no JSON" 400 - "{"
refused "another model" 404 model "$(chat x '{model: "gpt-4"}')"
refused "another path" 404 - "{}" /v1/embeddings
equal "refused: another method" 405 "$(get /v1/chat/completions)"
allowed() { curl -s -m 60 -D - -o /dev/null "${@:2}" "$url$1" | tr -d '\r' | sed -n 's/^Allow: //p'; }
equal "what may be asked" "POST|GET, HEAD" "$(allowed /v1/chat/completions)|$(allowed /health -X DELETE)"
equal "HEAD: the headers of GET" "$(curl -s -m 60 -D - -o /dev/null "$url/health" | grep -v ^Date)" "$(curl -s -m 60 -I "$url/health" | grep -v ^Date)"
printf 'HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' | curl -s -m 60 "telnet://${url#http://}" | tr -d '\r' >"$tmp/head"
equal "HEAD: no body" "HTTP/1.1 200 OK|0" "$(head -n 1 "$tmp/head")|$(sed '1,/^$/d' "$tmp/head" | wc -c)"
yes word | head -n 5000 | paste -sd ' ' >"$tmp/long"
refused "a prompt that is too long" 400 messages "$(jq -nc --rawfile text "$tmp/long" '{messages: [{role: "user", content: $text}]}')"
[[ $(of_reply .error.message) =~ [0-9]+\ tokens.*holds\ [0-9]+ ]] && ok "with both counts" || fail "with both counts" "$(of_reply .error.message)"
head -c 5000000 /dev/zero | tr '\0' ' ' >"$tmp/large"
equal "refused: a body that is too large" 413 "$(ask /tokenize "@$tmp/large")"
equal "refused: one whose size is not announced" "413 the body has more than 4194304 bytes" \
    "$(ask /tokenize "@$tmp/large" -H 'Transfer-Encoding: chunked') $(of_reply .error.message)"
equal "refused: a name of another site" 403 "$(get /health -H 'Host: evil.example')"
equal "refused: a page of another site" 403 "$(get /v1/models -H 'Origin: https://evil.example')"
equal "its own page may" 200 "$(get /v1/models -H "Origin: $url")"
equal "no other origin is named" 0 "$(curl -sD - -o /dev/null "$url/health" | grep -ci access-control)"
equal "the page may load nothing else" 1 "$(curl -sD - -o /dev/null "$url/" | grep -c "^Content-Security-Policy: default-src 'none'; ")"

exec 9<>"/dev/tcp/127.0.0.1/${url##*:}"
printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n' >&9
equal "refused: two names" "HTTP/1.1 400 Bad Request" "$(head -n 1 <&9 | tr -d '\r')"
exec 9>&-

# --- leaving and ending ---

exec 9<>"/dev/tcp/127.0.0.1/${url##*:}"
printf 'POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{' >&9
get /health >/dev/null # which comes after that request
kill -TERM "$server"
timeout 20 tail --pid="$server" -f /dev/null # a request that has not arrived is allowed more
equal "SIGTERM waits for no request that is not there" 0 $?
exec 9>&-
wait "$server"
equal "SIGTERM ends it" 0 $?
server=

start --cpu scalar -t 1 --parallel 1 --queue 0 --cache-mib 0
ban=$(for id in $("$run" tokenize -m "$demo" -p '<|end|><|endoftext|><|assistant|>' | tr ' ' '\n' | sort -u); do echo "\"$id\": -100"; done | paste -sd ,)
long=$(chat "$question" "{stream: true, logit_bias: {$ban}}")
start_long() { : >"$tmp/long_reply"; curl -sN -m 120 -d "$long" "$url/v1/chat/completions" >"$tmp/long_reply" & client=$!; for _ in $(seq 1500); do [ -s "$tmp/long_reply" ] && break; sleep 0.02; done; }
start_long
equal "a full queue" 429 "$(ask /v1/chat/completions "$(chat x)")"
kill $client
for _ in $(seq 1500); do [ "$(metric replies_running)" = 0 ] && break; sleep 0.02; done
equal "a client that leaves ends its generation" 1 "$(metric 'replies_total{end="cancelled"}')"
start_long
kill -TERM "$server"
sleep 0.2
equal "no new connection while it drains" 7 "$(get /health >/dev/null; echo $?)"
wait "$server"
equal "it ends" 0 $?
server=
wait $client
equal "after the reply that had begun" "data: [DONE]" "$(grep . "$tmp/long_reply" | tail -n 1)"

# --- the model's name ---

cp "$demo" "$tmp/"$'n\xff.qins'
expect "a file's name that is not UTF-8" 2 'would be "n\\xff", which is not UTF-8; give one with --alias' "$run" serve -m "$tmp/"$'n\xff.qins' --port 0
expect "nor is the alias" 2 'is not UTF-8' "$run" batch -m "$demo" --alias $'\xc3'
expect "an empty alias" 2 'would be empty; give one with --alias' "$run" serve -m "$demo" --port 0 --alias ""
expect "an alias helps" 0 "" "$run" batch -m "$tmp/"$'n\xff.qins' --alias n

# --- who may use it ---

for origin in '*' app.example https://app.example/; do
    expect "no origin: $origin" 2 'takes one origin' "$run" serve -m "$demo" --cors "$origin"
done
expect "elsewhere only with a key" 2 'api-key-file' "$run" serve -m "$demo" --host 0.0.0.0
printf 'secret-one\nsecret-two\n' >"$tmp/keys"
start --api-key-file "$tmp/keys" --cors https://app.example --no-ui
equal "no key" "401 invalid_api_key" "$(get /v1/models) $(of_reply .error.code)"
equal "a wrong key" 401 "$(get /v1/models -H 'Authorization: Bearer secret-on')"
head -c 1000000 /dev/zero >"$tmp/body"
equal "it is told, too, while a body is sent" "401 invalid_api_key" \
    "$(curl -s -m 60 -o "$tmp/reply" -w '%{http_code}' -H 'Expect:' --data-binary "@$tmp/body" "$url/v1/completions") $(of_reply .error.code)"
equal "a key" 200 "$(get /v1/models -H 'Authorization: Bearer secret-two')"
equal "health needs none" 200 "$(get /health)"
equal "no page" 404 "$(get /)"
equal "another origin that is named" 1 "$(curl -sD - -o /dev/null -H 'Origin: https://app.example' "$url/health" | grep -c '^Access-Control-Allow-Origin: https://app.example')"
equal "which may read when to try again" 1 "$(curl -sD - -o /dev/null -H 'Origin: https://app.example' "$url/health" | grep -c '^Access-Control-Expose-Headers: Retry-After')"
equal "methods with the one to ask by" "GET, HEAD, OPTIONS" "$(allowed /health -X POST -d '')"
equal "it may ask before" 204 "$(get /v1/models -X OPTIONS -H 'Origin: https://app.example')"
equal "it may send any headers" "Authorization, Content-Type, *" "$(curl -s -m 60 -D - -o /dev/null -X OPTIONS -H 'Origin: https://app.example' \
    -H 'Access-Control-Request-Headers: authorization,content-type,x-stainless-lang' "$url/v1/completions" | tr -d '\r' | sed -n 's/^Access-Control-Allow-Headers: //p')"
stop_server
equal "keys are not logged" 0 "$(grep -c secret "$tmp/log")"

start_at_path() {
    : >"$tmp/log"
    "$run" serve -m "$demo" --unix "$tmp/socket" -t 2 2>"$tmp/log" & server=$!
    for _ in $(seq 600); do grep -q 'listening at' "$tmp/log" && break; sleep 0.1; done
}
start_at_path
url=http://localhost
equal "a socket of a path" 200 "$(get /health --unix-socket "$tmp/socket")"
equal "for the user only" srwx------ "$(stat -c %A "$tmp/socket")"
expect "it is in use" 1 'cannot listen' "$run" serve -m "$demo" --unix "$tmp/socket"
stop_server
[ -e "$tmp/socket" ] && fail "it is removed" "it is there" || ok "it is removed"

# Whatever is at its path by the time it ends is only removed if it is that socket.
start_at_path
rm "$tmp/socket" && echo mine >"$tmp/socket"
stop_server
equal "a file that took its place stays" mine "$(cat "$tmp/socket")"
rm -f "$tmp/socket"
start_at_path
first=$server
rm "$tmp/socket"
start_at_path
second=$server server=$first
stop_server
equal "the next server's socket stays" 200 "$(get /health --unix-socket "$tmp/socket")"
server=$second
stop_server
[ -e "$tmp/socket" ] && fail "and goes with that" "it is there" || ok "and goes with that"

# --- batches ---

{ chat "$question"; echo; chat "Hello" '{seed: 1, temperature: 1}'; echo '{"typo": 1}'; echo '{"prompt": "The sky", "max_tokens": 5, "temperature": 0}'; } >"$tmp/requests"
"$run" batch -m "$demo" -t 2 <"$tmp/requests" >"$tmp/replies" 2>"$tmp/err"
equal "a batch" "0 qinsrun: replies: 4, 1 of them errors" "$? $(tail -n 1 "$tmp/err")"
equal "its replies in order" "$text|typo|text_completion" "$(jq -rs '[.[0].choices[0].message.content, .[2].error.param, .[3].object] | join("|")' "$tmp/replies")"
head -n 2 "$tmp/replies" >"$tmp/some"
# shellcheck disable=SC2094 # it reads the file before it writes
"$run" batch -m "$demo" -t 2 -q --skip-done "$tmp/some" <"$tmp/requests" >>"$tmp/some"
texts() { jq -c '.choices[0].message.content // .choices[0].text // .error.param' "$1"; }
equal "a batch that goes on" "$(texts "$tmp/replies")" "$(texts "$tmp/some")"
printf '{"half' >>"$tmp/some"
expect "a line that was cut" 2 'ends with an incomplete line' "$run" batch -m "$demo" --skip-done "$tmp/some"

{ printf '{"prompt": "%s"}\n \t\r\n{"typo": 1}' "$(head -c 200000 /dev/zero | tr '\0' z)"; } | "$run" batch -m "$demo" -q >"$tmp/replies"
equal "a long line, a blank one, and one without an end" "prompt|typo" "$(jq -rs 'map(.error.param) | join("|")' "$tmp/replies")"

coproc batch { "$run" batch -m "$demo" -q; }
replies='' to=${batch[1]}
for prompt in "The sky" "The sea"; do
    echo "{\"prompt\": \"$prompt\", \"max_tokens\": 2}" >&"$to"
    read -r -t 60 reply <&"${batch[0]}" && replies+=$(jq -r .object <<<"$reply")" "
done
exec {to}>&-
equal "each reply before the next request" "text_completion text_completion " "$replies"

# interrupt INPUT: SIGTERM, which is as Ctrl-C, to a batch after its first reply; prints its exit code and how many it has.
interrupt() {
    local batch
    : >"$tmp/some"
    "$run" batch -m "$demo" --cpu scalar -t 1 --parallel 2 <"$1" >"$tmp/some" 2>"$tmp/err" &
    batch=$!
    for _ in $(seq 600); do [ -s "$tmp/some" ] && break; sleep 0.05; done
    kill -TERM $batch
    wait $batch
    echo "$? $(wc -l <"$tmp/some")"
}
{ chat "$question"; for _ in 1 2 3 4 5 6; do chat "$question" "{logit_bias: {$ban}}"; done; } >"$tmp/requests"
equal "an interrupted batch: the replies that are whole" "130 1" "$(interrupt "$tmp/requests")"
grep -q 'interrupted; replies printed: 1; continue with --skip-done' "$tmp/err" && ok "it says how to go on" || fail "it says how to go on" "$(cat "$tmp/err")"
# shellcheck disable=SC2094 # it reads the file before it writes
"$run" batch -m "$demo" -t 2 -q --skip-done "$tmp/some" <"$tmp/requests" >>"$tmp/some"
equal "and goes on" "7 true" "$(wc -l <"$tmp/some") $(jq -s '.[1:] | map(.choices[0].message.content) | unique | length == 1' "$tmp/some")"
mkfifo "$tmp/input"
{ for _ in 1 2 3 4 5; do chat "$question"; done; exec sleep 60; } >"$tmp/input" &
writer=$!
equal "one that waits for requests ends, too" 130 "$(interrupt "$tmp/input" | cut -d ' ' -f 1)"
kill $writer

# Two tokens that are a byte each, which make a character or not, among those of a word.
bias=$("$run" tokenize -m "$demo" -p ' the' | tr ' ' '\n' | tail -n 1 | jq -c '{"\(.)": 98, "172": 100, "198": 100}')
for seed in 1 2 3 4; do
    jq -nc --argjson bias "$bias" "{prompt: \"The sky\", max_tokens: 60, temperature: 2, seed: $seed, logprobs: 1, logit_bias: \$bias}"
done | "$run" batch -m "$demo" -t 2 -q >"$tmp/replies"
offsets() { jq -c '.choices[0] | .text as $text | .logprobs | [.tokens, .text_offset] | transpose[] as [$token, $at] | [$token, $at, $text[$at:$at + 4]]' "$tmp/replies"; }
equal "text_offset: where a token of text begins" "true true" "$(offsets | jq -rs 'map(select(.[0] | startswith("bytes:") | not)) | "\(length > 100) \(all(.[0] == .[2]))"')"
equal "text_offset: where a token of bytes begins" "true" "$(offsets | jq -s 'all(.[0] == " the" or .[2][:1] == "\ufffd" or .[2][:1] == "é")')"
equal "text_offset: a character of two tokens" "true" "$(offsets | jq -s '[., .[1:]] | transpose | any(.[0][:1] == ["bytes:\\xc3"] and .[1] == ["bytes:\\xa9", .[0][1], .[0][2]] and .[0][2][:1] == "é")')"

# --- another project's client ---

if [ -n "${OPENAI_PYTHON-}" ]; then
    start
    "$OPENAI_PYTHON" tests/oracle/openai_client.py "$url/v1" >"$tmp/out" 2>&1 || fail "openai client" "$(tail -n 3 "$tmp/out")"
    grep -E '^(ok|FAIL) ' "$tmp/out"
    grep -q '^FAIL' "$tmp/out" && failed=1
else
    echo "skip - openai client: OPENAI_PYTHON does not name a Python that has it"
fi
exit $failed
