#!/usr/bin/env bash
# make install and make uninstall. Usage: test_install.sh BUILD_DIR
. "$(dirname "$0")/report.sh"

# run_make ARGUMENT...: the programs are up to date, so this compiles nothing. A make around this one is none of its
# business.
run_make() {
    env -u MAKEFLAGS -u MAKELEVEL make -s --assume-old=all BUILD="$build" "$@" >"$tmp/log" 2>&1 ||
        fail "make $*" "$(cat "$tmp/log")"
}
files() { (cd "$root" && find . ! -type d -printf '%M %P\n' | sort -k 2); }

root="$tmp/a root"
mkdir -p "$root/opt/qins/bin"
touch "$root/opt/qins/bin/other"
before=$(files)
run_make install DESTDIR="$root" PREFIX=/opt/qins
equal "what is installed, and how" "-rwxr-xr-x opt/qins/bin/qinsconvert
-rwxr-xr-x opt/qins/bin/qinsrun
-rw-r--r-- opt/qins/include/qins.h
-rw-r--r-- opt/qins/lib/libqins.a
lrwxrwxrwx opt/qins/lib/libqins.so
-rw-r--r-- opt/qins/lib/libqins.so.0
-rw-r--r-- opt/qins/lib/pkgconfig/qins.pc
lrwxrwxrwx opt/qins/share/bash-completion/completions/qinsconvert
-rw-r--r-- opt/qins/share/bash-completion/completions/qinsrun
$(cd "$(dirname "$0")/../.." && ls README.md CHANGELOG.md SECURITY.md LICENSE docs/*.md docs/*.svg | sed 's|^|-rw-r--r-- opt/qins/share/doc/qins/|' | sort)
-rw-r--r-- opt/qins/share/man/man1/qinsconvert.1
-rw-r--r-- opt/qins/share/man/man1/qinsrun.1
-rw-r--r-- opt/qins/share/zsh/site-functions/_qins" "$(files | grep -v other)"
equal "the installed program runs" "$("$build/qinsrun" --version)" "$("$root/opt/qins/bin/qinsrun" --version)"
run_make install DESTDIR="$root" PREFIX=/opt/qins # over itself
run_make uninstall DESTDIR="$root" PREFIX=/opt/qins
equal "uninstall removes only that" "$before" "$(files)"

if command -v man >/dev/null; then
    run_make install PREFIX="$tmp/prefix"
    equal "man finds the page" "$tmp/prefix/share/man/man1/qinsrun.1" "$(man -M "$tmp/prefix/share/man" -w qinsrun)"
else
    echo "skip - man finds the page: there is no man"
fi
exit $failed
