#!/usr/bin/env bash
# A picture (SVG, for light and dark pages) of what tests/figures.sh measured: KL divergence, on a logarithmic axis, by bits
# per weight. Usage: tests/draw_figures.sh FIGURES.jsonl...     (lines of several programs; make figures)
set -eu
grep -h '"program"' "$@" | awk "$(cat "$(dirname "$0")/figures_fields.awk")"'
    function px(bits) { return 60 + 560 * (bits - 3.5) / 5.5 }
    function py(kld) { return 30 + 290 * (log(top) - log(kld)) / (log(top) - log(bottom)) }
    function taken(l, r, t, b,    i) { # does a rectangle touch one that is in use?
        for (i = 1; i <= used; i++) if (l < right[i] && r > left[i] && t < down[i] && b > up[i]) return 1
        return l < 60 || r > 655 }
    function take(l, r, t, b) { used++; left[used] = l; right[used] = r; up[used] = t; down[used] = b }
    function label(x, y, name, class,    side, w, l, t) { # beside, above or below its dot, where there is room
        w = 6 * length(name)
        for (side = 1; side <= 6; side++) {
            l = side == 1 ? x + 7 : side == 2 ? x - 7 - w : side % 2 ? x - 2 : x + 2 - w
            t = side <= 2 ? y - 5 : side <= 4 ? y + 5 : y - 15
            if (!taken(l, l + w, t, t + 10)) break }
        take(l, l + w, t, t + 10)
        printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, l, t + 9, name }
    { n++; program[n] = text("program"); name[n] = text("name"); bits[n] = number("bits"); kld[n] = number("kld") }
    END {
        top = 1; bottom = 1e-4
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 660 380\" font-family=\"sans-serif\" font-size=\"11\">"
        print "<style>svg{background:#fff}text{fill:#222}.grid{stroke:#ddd}.qins{fill:#0b62c4}.peer{fill:#c43d0b}"
        print "@media(prefers-color-scheme:dark){svg{background:#161616}text{fill:#ddd}.grid{stroke:#3a3a3a}.qins{fill:#6cb2ff}.peer{fill:#ff9a6c}}</style>"
        for (e = 0; e >= -4; e--) {
            printf "<line class=\"grid\" x1=\"60\" x2=\"620\" y1=\"%.1f\" y2=\"%.1f\"/>", py(10 ^ e), py(10 ^ e)
            printf "<text x=\"54\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", py(10 ^ e) + 4, e == 0 ? "1" : "1e" e }
        for (b = 4; b <= 9; b++) {
            printf "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"30\" y2=\"320\"/>", px(b), px(b)
            printf "<text x=\"%.1f\" y=\"336\" text-anchor=\"middle\">%d</text>\n", px(b), b }
        for (i = 1; i <= n; i++) {
            if (bits[i] < 4 || bits[i] > 9 || kld[i] <= bottom || kld[i] >= top) { name[i] = ""; continue }
            printf "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", program[i] == "qins" ? "qins" : "peer", px(bits[i]), py(kld[i])
            take(px(bits[i]) - 4, px(bits[i]) + 4, py(kld[i]) - 4, py(kld[i]) + 4) }
        for (i = 1; i <= n; i++) if (name[i] != "") label(px(bits[i]), py(kld[i]), name[i], program[i] == "qins" ? "qins" : "peer")
        print "<text x=\"10\" y=\"16\">mean KL divergence from the checkpoint, nats</text>"
        print "<text x=\"340\" y=\"360\" text-anchor=\"middle\">bits per weight, of the layers&#8217; matrices</text>"
        print "<text class=\"qins\" x=\"530\" y=\"16\">qins</text><text class=\"peer\" x=\"565\" y=\"16\">llama.cpp</text>"
        print "</svg>" }'
