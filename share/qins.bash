# bash completion for qinsrun and qinsconvert. The programs know their commands and options: see --list-options.

# Called by bash with the program, the word to complete and the word before it.
_qins() {
    local program=${1/#\~/$HOME} word=$2 option=$3 list value
    local arguments=()
    if [[ $word == = ]]; then # bash takes "--type=bf" apart
        word=
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]] && arguments=("${COMP_WORDS[1]}")
    list=$("$program" "${arguments[@]}" --list-options 2>/dev/null)
    [[ $COMP_CWORD -gt 1 ]] && list=$(grep '^-' <<<"$list") # commands come first
    value=$(awk -F '\t' -v option="$option" '$1 == option { print $2 }' <<<"$list")
    mapfile -t COMPREPLY < <(_qins_words "$program" "$word" "$list" "$value")
    [[ $word != -* && $value != *'|'* ]] && compopt -o filenames 2>/dev/null # a slash after folders
}

# Print what the word may become after an option that takes the value, or (value empty) where options may stand.
_qins_words() {
    local program=$1 word=$2 list=$3 value=$4
    case $value in
    *'|'*) compgen -W "${value//|/ }" -- "$word" ;;
    MODEL) compgen -d -- "$word"; compgen -f -X '!*.qins' -- "$word" ;;
    FILE) compgen -f -- "$word" ;;
    DIR) compgen -d -- "$word" ;;
    '')
        compgen -W "$(cut -f 1 <<<"$list")" -- "$word"
        [[ $program == *qinsconvert ]] && { compgen -d -- "$word"; compgen -f -X '!*.qins' -- "$word"; }
        ;;
    esac
}

complete -F _qins qinsrun qinsconvert
