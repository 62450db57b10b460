import { stdoutColors } from '../../../src/cli/colors.js'
import { table } from '../../../src/cli/table.js'
import type { ChangeRow, Comparison, Verdict } from '../compare.js'
import { METRICS } from '../metrics.js'
import type { Change } from '../statistics.js'

const COLOURS: Record<Verdict, (text: string) => string> = {
  better: stdoutColors.green,
  worse: stdoutColors.red,
  'no change seen': stdoutColors.dim,
  'too few rounds': stdoutColors.yellow,
}

/** A change with its interval: `-12% (-15% to -9%)`. */
function percent(change: Change | undefined): string {
  if (change === undefined) return ''
  const of = (factor: number) => {
    const value = (factor - 1) * 100
    const text = Math.abs(value) >= 999 ? '>999' : value.toFixed(Math.abs(value) < 9.95 ? 1 : 0)
    return `${value > 0 ? '+' : ''}${text}%`
  }
  return `${of(change.factor)} (${of(change.low)} to ${of(change.high)})`
}

/** The comparison for a terminal: one line per figure. */
export function comparisonReport({ before, rows, differences, regressions }: Comparison): string {
  const line = ({ underlay, load, metric, before, after, raw, judged, verdict }: ChangeRow) => [
    `${load}, ${METRICS[metric].title} (${underlay})`,
    METRICS[metric].format(before),
    METRICS[metric].format(after),
    percent(raw),
    percent(judged),
    COLOURS[verdict](verdict),
  ]
  const head = ['', 'before', 'now', 'change', 'beside the other peers', '']
  const verdict =
    regressions === 0
      ? stdoutColors.green('No regression beyond the noise.')
      : stdoutColors.red(
          `${regressions} ${regressions === 1 ? 'figure has' : 'figures have'} become worse beyond the noise.`,
        )
  return [
    `Compared with the run of ${before.startedAt} (intervals hold all together 95 times in 100):`,
    table([head, ...rows.map(line)]),
    ...differences.map(
      (difference) => `${stdoutColors.yellow('!')} The runs differ in more than the program: ${difference}.`,
    ),
    verdict,
  ].join('\n')
}
