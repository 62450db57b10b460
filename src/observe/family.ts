/** What the names of all metrics begin with. */
const PREFIX = 'udptun_'

/** One metric with all its series. */
export interface Family {
  /** By Prometheus's conventions, with the unit; that of a counter ends in `_total`. */
  readonly name: string
  readonly type: 'counter' | 'gauge'
  /** A sentence. */
  readonly help: string
  readonly labels: readonly string[]
  readonly samples: readonly Sample[]
}

/** A value of one series, and its labels in the order of {@link Family.labels}. */
export interface Sample {
  readonly value: number
  readonly labels: readonly string[]
}

/** A number, a yes or a no; null or undefined: there is no such series now. */
export type Value = number | boolean | null | undefined

/** How a series comes from something that a report has: its value, and its further labels. */
export type Reading = readonly [value: Value, ...labels: string[]]

/**
 * @param name without the prefix
 * @param labels their names, separated by blanks
 */
export function gauge(name: string, help: string, labels: string, readings: readonly Reading[]): Family {
  return family('gauge', name, help, labels, readings)
}

/** @param name without the prefix and without `_total` */
export function counter(name: string, help: string, labels: string, readings: readonly Reading[]): Family {
  return family('counter', `${name}_total`, help, labels, readings)
}

function family(
  type: Family['type'],
  name: string,
  help: string,
  labels: string,
  readings: readonly Reading[],
): Family {
  const samples: Sample[] = []
  for (const [value, ...rest] of readings)
    if (value !== null && value !== undefined) samples.push({ value: Number(value), labels: rest })
  return { name: PREFIX + name, type, help, labels: labels === '' ? [] : labels.split(' '), samples }
}

/** One series for each entry of an object, with its key as the label. */
export function byKey(values: Readonly<Record<string, Value>>): Reading[] {
  return Object.entries(values).map(([key, value]) => [value, key])
}

/** One series for each of several words, of which one is the case. */
export function oneOf(words: readonly string[], present: string): Reading[] {
  return words.map((word) => [word === present, word])
}
