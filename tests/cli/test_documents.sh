#!/usr/bin/env bash
# The checkable statements of the documents: their links, the tables of figures, the first bytes of a file in FORMAT.md.
# Usage: test_documents.sh BUILD_DIR
. "$(dirname "$0")/demo.sh"

# links DOCUMENT: the paths of its links and pictures, without what is outside and without places in a page.
links() { grep -oE '\]\([^)]+\)' "$1" | sed -E 's/^\]\(//; s/[#)].*//' | grep -vE '^(https?:.*)?$'; }

documents=(*.md docs/*.md engine/format/FORMAT.md tests/oracle/README.md)
for document in "${documents[@]}"; do
    missing=
    for path in $(links "$document"); do
        [ -e "$(dirname "$document")/$path" ] || missing+=" $path"
    done
    equal "the links of $document" "" "$missing"
done

for document in README.md docs/quality.md; do
    cp "$document" "$tmp/document.md"
    tests/figures_tables.sh "$tmp/document.md"
    equal "the figures of $document are those of docs/*.jsonl" "" "$(diff "$document" "$tmp/document.md")"
done
equal "so is the picture" "" "$(tests/draw_figures.sh docs/figures.jsonl docs/peers.jsonl | diff - docs/figures.svg)"

# Lengths and the header's hash depend on the converter's version.
stated=$(sed -n '/^\$ od /,/^```/p' engine/format/FORMAT.md | grep -E '^0' | sed -E '/^00000(16|32) /d')
equal "the first bytes in FORMAT.md" "$stated" "$(od -A d -t x1z -v -N 112 "$demo" | sed -E '/^00000(16|32) /d')"
exit $failed
