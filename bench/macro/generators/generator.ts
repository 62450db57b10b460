import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../../../src/lab/host.js'
import type { Site } from '../lab.js'

/** The route of the traffic: from a program at `near` to a program at `far`, with these addresses. */
export interface Route {
  readonly near: Site
  readonly far: Site
  readonly nearAddress: string
  readonly farAddress: string
  readonly signal: AbortSignal
}

/** The seconds from the start to the end of an interval, and the bit/s in that interval. */
export type Point = [seconds: number, bitsPerSecond: number]

export interface TcpOptions {
  readonly seconds: number
  /** Number of parallel connections. */
  readonly streams: number
  /** Also from far to near, at the same time. */
  readonly bothWays: boolean
}

export interface TcpResult {
  /** What the receiving programs got, the sum of all streams and directions. */
  readonly bitsPerSecond: number
  readonly deliveredBytes: number
  readonly timeline: Point[]
}

export interface UdpOptions {
  readonly seconds: number
  readonly payloadBytes: number
  /** Undefined: as fast as possible. */
  readonly datagramsPerSecond: number | undefined
}

export interface UdpResult {
  readonly sent: number
  readonly delivered: number
  /** The time during which the sender sent. */
  readonly seconds: number
}

/** Makes the traffic and counts it at the other end. */
export interface Generator {
  readonly name: string
  readonly version: string
  tcp(route: Route, options: TcpOptions): Promise<TcpResult>
  udp(route: Route, options: UdpOptions): Promise<UdpResult>
}

/** The length of the intervals of a timeline. */
export const INTERVAL_SECONDS = 0.1

/** Waits until a program inside a host listens on a port. @throws the signal's reason */
export async function portOpens(
  host: Host,
  protocol: 'tcp' | 'udp',
  port: number,
  signal: AbortSignal,
): Promise<void> {
  // The second column: a local address that is listening or bound (proc(5), /proc/net/tcp).
  const bound = new RegExp(
    `^ *\\d+: [0-9A-F]+:${port.toString(16).toUpperCase().padStart(4, '0')} [0:]+ `,
    'm',
  )
  const sockets = () =>
    host.run(() =>
      [protocol, `${protocol}6`]
        .map((table) => readFileSync(`/proc/thread-self/net/${table}`, 'latin1'))
        .join(''),
    )
  while (!bound.test(sockets())) await sleep(3, undefined, { signal })
}
