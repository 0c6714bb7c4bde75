#!/usr/bin/env bash
# qinsrun serve among crowds and hostile clients. Usage: test_serve_clients.sh BUILD_DIR
# Slow: it waits for clients that send nothing or never end.
. "$(dirname "$0")/demo.sh"
if ! command -v "${PYTHON:=python3}" >/dev/null; then
    echo "skip - server: crowds and hostile clients: there is no $PYTHON"
    exit 0
fi
for clients in "load_clients.py 5" "hostile_clients.py 700 0"; do
    # shellcheck disable=SC2086 # words
    "$PYTHON" tests/${clients%% *} "$run" "$demo" ${clients#* } >"$tmp/out" 2>"$tmp/err" && ok "${clients%%.*}" ||
        fail "${clients%%.*}" "$(tail -n 30 "$tmp/out" "$tmp/err")"
done
exit $failed
