import { setImmediate as turn } from 'node:timers/promises'
import Negotiator from 'negotiator'
import {
  Counter,
  Gauge,
  type OpenMetricsContentType,
  type PrometheusContentType,
  Registry,
} from 'prom-client'
import type { Family } from './family.js'

/** The form of an answer, as its media type. */
export type Form = PrometheusContentType | OpenMetricsContentType

/** The first one is for those who take any. */
export const FORMS: readonly Form[] = [Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE]

const withoutCharset = (form: Form) => form.replace(/; charset=.*/, '')

/** The form that the header `Accept` prefers. Who wants neither gets Prometheus's text, as from other programs. */
export function formFor(accept: string | undefined): Form {
  const headers = accept === undefined ? {} : { accept }
  const chosen = new Negotiator({ headers }).mediaType(FORMS.map(withoutCharset))
  return FORMS.find((form) => withoutCharset(form) === chosen) ?? FORMS[0]
}

/** So many series are made into text at once. That takes main a millisecond or two. */
const MAX_AT_ONCE = 128

/** What a family begins with: what it is, and its type. */
const HEAD = /^(#.*\n)*/

/** What ends an answer in OpenMetrics. */
const END = '# EOF\n'

/**
 * The metrics as text. The other work of main has its turn after each family that is taken from `families`, and within
 * a long one. A registry is made for each part, so that the series of removed peers are gone. A family without series is
 * left out: a metric without labels has the value 0 in prom-client before it is set.
 */
export async function expose(families: Iterable<Family>, form: Form): Promise<string> {
  const texts: string[] = []
  for (const family of families) {
    if (family.samples.length === 0) continue
    let whole = ''
    let first = 0
    do {
      const samples = family.samples.slice(first, first + MAX_AT_ONCE)
      const text = await textOf({ ...family, samples }, form)
      whole += first === 0 ? text : text.replace(HEAD, '')
      await turn()
      first += MAX_AT_ONCE
    } while (first < family.samples.length)
    texts.push(whole)
  }
  return form === Registry.OPENMETRICS_CONTENT_TYPE ? texts.join('') + END : texts.join('\n')
}

/** One family, without the end of an answer. */
async function textOf({ name, type, help, labels, samples }: Family, form: Form): Promise<string> {
  const registry = new Registry<Form>()
  registry.setContentType(form)
  const options = { name, help, labelNames: [...labels], registers: [registry] }
  if (type === 'gauge') {
    const metric = new Gauge(options)
    for (const sample of samples) metric.labels(...sample.labels).set(sample.value)
  } else {
    const metric = new Counter(options)
    for (const sample of samples) metric.labels(...sample.labels).inc(sample.value)
  }
  const text = await registry.metrics()
  return text.endsWith(END) ? text.slice(0, -END.length) : text
}
