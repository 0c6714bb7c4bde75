#!/usr/bin/env bash
# The Content-Security-Policy of a page: its own <style> and <script>, by their hashes, and nothing else. Called by make.
# Usage: page_policy.sh PAGE
set -euo pipefail

# source_of TAG: the hash of the text between <TAG> and </TAG>, as a source; 'none' without one.
source_of() {
    local text
    text=$(sed -n "/^<$1>/,/<\/$1>/p" "$page"; echo .) # the dot keeps the newlines at the end
    text=${text%$'\n'.}
    [ "$text" != . ] || { echo "'none'"; return; }
    text=${text#"<$1>"} text=${text%"</$1>"*}
    printf "'sha256-%s'\n" "$(printf %s "$text" | sha256sum | cut -c 1-64 | sed 's/../\\x&/g' | xargs -0 printf '%b' | head -c 32 | base64)"
}

page=$1
printf "default-src 'none'; style-src %s; script-src %s; connect-src 'self'; img-src 'self' data:; " "$(source_of style)" "$(source_of script)"
printf "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
