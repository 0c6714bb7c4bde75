#!/usr/bin/env bash
# Completion as the shells do it, without a person. Usage: test_completion.sh BUILD_DIR
. "$(dirname "$0")/report.sh"
PATH=$(realpath "$build"):$PATH
share=$(realpath share)
cd "$tmp" || exit 2
mkdir models
touch models/phi.qins models/notes.txt

# bash_offers WORD...: what bash would offer for the last word, sorted on one line.
# shellcheck disable=SC1091,SC2207
bash_offers() (
    . "$share/qins.bash"
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
    _qins "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
    [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}" | sort | paste -sd ' '
)
commands() { qinsrun --list-options | grep -v '^-' | cut -f 1 | sort | paste -sd ' '; }
# options PROGRAM [COMMAND]
options() { "$@" --list-options | grep '^-' | cut -f 1 | sort | paste -sd ' '; }

equal "bash: a command" "perplexity" "$(bash_offers qinsrun perp)"
equal "bash: commands and options come first" "$(commands)" "$(bash_offers qinsrun '' | tr ' ' '\n' | grep -v '^-' | paste -sd ' ')"
equal "bash: options without a command" "$(options qinsrun)" "$(bash_offers qinsrun -m x.qins '')"
equal "bash: options of a command" "$(options qinsrun bench)" "$(bash_offers qinsrun bench -)"
equal "bash: no command, nothing to offer" "" "$(bash_offers qinsrun chess --)"
equal "bash: choices" "f16 f32 qins8" "$(bash_offers qinsrun --kv-k '')"
equal "bash: choices after =" "bf16" "$(bash_offers qinsrun --type = bf)"
equal "bash: choices right after =" "auto long" "$(bash_offers qinsrun chat --rope =)"
equal "bash: a model is a .qins file or a folder" "models/phi.qins" "$(bash_offers qinsrun -m models/)"
equal "bash: a folder on the way to a model" "models" "$(bash_offers qinsrun -m m)"
equal "bash: a file" "models/notes.txt models/phi.qins" "$(bash_offers qinsrun -f models/)"
equal "bash: nothing for a text" "" "$(bash_offers qinsrun -p '')"
equal "bash: the folder to convert" "models" "$(bash_offers qinsconvert m)"
equal "bash: options of qinsconvert" "$(options qinsconvert)" "$(bash_offers qinsconvert models -)"
equal "bash: the program by its path" "verify" "$(bash_offers "$(command -v qinsrun)" ver)"
ln -s "$(command -v qinsrun)" "$tmp/qinsrun"
# shellcheck disable=SC2088 # typed as it is
equal "bash: the program below ~" "verify" "$(HOME=$tmp bash_offers '~/qinsrun' ver)"

if ! command -v zsh >/dev/null; then
    echo "skip - zsh: it is not installed"
    exit $failed
fi

# zsh_completes TEXT: the command line after TEXT and the Tab key. A shell of its own on a pseudo-terminal prints the
# line after a mark at Control-X.
zsh_completes() {
    cat >"$tmp/.zshrc" <<RC
PROMPT= RPROMPT=
fpath=($share \$fpath)
autoload -Uz compinit
compinit -u -D
show() { print -r -- "LINE<\$BUFFER>"; exit }
zle -N show
bindkey '^I' complete-word
bindkey '^X' show
print READY
RC
    ZDOTDIR=$tmp TERM=dumb zsh -f -c '
        zmodload zsh/zpty
        zpty shell zsh -i
        zpty -r shell output "*READY*"
        zpty -w -n shell "$1"$'"'\\t\\x18'"'
        zpty -r shell output "*LINE<*>*"
        print -r -- "${${output##*LINE<}%%>*}"' zsh "$1"
}
equal "zsh: a command" "qinsrun perplexity " "$(zsh_completes 'qinsrun perp')"
equal "zsh: an option without a command" "qinsrun -m x.qins --min-p=" "$(zsh_completes 'qinsrun -m x.qins --min')"
equal "zsh: an option of a command" "qinsrun bench --repeats=" "$(zsh_completes 'qinsrun bench --rep')"
equal "zsh: no option of another command" "qinsrun info --repe" "$(zsh_completes 'qinsrun info --repe')"
equal "zsh: a choice" "qinsrun --kv-v f16 " "$(zsh_completes 'qinsrun --kv-v f1')"
equal "zsh: a choice after =" "qinsrun --type=bf16 " "$(zsh_completes 'qinsrun --type=bf')"
equal "zsh: a model" "qinsrun -m models/phi.qins " "$(zsh_completes 'qinsrun -m models/')"
# shellcheck disable=SC2088 # typed as it is
equal "zsh: the program by its path" "~/qinsrun verify " "$(HOME=$tmp zsh_completes '~/qinsrun ver')"
equal "zsh: what is typed is not run" "" "$(zsh_completes 'qinsrun $(touch ran) --min' >/dev/null; ls ran 2>/dev/null)"
equal "zsh: the folder to convert" "qinsconvert models/" "$(zsh_completes 'qinsconvert m')"
equal "zsh: an option of qinsconvert" "qinsconvert models --dry-run " "$(zsh_completes 'qinsconvert models --dr')"
exit $failed
