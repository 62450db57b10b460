import type { PingReport, Unsent } from '../../control/pings.js'
import { stdoutColors } from '../colors.js'
import { wayTo } from '../peers.js'
import { milliseconds } from '../table.js'
import type { PingStatistics, RoundTripFigures } from './statistics.js'
import type { PingTarget } from './target.js'

const UNSENT: Readonly<Record<string, string>> = {
  no_keys: 'no handshake with it yet, so no keys to seal it with',
  not_found: 'its host has not been found yet',
  no_route: 'there is no route to it',
  too_long: 'it is longer than the interface on the way out takes',
  over_mtu: "it is longer than the device's MTU allows",
  busy: 'this host is too busy to send it just now',
}

/** Why a ping was not sent, as text for a person. */
export function unsentText(reason: Unsent): string {
  return UNSENT[reason] ?? `this host says ${reason}`
}

/** The first line. @param packetBytes as a path MTU counts them; 0 if that is not known */
export function pingHead({ peer, icmpTo }: PingTarget, device: string, packetBytes: number): string {
  const where = icmpTo === undefined ? (peer.endpoint ?? (wayTo(peer) || peer.host)) : `${icmpTo} by ICMP`
  const padding = icmpTo === undefined ? '' : ' and padding'
  const size = packetBytes === 0 ? '' : `, packets of ${packetBytes} bytes${padding}`
  return `${stdoutColors.bold(peer.name)} ${stdoutColors.dim(where)} through ${stdoutColors.bold(device)}${size}`
}

/** The line of one ping. */
export function pingLine(sequence: number, report: PingReport): string {
  const number = String(sequence).padStart(5)
  switch (report.answer) {
    case 'answered':
      return `${number}  ${stdoutColors.green('answered')}  ${milliseconds(report.rtt_ms)} ms`
    case 'none':
      return `${number}  ${stdoutColors.red('no answer')}`
    default:
      return `${number}  ${stdoutColors.red('not sent')}  ${unsentText(report.reason)}`
  }
}

/** Path MTUs in bytes; null where one is not known. */
export interface PathMtus {
  readonly to: number | null
  readonly back: number | null
}

/** The lines after the last ping. */
export function pingSummary(statistics: PingStatistics, paths: PathMtus, byIcmp: boolean): string[] {
  const { sent, answered, loss, roundTrips } = statistics
  const percent = `${Number((loss * 100).toFixed(1))} % lost`
  const lost = loss === 0 ? stdoutColors.green(percent) : stdoutColors.red(percent)
  return [
    `${sent} sent, ${answered} answered, ${lost}`,
    ...(roundTrips === null ? [] : [figuresText(roundTrips)]),
    `path MTU ${pathText(paths, byIcmp)}`,
  ]
}

function figuresText({ min, avg, max, mdev }: RoundTripFigures): string {
  const of = (name: string, ms: number) => `${stdoutColors.dim(name)} ${milliseconds(ms)}`
  return `round trip ${of('min', min)}  ${of('avg', avg)}  ${of('max', max)}  ${of('mdev', mdev)}  ms`
}

function pathText({ to, back }: PathMtus, byIcmp: boolean): string {
  const there = to === null ? 'to it not known' : `${stdoutColors.bold(String(to))} to it`
  const silent = byIcmp ? 'back not known, because this end does not tell' : 'back not known'
  return `${there}, ${back === null ? silent : `${stdoutColors.bold(String(back))} back`}`
}
