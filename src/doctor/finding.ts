/** How bad a finding is, the worst first. `doubtful` may be meant so; only `wrong` makes the command fail. */
export const SEVERITIES = ['wrong', 'doubtful', 'fine'] as const

export type Severity = (typeof SEVERITIES)[number]

/** What a check has found. */
export interface Finding {
  /** Stable, for programs: the check and what it found, such as `port.taken`. */
  readonly id: string
  readonly severity: Severity
  /** The peer that it is about; null if it is about the host or the tunnel. */
  readonly peer: string | null
  /** One sentence without a full stop. */
  readonly text: string
  /** What to do; null if there is nothing to do. */
  readonly advice: string | null
}

function findingOf(severity: Severity) {
  return (id: string, text: string, advice: string | null = null, peer: string | null = null): Finding => ({
    id,
    severity,
    peer,
    text,
    advice,
  })
}

export const wrong = findingOf('wrong')
export const doubtful = findingOf('doubtful')
export const fine = findingOf('fine')

/** The worst first; what is equally bad stays in order. */
export function worstFirst(findings: readonly Finding[]): Finding[] {
  return SEVERITIES.flatMap((severity) => findings.filter((it) => it.severity === severity))
}
