import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isSocket, listenAt } from '../command/unix-socket.js'
import { formatMetrics, type MetricsPlace } from '../config/metrics-place.js'
import type { Faults } from '../control/faults.js'
import { UserError } from '../errors.js'
import { pagesServer } from './http-server.js'
import { type Observed, Pages } from './pages.js'

/** Serves metrics and health. It listens before the tunnel starts, so that a place that is taken stops the start. */
export class Observer {
  /** Where it answers, for a person: the URL of the metrics, or the path of the socket. */
  readonly where: string
  readonly #server: Server
  readonly #pages: Pages
  readonly #stopListening: () => void

  private constructor(server: Server, pages: Pages, where: string, stopListening: () => void) {
    this.#server = server
    this.#pages = pages
    this.#stopListening = stopListening
    this.where = where
  }

  /** @throws UserError if it cannot listen there */
  static async open(place: MetricsPlace, faults: Pick<Faults, 'take'>): Promise<Observer> {
    const pages = new Pages(faults)
    const server = pagesServer(pages.byPath)
    let stopListening: () => void = () => server.close()
    try {
      if ('path' in place) stopListening = await listenAt(server, place.path)
      else await once(server.listen(place.port, place.address), 'listening')
    } catch (error) {
      server.close()
      throw new UserError(`metrics: ${refusal(place, error as NodeJS.ErrnoException)}`)
    }
    // For example, a connection is not accepted because the process has no fd left.
    server.on('error', (error) => faults.take('metrics', error))
    return new Observer(server, pages, whereIs(place, server), stopListening)
  }

  /** The tunnel is up. Before this, and after {@link detach}, the answer is that it is not. */
  attach(observed: Observed): void {
    this.#pages.observed = observed
  }

  /** The tunnel stops. */
  detach(): void {
    this.#pages.observed = undefined
  }

  /** A Unix socket is gone afterwards. */
  close(): void {
    this.#stopListening()
    this.#server.closeAllConnections()
  }
}

function whereIs(place: MetricsPlace, server: Server): string {
  if ('path' in place) return place.path
  const { port } = server.address() as AddressInfo
  return `http://${formatMetrics({ ...place, port })}/metrics`
}

/** Why it cannot listen, and what to do. */
function refusal(place: MetricsPlace, { code, message }: NodeJS.ErrnoException): string {
  const where = formatMetrics(place)
  if ('path' in place) {
    if (code === 'EADDRINUSE')
      return isSocket(place.path)
        ? `another program answers at ${where}; choose another path`
        : `${where} is there, and is no socket; choose another path`
    if (code === 'ENOENT') return `the directory of ${where} is not there; make it, or choose another path`
    return `no socket can be made at ${where} (${code ?? message}); choose another path`
  }
  if (code === 'EADDRINUSE') return `another program listens on ${where}; choose another port`
  if (code === 'EADDRNOTAVAIL' || code === 'EINVAL')
    return `this host has no address ${place.address} to listen on; choose one that it has`
  if (code === 'EACCES') return `this user may not listen on ${where}; choose a port above 1023`
  return `nothing can listen on ${where} (${code ?? message}); choose another port or address`
}
