#!/usr/bin/env bash
# The package of make deb: its fields and files, and its programs in a root that holds it and its dependencies.
# Usage: test_deb.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
if [ "$(basename "$build")" != release ]; then
    echo "skip - package: it is made from the release build only"
    exit 0
fi
if ! grep -qs '^ID=debian' /etc/os-release || ! command -v dpkg-shlibdeps >/dev/null; then
    echo "skip - package: it is made on Debian, with dpkg-dev"
    exit 0
fi

# The programs are up to date, so this compiles nothing. A make around this one is none of its business.
make_deb() { env -u MAKEFLAGS -u MAKELEVEL make -s --assume-old=all BUILD="$build" deb >"$tmp/log" 2>&1; }
make_deb || { fail "make deb" "$(cat "$tmp/log")"; exit 1; }
package=$(tail -n 1 "$tmp/log")
sum=$(sha256sum "$package")
(umask 077 && TZ=Asia/Tokyo LC_ALL=C make_deb)
equal "the same bytes again" "$sum" "$(sha256sum "$package")"
field() { dpkg-deb -f "$package" "$1"; }
equal "its name and version" "qins $(sed -nE 's/^#define QINS_VERSION "(.*)".*/\1/p' include/qins.h) $(dpkg --print-architecture)" \
    "$(field Package) $(field Version) $(field Architecture)"

root=$tmp/root
dpkg -x "$package" "$root"
dpkg-deb -e "$package" "$tmp/control"
equal "its checksums" "" "$(cd "$root" && md5sum -c --quiet "$tmp/control/md5sums" 2>&1)"
equal "they cover every file" "$(cd "$root" && find usr -type f | sort)" "$(cut -c 35- "$tmp/control/md5sums" | sort)"
missing=
for file in bin/qinsrun bin/qinsconvert include/qins.h lib/libqins.so.0 lib/libqins.a lib/pkgconfig/qins.pc share/doc/qins/copyright \
    share/man/man1/qinsrun.1.gz share/man/man1/qinsconvert.1.gz share/zsh/vendor-completions/_qins; do
    [ -s "$root/usr/$file" ] || missing+=" $file"
done
equal "the files inside" "" "$missing"
equal "all belong to root" "" "$(dpkg-deb -c "$package" | grep -v ' root/root ')"
equal "the licence, whole" "$(sed '1,/^Copyright/d' LICENSE | tr -d ' \n')" \
    "$(sed '1,/^License/d; s/^ \.$//' "$root/usr/share/doc/qins/copyright" | tr -d ' \n')"
if command -v lintian >/dev/null; then
    # No address takes mail for a package that is not Debian's, and programs, library and headers are one package.
    equal "lintian" "" "$(lintian --allow-root --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog,package-name-doesnt-match-sonames,link-to-shared-library-in-wrong-package,pkg-config-unavailable-for-cross-compilation "$package" 2>&1)"
else
    echo "skip - lintian: it is not installed"
fi

# The root gets every file of the packages that it depends on, and of no other.
field Depends | sed -E 's/ \([^)]*\)//g; s/, */\n/g' >"$tmp/depends"
xargs dpkg -L <"$tmp/depends" | while read -r file; do [ ! -f "$file" ] || echo "$file"; done | grep '\.so' >"$tmp/files"
xargs cp -L --parents -t "$root" <"$tmp/files"
cp -r tests/data/demo "$root/demo"
enter="chroot"
if ! chroot / true 2>/dev/null; then
    enter="unshare -r chroot"
    $enter / true 2>/dev/null || { echo "skip - the programs in a bare root: neither chroot nor unshare is allowed here"; exit $failed; }
fi
question="What is the capital of France?"
$enter "$root" /usr/bin/qinsconvert /demo -o /demo.qins --quiet 2>"$tmp/err"
equal "converts in a bare root" "0 " "$? $(cat "$tmp/err")"
equal "answers in a bare root" "The capital of France is Paris." "$($enter "$root" /usr/bin/qinsrun -m /demo.qins -p "$question" 2>"$tmp/err")"
exit $failed
