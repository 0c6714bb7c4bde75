#!/usr/bin/env bash
# A picture (SVG, for light and dark pages) of the figures of tests/figures.sh, by bits per weight: KL divergence, on a
# logarithmic axis, and generated tokens a second. Usage: tests/draw_figures.sh FIGURES.jsonl...     (lines of several
# programs; make figures)
set -eu
grep -h '"program"' "$@" | awk "$(cat "$(dirname "$0")/figures_fields.awk")"'
    function px(bits) { return panel + 60 + 400 * (bits - 4) / 5 }
    function py(value) { return 40 + 280 * (is_log ? log(top / value) / log(top / bottom) : (top - value) / (top - bottom)) }
    function taken(l, r, t, b,    i) { # does a rectangle touch one that is in use?
        for (i = 1; i <= used; i++) if (l < right[i] && r > left[i] && t < down[i] && b > up[i]) return 1
        return l < panel + 60 || r > panel + 495 }
    function take(l, r, t, b) { used++; left[used] = l; right[used] = r; up[used] = t; down[used] = b }
    function label(x, y, name, class,    side, w, l, t) { # beside, above or below its dot, where there is room; else none
        w = 5.6 * length(name)
        for (side = 1; side <= 6; side++) {
            l = side == 1 ? x + 7 : side == 2 ? x - 7 - w : side % 2 ? x - 2 : x + 2 - w
            t = side <= 2 ? y - 5 : side <= 4 ? y + 5 : y - 15
            if (taken(l, l + w, t, t + 10)) continue
            take(l, l + w, t, t + 10)
            printf "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, l, t + 9, name
            return } }
    function horizontal(value, words) {
        printf "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", panel + 60, panel + 460, py(value), py(value)
        printf "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", panel + 54, py(value) + 4, words }
    function vertical(bits) {
        printf "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"40\" y2=\"320\"/>", px(bits), px(bits)
        printf "<text x=\"%.1f\" y=\"336\" text-anchor=\"middle\">%d</text>\n", px(bits), bits }
    function dots(values,    i) {
        for (i = 1; i <= n; i++) if (shown(values[i])) {
            printf "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", class[i], px(bits[i]), py(values[i])
            take(px(bits[i]) - 4, px(bits[i]) + 4, py(values[i]) - 4, py(values[i]) + 4) }
        for (i = 1; i <= n; i++) if (shown(values[i])) label(px(bits[i]), py(values[i]), name[i], class[i])
        printf "<text x=\"%d\" y=\"360\" text-anchor=\"middle\">bits per weight, of the layers&#8217; matrices</text>\n", panel + 260 }
    function shown(value) { return value > bottom && value < top }
    function heading(words) { printf "<text x=\"%d\" y=\"26\">%s</text>\n", panel + 20, words }
    { n++; name[n] = text("name"); bits[n] = number("bits"); kld[n] = number("kld"); speed[n] = number("tok_s")
      class[n] = text("program") == "qins" ? "qins" : text("program") == "llama.cpp" ? "llama" : "ik"
      if (speed[n] > fastest) fastest = speed[n] }
    END {
        print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 380\" font-family=\"sans-serif\" font-size=\"10\">"
        print "<style>svg{background:#fff}text{fill:#222}.grid{stroke:#ddd}.qins{fill:#0b62c4}.llama{fill:#c43d0b}.ik{fill:#7a5c00}"
        print "@media(prefers-color-scheme:dark){svg{background:#161616}text{fill:#ddd}.grid{stroke:#3a3a3a}.qins{fill:#6cb2ff}.llama{fill:#ff9a6c}.ik{fill:#e3c04f}}</style>"
        for (panel = 0; panel <= 500; panel += 500) for (b = 4; b <= 9; b++) vertical(b)
        panel = 0; is_log = 1; top = 1; bottom = 1e-4
        heading("KL divergence from the checkpoint, mean, nats: lower is better")
        for (e = 0; e >= -4; e--) horizontal(10 ^ e, e == 0 ? "1" : "1e" e)
        dots(kld)
        panel = 500; is_log = 0; bottom = 0; top = 50 * (int(fastest / 50) + 1)
        heading("tokens generated a second: higher is better")
        for (s = 0; s <= top; s += 50) horizontal(s, s)
        dots(speed)
        print "<text class=\"qins\" x=\"20\" y=\"10\">qins</text><text class=\"llama\" x=\"55\" y=\"10\">llama.cpp</text><text class=\"ik\" x=\"120\" y=\"10\">ik_llama.cpp</text>"
        print "</svg>" }'
