/**
 * The completion for zsh. The library's own puts names and files on the line as they are: `$(reboot)` would be run at Enter.
 * It also ends a name at a colon, because that is what separates a word from its description.
 */
export const ZSH_COMPLETION = `#compdef udptun-fast
compdef _udptun-fast udptun-fast

# zsh completion for udptun-fast
_udptun-fast() {
    local line value what
    local -a before words_found folders
    # (Q) makes of quoted words what they mean.
    before=("\${(@Q)words[2,CURRENT-1]}")
    for line in "\${(@f)$(udptun-fast complete -- "\${before[@]}" "\${(Q)PREFIX}" 2>/dev/null)}"; do
        # The last line is for other scripts.
        [[ -z $line || $line == :[0-9]* ]] && continue
        value=\${line%%$'\\t'*}
        what=\${line#*$'\\t'}
        # _describe ends a word at a colon. It quotes what it puts on the line.
        value=\${value//\\\\/\\\\\\\\}
        value=\${value//:/\\\\:}
        if [[ $value == */ ]]; then
            folders+=("$value")
        else
            words_found+=("$value\${what:+:$what}")
        fi
    done
    # What is before "=" stays.
    [[ $PREFIX == --*=* ]] && compset -P 1 '*='
    _describe udptun-fast words_found -- folders -S ''
}

# A file of a folder for functions is run at the first use. A script that is sourced only defines it.
[[ \${funcstack[1]} == _udptun-fast ]] && _udptun-fast "$@"
`
