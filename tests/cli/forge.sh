# For the tests of hostile files, sourced with the build folder as $1: demo.sh, and forged copies of the demo, whose
# hashes are right.
# shellcheck shell=bash disable=SC2154 # set by demo.sh
. "$(dirname "${BASH_SOURCE[0]}")/demo.sh"
python=${PYTHON:-python3}
if ! "$python" -c 'import xxhash' 2>/dev/null; then
    echo "skip - forged files: $python has no xxhash"
    exit 0
fi

# forge FILE PATTERN REPLACEMENT: the demo with the first match in its header replaced, everything else as it should be.
forge() {
    "$python" - "$demo" "$@" <<'P'
import re, struct, sys, xxhash
demo, path, pattern, replacement = sys.argv[1:]
data = open(demo, "rb").read()
(size,) = struct.unpack_from("<Q", data, 24)
text, n = re.subn(pattern.encode(), replacement.encode(), data[64:64 + size].rstrip(), count=1)
assert n == 1, pattern
assert len(text) <= size
header = text.ljust(size)
preamble = data[:32] + struct.pack("<Q", xxhash.xxh3_64_intdigest(header)) + data[40:64]
open(path, "wb").write(preamble + header + data[64 + size:])
P
}
# refused NAME PATTERN REPLACEMENT MESSAGE: by each program, exit code 3, and a message that names the file.
refused() {
    forge "$tmp/forged.qins" "$2" "$3" || { fail "$1" "could not forge it"; return; }
    expect "$1" 3 "forged.qins.*$4" "$run" info -m "$tmp/forged.qins"
    expect "$1: a run" 3 "forged.qins" "$run" -m "$tmp/forged.qins" -p a -n 1
    expect "$1: the way back" 3 "forged.qins" "$build/qinsconvert" "$tmp/forged.qins" -o "$tmp/back"
}
forge "$tmp/forged.qins" '"max_positions":512' '"max_positions":512'
expect "a forged file without a change is read" 0 "" "$run" info -m "$tmp/forged.qins"
