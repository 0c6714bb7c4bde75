#!/usr/bin/env bash
# Pack programs, library, manual pages and completion of BUILD_DIR into a Debian package, BUILD_DIR/qins_VERSION_ARCH.deb.
# The same commit and packages give the same bytes. Called by make deb. Usage: make_deb.sh BUILD_DIR VERSION
set -euo pipefail
umask 022
build=$1 version=$2
command -v dpkg-shlibdeps >/dev/null || { echo "make deb: dpkg-shlibdeps is missing; install dpkg-dev, on Debian or a relative" >&2; exit 1; }
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/root
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH

env -u MAKEFLAGS -u MAKELEVEL make -s --assume-old=all install BUILD="$build" DESTDIR="$root" PREFIX=/usr
strip "$root"/usr/bin/*
strip --strip-unneeded "$root/usr/lib/libqins.so.0"
gzip -9n "$root"/usr/share/man/man1/*
# Debian's zsh looks for packages' completions there.
mkdir "$root/usr/share/zsh/vendor-completions"
mv "$root/usr/share/zsh/site-functions/_qins" "$root/usr/share/zsh/vendor-completions/"
rmdir "$root/usr/share/zsh/site-functions"
documents=$root/usr/share/doc/qins
mkdir -p "$documents"
{
    printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: '
    sed -n 's/^Copyright (c) //p' LICENSE
    printf 'License: Expat\n'
    sed -e '1,/^Copyright/d' LICENSE | sed -e '1{/^$/d}' -e 's/^$/./; s/^/ /'
} >"$documents/copyright"
{
    printf 'qins (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md of the sources.\n\n' "$version"
    printf ' -- The qins authors <qins@localhost>  %s\n' "$(LC_ALL=C date -uRd "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$documents/changelog.gz"

# The libraries that the programs and libqins are linked to, as their packages say; those loaded on demand are recommended.
mkdir -p "$stage/debian" "$root/DEBIAN"
printf 'Source: qins\n\nPackage: qins\nArchitecture: any\n' >"$stage/debian/control"
depends=$(cd "$stage" && dpkg-shlibdeps -O root/usr/bin/* root/usr/lib/libqins.so.0 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
cat >"$root/DEBIAN/control" <<CONTROL
Package: qins
Version: $version
Architecture: $architecture
Maintainer: The qins authors <qins@localhost>
Depends: $depends
Recommends: libopenblas0, libmicrohttpd12
Section: utils
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f 1)
Description: text generation on the CPU with Phi-3.5 and its family
 Quantizes models of Hugging Face to 4 to 8 bits and runs them on CPUs:
 a command line, a chat, an OpenAI-compatible server and a C library.
CONTROL
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
printf 'libqins 0 qins (>= %s)\n' "$version" >"$root/DEBIAN/shlibs" # for packages that link to the library
printf 'activate-noawait ldconfig\n' >"$root/DEBIAN/triggers"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -print0 | xargs -0 touch -hd "@$SOURCE_DATE_EPOCH"
package=$build/qins_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root" "$package" >/dev/null
echo "$package"
