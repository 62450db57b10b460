import type { MetricName } from '../metrics.js'
import { SUBJECT } from '../peers/udptun-fast.js'
import type { Results } from '../results.js'
import { valuesByRound } from '../results.js'
import { ratiosByRound, relativeSpread, type Summary, straddlesOne, summarize } from '../statistics.js'

/** The result of one peer under one load. Tables, charts and warnings share these figures. */
export interface Figure {
  readonly underlay: string
  readonly load: string
  readonly peer: string
  readonly metric: MetricName
  readonly value: Summary
  /** The subject's value divided by this peer's value, for each round; undefined for the subject itself. */
  readonly ratio: Summary | undefined
}

/** The peer that the others are compared with: this tunnel, or the first peer if this tunnel took no part. */
export function subjectOf({ peers }: Results): string {
  return peers.some(({ name }) => name === SUBJECT) ? SUBJECT : peers[0].name
}

export function figure(
  results: Results,
  underlay: string,
  load: string,
  peer: string,
  metric: MetricName,
): Figure | undefined {
  const values = valuesByRound(results, { underlay, load, peer, metric })
  if (values.size === 0) return undefined
  const subject = subjectOf(results)
  const ratios =
    peer === subject
      ? []
      : ratiosByRound(valuesByRound(results, { underlay, load, peer: subject, metric }), values)
  return {
    underlay,
    load,
    peer,
    metric,
    value: summarize([...values.values()]),
    ratio: ratios.length === 0 ? undefined : summarize(ratios),
  }
}

/** The figures of all peers in the order of the run, for one metric of a load. */
export function figuresOf(results: Results, underlay: string, load: string, metric: MetricName): Figure[] {
  return results.peers.flatMap(({ name }) => figure(results, underlay, load, name, metric) ?? [])
}

/** A median is unsteady if the width of its rounds is more than this share of it. */
export const WIDE_SPREAD = 0.4
const FEW_ROUNDS = 3
const BUSY_LOAD = 0.5

/** Whether the rounds are too far apart for a meaningful median. */
export function unsteady({ value }: Figure): boolean {
  return value.count > 1 && relativeSpread(value) > WIDE_SPREAD
}

/** Whether the rounds disagree on which is ahead, the subject or the peer. */
export function undecided({ ratio }: Figure): boolean {
  return ratio !== undefined && ratio.count > 1 && straddlesOne(ratio)
}

/** Reasons not to rely on a whole run, as sentences. */
export function reservations({ rounds, machine, skipped }: Results): string[] {
  const found: string[] = []
  if (rounds < FEW_ROUNDS) {
    found.push(
      `${rounds === 1 ? 'One round shows' : `${rounds} rounds show`} no spread to speak of: take this as a first look.`,
    )
  }
  if (machine.loadAverage > BUSY_LOAD) {
    found.push(
      `The machine was busy before the run (load average ${machine.loadAverage.toFixed(1)}): repeat it on an idle one.`,
    )
  }
  for (const { title, reason } of skipped) found.push(`${title} took no part: ${reason}.`)
  return found
}

/** How often the spread makes a comparison meaningless, for each underlay, as sentences. */
export function spreadWarnings(results: Results): string[] {
  const { peers, loads, underlays } = results
  const subject = peers.find(({ name }) => name === subjectOf(results))?.title
  return underlays.flatMap(({ name, title }) => {
    const figures = loads.flatMap((load) => figuresOf(results, name, load.name, load.metric))
    const compared = figures.filter(({ ratio }) => ratio !== undefined)
    const found: string[] = []
    const open = figures.filter(undecided).length
    const wide = figures.filter(unsteady).length
    if (open > 0) {
      found.push(
        `${title}: in ${open} of ${compared.length} comparisons the rounds do not agree whether ${subject} is ahead or behind ("undecided" below).`,
      )
    }
    if (wide > 0) {
      found.push(
        `${title}: in ${wide} of ${figures.length} figures the rounds lie more than ${WIDE_SPREAD * 100}% apart ("(!)" below).`,
      )
    }
    return found
  })
}
