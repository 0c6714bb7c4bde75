#!/usr/bin/env bash
# CVE-2026-43631 (GHSA-6hc7-9rph-cm99, llama.cpp): llama-server freed an idle model, and requests in other threads went on
# to use its vocabulary. Here no model is freed before the last reply has ended: it is kept when its file fails and when the
# server is told to end. With a sanitizer, a use after that would end the server. Usage: test_cve_2026_43631.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"
command -v curl >/dev/null || { echo "skip - a model that ends under requests: curl is not installed"; exit 0; }
server=
trap '[ -n "$server" ] && kill -KILL "$server" 2>/dev/null; rm -rf "$tmp"' EXIT
body='{"messages": [{"role": "user", "content": "Tell me about the moon and the sea."}], "max_tokens": 200}'

start() {
    cp "$demo" "$tmp/served.qins"
    : >"$tmp/log"
    "$run" serve -m "$tmp/served.qins" --port 0 -t 2 2>"$tmp/log" &
    server=$!
    for _ in $(seq 600); do
        grep -q 'listening at' "$tmp/log" && break
        sleep 0.1
    done
    url=$(sed -n 's/.*listening at //p' "$tmp/log")
}

# start_clients: three of them, which ask again and again.
start_clients() {
    clients=()
    for _ in 1 2 3; do
        for _ in $(seq 10); do curl -s -m 60 -o /dev/null -d "$body" "$url/v1/chat/completions"; done &
        clients+=($!)
    done
    sleep 0.3
}
status_of() { curl -s -m 60 -o "$tmp/reply" -w '%{http_code}' "${@:2}" "$url$1"; }

start
start_clients
: >"$tmp/served.qins"
# It is the one that finds the fault (500), or comes after one that did (503).
status=$(status_of /v1/chat/completions -d "$body")
case $status in
500 | 503) ok "a request for a model whose file fails meanwhile" ;;
*) fail "a request for a model whose file fails meanwhile" "$status: $(cat "$tmp/reply")" ;;
esac
wait "${clients[@]}"
equal "the server is there afterwards" 503 "$(status_of /v1/chat/completions -d "$body")"
equal "and its vocabulary, too" 200 "$(status_of /tokenize -d '{"content": "<|end|>"}')"
kill -TERM "$server"
wait "$server"
equal "its end says what became of the model" "3 1" "$? $(grep -c 'served.qins was changed or cut off while in use' "$tmp/log")"

for _ in 1 2 3 4 5; do
    start
    start_clients
    kill -TERM "$server"
    wait "$server"
    equal "told to end in the middle of replies" 0 $?
    wait "${clients[@]}"
done
server=
exit $failed
