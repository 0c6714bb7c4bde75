#!/usr/bin/env bash
# The server's page in Chromium: against a mock server (tests/page), and as the program serves it. Usage: test_page.sh BUILD_DIR
# PYTHON: an interpreter with selenium, python3 by default; CHROMIUM, CHROMEDRIVER: the programs, those in PATH by default.
# Slow: a browser starts for each of its tests.
. "$(dirname "$0")/demo.sh"
case $(basename "$build") in
asan | tsan)
    echo "skip - page: the release build serves it"
    exit 0
    ;;
esac
python=${PYTHON:-python3}
export PYTHONDONTWRITEBYTECODE=1

if ! "$python" -c 'import selenium' 2>/dev/null; then
    echo "skip - page: $python has no selenium (python3-selenium)"
elif ! command -v "${CHROMIUM:-chromium}" >/dev/null || ! command -v "${CHROMEDRIVER:-chromedriver}" >/dev/null; then
    echo "skip - page: there is no Chromium with its driver (chromium, chromium-driver)"
else
    for test in tests/page/test_*.py; do "$python" "$test" "$run" "$demo" || failed=1; done
    exit $failed
fi
