#!/usr/bin/env bash
# The manual pages: they name the programs' commands and options, all of them and no others, and they are in form.
# Usage: test_manual.sh BUILD_DIR
. "$(dirname "$0")/report.sh"

# program_commands PROGRAM, program_options PROGRAM: of the program; options as "SPELLING VALUE".
program_commands() { "$build/$1" --list-options | grep -v '^-' | cut -f 1 | sort; }
program_options() {
    { "$build/$1" --list-options | grep '^-'
      for command in $(program_commands "$1"); do "$build/$1" "$command" --list-options; done
    } | cut -f 1,2 --output-delimiter=' ' | sed 's/ $//' | sort -u
}

# page_commands PROGRAM, page_options PROGRAM: the same of its page, from ".It Cm NAME" and from lines such as
# ".It Fl t , -threads Ar N" and ".It Fl -type Cm qins8 | bf16".
page_commands() { sed -n 's/^\.It Cm \([a-z]*\)$/\1/p' "share/$1.1" | sort; }
page_options() {
    awk '/^\.It Fl / {
        sub(/^\.It Fl /, "")
        value = ""
        if (match($0, / (Ar|Cm) /)) {
            value = " " substr($0, RSTART + RLENGTH)
            $0 = substr($0, 1, RSTART - 1)
            gsub(/ \| /, "|", value)
        }
        for (n = split($0, spellings, / , /); n > 0; n--) print "-" spellings[n] value
    }' "share/$1.1" | sort -u
}

for program in qinsrun qinsconvert; do
    for what in commands options; do
        if diff <(page_$what $program) <(program_$what $program) >"$tmp/report"; then
            ok "share/$program.1 names the $what of $program"
        else
            fail "share/$program.1 must name the $what of $program (<: the page's, >: the program's)" "$(cat "$tmp/report")"
        fi
    done
    if ! command -v mandoc >/dev/null; then
        echo "skip - form of share/$program.1: there is no mandoc"
    elif mandoc -T lint -W warning "share/$program.1" >"$tmp/report" 2>&1; then
        ok "share/$program.1 is in form"
    else
        fail "share/$program.1 is in form" "$(cat "$tmp/report")"
    fi
done
exit $failed
