/**
 * The completion for bash. The library's own hands the words to `compgen -W`, which expands them: a file or a peer that is
 * called `$(reboot)` would be run. This one quotes each word. It also completes behind `=`, where bash splits words.
 */
export const BASH_COMPLETION = `# bash completion for udptun-fast; it needs the package bash-completion
__udptun_fast_complete() {
    local cur prev words cword line value
    _get_comp_words_by_ref -n "=:" cur prev words cword
    COMPREPLY=()
    while IFS= read -r line; do
        # The last line is for other scripts.
        [[ $line == :[0-9]* ]] && continue
        printf -v value %q "\${line%%$'\\t'*}"
        # If bash does not split at "=", it wants the whole word.
        [[ $cur == --*=* && $COMP_WORDBREAKS != *=* ]] && value="\${cur%%=*}=$value"
        COMPREPLY+=("$value")
    done < <(udptun-fast complete -- "\${words[@]:1:cword-1}" "$cur" 2>/dev/null)
    [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == */ ]] && compopt -o nospace
    __ltrim_colon_completions "$cur"
}
complete -F __udptun_fast_complete udptun-fast
`
