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

/** The metrics as text. A registry is made for each, so that the series of removed peers are gone. */
export function expose(families: readonly Family[], form: Form): Promise<string> {
  const registry = new Registry<Form>()
  registry.setContentType(form)
  for (const { name, type, help, labels, samples } of families) {
    const options = { name, help, labelNames: [...labels], registers: [registry] }
    if (type === 'gauge') {
      const metric = new Gauge(options)
      for (const sample of samples) metric.labels(...sample.labels).set(sample.value)
    } else {
      const metric = new Counter(options)
      for (const sample of samples) metric.labels(...sample.labels).inc(sample.value)
    }
  }
  return registry.metrics()
}
