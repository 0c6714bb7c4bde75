#!/usr/bin/env bash
# Put the tables of docs/figures.jsonl and docs/peers.jsonl into documents, between the lines "<!-- figures: best -->" (each
# type by its calibrated file, if there is one) or "<!-- figures: all -->" and "<!-- end of figures -->".
# Usage: tests/figures_tables.sh DOCUMENT...     (make figures)
set -eu
tests=$(dirname "$0")

# table best|all
table() {
    grep -h '"program"' "$tests"/../docs/{figures,peers}.jsonl | awk -v which="$1" "$(cat "$tests/figures_fields.awk")"'
        { n++; program[n] = text("program"); name[n] = text("name"); base = name[n]; bits[n] = number("bits")
          sub(/ (calibrated|imatrix)$/, "", base)
          kld = sprintf("%.2e", number("kld"))
          sub(/e-0/, "e-", kld)
          row[n] = sprintf("| %.2f | %.0f | %s | %.1f %%", bits[n], number("file_bytes") / 1e6, kld, 100 * number("same_top"))
          if (number("tok_s"))
              speed[n] = sprintf("%.0f | %.0f | %.0f", number("prompt_s"), number("tok_s"), number("peak_mib") * 1.048576)
          if (base != name[n]) { better[program[n] base] = 1; if (!speed[n]) speed[n] = known[program[n] base] }
          else known[program[n] base] = speed[n] }
        END {
            print "| file | bits per weight | MB | KL divergence | same top token | prompt, tok/s | generation, tok/s | memory, MB |"
            print "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
            for (left = n; left > 0; left--) {
                best = 0
                for (i = 1; i <= n; i++) if (!(i in taken) && (!best || bits[i] > bits[best])) best = i
                taken[best] = 1
                if (which == "best" && better[program[best] name[best]]) continue
                mark = program[best] == "qins" ? "**" : ""
                printf "| %s%s%s, %s %s | %s |\n", mark, program[best], mark, name[best], row[best], speed[best] ? speed[best] : " | | " } }'
}

for document in "$@"; do
    updated=$(mktemp)
    while IFS= read -r line; do
        [ "$line" = "<!-- end of figures -->" ] && skip=
        [ -n "${skip-}" ] || printf '%s\n' "$line"
        case $line in "<!-- figures: "*) skip=yes && which=${line#*: } && printf '\n%s\n\n' "$(table "${which% -->}")" ;; esac
    done <"$document" >"$updated"
    cat "$updated" >"$document"
    rm "$updated"
done
