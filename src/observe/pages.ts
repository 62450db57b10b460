import Negotiator from 'negotiator'
import type { Faults } from '../control/faults.js'
import type { Health } from '../control/health.js'
import { isHost, type StatusReport } from '../control/status.js'
import { expose, FORMS, type Form, formFor } from './exposition.js'
import type { Family } from './family.js'
import type { Answer, Page } from './http-server.js'
import { Lately } from './lately.js'
import { peerFamilies } from './peer-metrics.js'
import { tunnelFamilies } from './tunnel-metrics.js'

/** A tunnel, as far as it is observed. */
export interface Observed {
  status(): StatusReport
  health(): Promise<Health>
}

/** Before the tunnel is up, and while it stops. */
const NOT_UP: Answer = { status: 503, type: 'text/plain; charset=utf-8', body: 'the tunnel is not up\n' }

/** An error of this program. The log has it. */
const FAULT: Answer = {
  status: 500,
  type: 'text/plain; charset=utf-8',
  body: 'an error of this program: the log has it\n',
}

/** The pages about a tunnel. */
export class Pages {
  /** Undefined: there is none now. */
  #observed: Observed | undefined
  #startS = 0
  readonly #faults: Pick<Faults, 'take'>
  readonly #health = new Lately(async () => this.#observed?.health())
  readonly #metrics = new Map(FORMS.map((form) => [form, new Lately(() => this.#makeMetrics(form))]))

  constructor(faults: Pick<Faults, 'take'>) {
    this.#faults = faults
  }

  set observed(observed: Observed | undefined) {
    this.#observed = observed
    if (observed !== undefined) this.#startS = Math.round(Date.now() / 1000)
  }

  readonly byPath: Readonly<Record<string, Page>> = {
    '/metrics': ({ accept }) =>
      this.#kept(async () => {
        const form = formFor(accept)
        const body = await this.#metrics.get(form)?.get()
        return body === undefined ? undefined : { status: 200, type: form, body }
      }),
    '/healthz': ({ accept }) =>
      this.#kept(async () => {
        const health = await this.#health.get()
        return health && healthAnswer(health, accept)
      }),
  }

  async #makeMetrics(form: Form): Promise<string | undefined> {
    const observed = this.#observed
    const health = await this.#health.get()
    if (observed === undefined || health === undefined) return undefined
    const status = observed.status()
    // Whoever alerts on peers that are not up does not mean those who have not joined yet.
    const report = { ...status, peers: status.peers.filter(isHost) }
    return expose(familiesOf(report, health, this.#startS), form)
  }

  async #kept(make: () => Promise<Answer | undefined>): Promise<Answer> {
    if (this.#observed === undefined) return NOT_UP
    try {
      return (await make()) ?? NOT_UP
    } catch (error) {
      this.#faults.take('metrics', error)
      return FAULT
    }
  }
}

function* familiesOf(report: StatusReport, health: Health, startS: number): Generator<Family> {
  const nowS = Date.now() / 1000
  yield* tunnelFamilies(report, health, startS)
  yield* peerFamilies(report.peers, nowS)
}

/** 200 or 503, and why: a sentence a line, or JSON for who prefers that. */
export function healthAnswer({ healthy, reasons }: Health, accept: string | undefined): Answer {
  const status = healthy ? 200 : 503
  const headers = accept === undefined ? {} : { accept }
  const json =
    new Negotiator({ headers }).mediaType(['text/plain', 'application/json']) === 'application/json'
  return json
    ? { status, type: 'application/json', body: `${JSON.stringify({ healthy, reasons })}\n` }
    : { status, type: 'text/plain; charset=utf-8', body: `${healthy ? 'healthy' : reasons.join('\n')}\n` }
}
