#!/usr/bin/env bash
# The tarball of make dist: the same bytes every time, and its programs run in a root with the C library and nothing
# else. Usage: test_dist.sh BUILD_DIR
# Slow: the sources are built once more.
. "$(dirname "$0")/report.sh"

if [ "$(basename "$build")" != release ]; then
    echo "skip - tarball: it is made only of the release build"
    exit 0
fi
if ! grep -qs '^ID=debian' /etc/os-release; then
    echo "skip - tarball: it is made only on Debian"
    exit 0
fi

# A make around this one is none of its business.
make_dist() { env -u MAKEFLAGS -u MAKELEVEL make -s dist >"$tmp/log" 2>&1; }
make_dist || { fail "make dist" "$(cat "$tmp/log")"; exit 1; }
tarball=$(tail -n 1 "$tmp/log")
sum=$(sha256sum "$tarball")
(umask 077 && TZ=Asia/Tokyo LC_ALL=C make_dist)
equal "the same bytes again" "$sum" "$(sha256sum "$tarball")"

root=$tmp/root
mkdir "$root"
tar -xzf "$tarball" -C "$root" --strip-components=1
missing=
for file in README bin/qinsrun bin/qinsconvert share/man/man1/qinsrun.1 share/zsh/site-functions/_qins licenses/qins.txt; do
    [ -s "$root/$file" ] || missing+=" $file"
done
equal "the files inside" "" "$missing"
for word in OpenBLAS xxHash cJSON libgfortran libquadmath; do
    grep -qi "$word" "$root"/licenses/lib*.txt || missing+=" $word"
done
equal "the notices of the libraries inside" "" "$missing"
equal "the README names the libraries that remain dynamic" 1 "$(grep -cx '    ld-linux-x86-64.so.2 libc.so.6 libm.so.6' "$root/README")"

# The root gets what ldd names outside the tarball: the C library's files and the loader.
for program in qinsrun qinsconvert; do
    ldd "$root/bin/$program" | grep -v "$root" | grep -o '/[^ ]*'
done | sort -u >"$tmp/files"
equal "dynamic libraries" "ld-linux-x86-64.so.2 libc.so.6 libm.so.6" "$(xargs -n 1 basename <"$tmp/files" | LC_ALL=C sort | paste -sd ' ')"
loader=$(grep ld-linux "$tmp/files")
xargs cp -L --parents -t "$root" <"$tmp/files"
cp -r tests/data/demo "$root/demo"
# Without /proc the loader cannot find out where the program is; LD_ORIGIN_PATH tells it.
inside() { LD_ORIGIN_PATH=/bin $enter "$root" "$@"; }
enter=
for way in chroot "unshare -r chroot"; do
    if $way "$root" "$loader" --version >/dev/null 2>&1; then
        enter=$way
        break
    fi
done
if [ -z "$enter" ]; then
    echo "skip - the programs in a bare root: neither chroot nor unshare is allowed here"
    exit $failed
fi
question="What is the capital of France?"
inside /bin/qinsconvert /demo -o /demo.qins --quiet 2>&1
"$build/qinsconvert" tests/data/demo -o "$tmp/demo.qins" --quiet
equal "converts in a bare root to the same bytes" "" "$(cmp "$root/demo.qins" "$tmp/demo.qins" 2>&1)"
answer=$("$build/qinsrun" -m "$tmp/demo.qins" -p "$question" 2>/dev/null)
equal "answers in a bare root" "$answer" "$(inside /bin/qinsrun -m /demo.qins -p "$question" 2>"$tmp/err")"
equal "chats in a bare root" "$answer" "$(echo "$question" | inside /bin/qinsrun chat -m /demo.qins 2>"$tmp/err")"
inside /bin/qinsconvert /demo -o /calibrated.qins --calibrate /demo/held_out.txt --quiet 2>"$tmp/err"
equal "calibrates in a bare root" "0 " "$? $(cat "$tmp/err")"
equal "its OpenBLAS knows every processor" DYNAMIC_ARCH "$(inside /bin/qinsrun --version | grep -o DYNAMIC_ARCH)"
exit $failed
