#!/usr/bin/env bash
# Pack the programs of BUILD_DIR/portable, their documents and the notices of the libraries in them into
# BUILD_DIR/qins-VERSION-ARCH.tar.gz, on Debian, which knows the library files' packages. The same commit and packages
# give the same bytes. Called by make dist. Usage: make_tarball.sh BUILD_DIR CC LIBRARY_FILE...
set -euo pipefail
umask 022
build=$1 cc=$2
shift 2
version=$("$build/portable/qinsrun" --version | sed -n '1s/qinsrun \([^ ]*\) .*/\1/p')
name=qins-$version-$(uname -m)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/$name

env -u MAKEFLAGS -u MAKELEVEL make -s --assume-old=all install BUILD="$build" DESTDIR="$root" PREFIX=
for program in qinsrun qinsconvert; do
    strip -o "$root/bin/$program" "$build/portable/$program"
done
mkdir -p "$root/lib/qins" "$root/licenses"
for library in "$@"; do
    # shellcheck disable=SC2086 # CC may be several words
    file=$(realpath "$($cc -print-file-name="$library")")
    package=$({ dpkg -S "$file" 2>/dev/null || dpkg -S "${file#/usr}"; } | cut -d : -f 1) # where /lib is /usr/lib
    cp "/usr/share/doc/$package/copyright" "$root/licenses/${library%%.*}.txt"
    case $library in *.so.*) install -m 644 "$file" "$root/lib/qins/$library" ;; esac
done
cp LICENSE "$root/licenses/qins.txt"

# Libraries that the programs look for, except those in the tarball.
needed=$(objdump -p "$root"/bin/* "$root"/lib/qins/* | awk '$1 == "NEEDED" { print $2 }' | sort -u |
    grep -vxF "$(ls "$root/lib/qins")" | paste -sd ' ')
symbols=$(objdump -T "$root"/bin/* "$root"/lib/qins/* | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
sed -e "s/@NAME@/$name/; s/@NEEDED@/$needed/; s/@GLIBC@/${symbols#GLIBC_}/" share/README.tarball >"$root/README"

tar -C "$stage" --sort=name --mtime="@$(git log -1 --format=%ct 2>/dev/null || echo 0)" --owner=0 --group=0 \
    --numeric-owner -c "$name" | gzip -n -9 >"$build/$name.tar.gz"
echo "$build/$name.tar.gz"
