/**
 * The completion for bash. The library's own hands the words to `compgen -W`, which expands them: a file or a peer that is
 * called `$(reboot)` would be run. This one quotes each word. It also completes behind `=`, where bash splits words.
 */
export const BASH_COMPLETION = `# bash completion for udptun-fast; it needs the package bash-completion
__udptun_fast_complete() {
    local cur prev words cword line value flag rest quote typed
    _get_comp_words_by_ref -n "=:" cur prev words cword
    COMPREPLY=()
    [[ $cur == --*=* ]] && flag="\${cur%%=*}="
    rest=\${cur#"$flag"}
    [[ $rest == [\\"\\']* ]] && quote=\${rest:0:1} rest=\${rest:1}
    # The program is asked for what the word means, without backslashes.
    while [[ $quote != \\' && $rest == *\\\\?* ]]; do
        typed+=\${rest%%\\\\*}
        rest=\${rest#*\\\\}
        typed+=\${rest:0:1}
        rest=\${rest:1}
    done
    typed+=$rest
    while IFS= read -r line; do
        # The last line is for other scripts.
        [[ $line == :[0-9]* ]] && continue
        value=\${line%%$'\\t'*}
        if [[ -z $quote ]]; then
            printf -v value %q "$value"
        elif [[ $value == *[\\"\\'\\\\\\$\\\`!]* ]]; then
            # It would mean something else in quotes.
            continue
        fi
        # If bash does not split at "=", it wants the whole word.
        [[ $COMP_WORDBREAKS != *=* ]] && value="$flag$value"
        COMPREPLY+=("$value")
    done < <(udptun-fast complete -- "\${words[@]:1:cword-1}" "$flag$typed" 2>/dev/null)
    [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]] && compopt -o nospace
    [[ $COMP_WORDBREAKS == *=* ]] && cur=\${cur#"$flag"}
    # What is in quotes is not split at a colon.
    [[ -z $quote ]] && __ltrim_colon_completions "$cur"
}
complete -F __udptun_fast_complete udptun-fast
`
