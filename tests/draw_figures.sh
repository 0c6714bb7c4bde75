#!/usr/bin/env bash
# A picture (SVG, for light and dark pages) of what tests/figures.sh measured: KL divergence, on a logarithmic axis, by bits
# a weight. Usage: tests/draw_figures.sh FIGURES.jsonl...     (lines of several programs; make figures)
set -eu
grep -h '"program"' "$@" | awk '
    function text(key) { return match($0, "\"" key "\":\"[^\"]*") ? substr($0, RSTART + length(key) + 4, RLENGTH - length(key) - 4) : "" }
    function number(key) { return match($0, "\"" key "\":[0-9.e+-]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0 }
    function px(bits) { return sprintf("%.1f", 60 + 560 * (bits - 4) / 5) }
    function py(kld) { return sprintf("%.1f", 30 + 290 * (log(top) - log(kld)) / (log(top) - log(bottom))) }
    { n++; program[n] = text("program"); name[n] = text("name"); bits[n] = number("bits"); kld[n] = number("kld") }
    END {
        top = 1; bottom = 1e-4
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 380\" font-family=\"sans-serif\" font-size=\"11\">"
        print "<style>svg{background:#fff}text{fill:#222}.grid{stroke:#ddd}.qins{fill:#0b62c4}.peer{fill:#c43d0b}"
        print "@media(prefers-color-scheme:dark){svg{background:#161616}text{fill:#ddd}.grid{stroke:#3a3a3a}.qins{fill:#6cb2ff}.peer{fill:#ff9a6c}}</style>"
        for (e = 0; e >= -4; e--) {
            printf "<line class=\"grid\" x1=\"60\" x2=\"620\" y1=\"%s\" y2=\"%s\"/>", py(10 ^ e), py(10 ^ e)
            printf "<text x=\"54\" y=\"%s\" text-anchor=\"end\">%s</text>\n", py(10 ^ e) + 4, e == 0 ? "1" : "1e" e }
        for (b = 4; b <= 9; b++) {
            printf "<line class=\"grid\" x1=\"%s\" x2=\"%s\" y1=\"30\" y2=\"320\"/>", px(b), px(b)
            printf "<text x=\"%s\" y=\"336\" text-anchor=\"middle\">%d</text>\n", px(b), b }
        for (i = 1; i <= n; i++) {
            if (bits[i] < 4 || bits[i] > 9 || kld[i] <= bottom || kld[i] >= top) continue
            class = program[i] == "qins" ? "qins" : "peer"
            printf "<circle class=\"%s\" cx=\"%s\" cy=\"%s\" r=\"4\"/>", class, px(bits[i]), py(kld[i])
            printf "<text class=\"%s\" x=\"%s\" y=\"%s\">%s</text>\n", class, px(bits[i]) + 7, py(kld[i]) + 4, name[i] }
        print "<text x=\"10\" y=\"16\">mean KL divergence from the checkpoint, nats</text>"
        print "<text x=\"340\" y=\"360\" text-anchor=\"middle\">bits a weight, of the layers&#8217; matrices</text>"
        print "<text x=\"620\" y=\"16\" text-anchor=\"end\"><tspan class=\"qins\">qins</tspan> &#183; <tspan class=\"peer\">llama.cpp</tspan></text>"
        print "</svg>" }'
