import type { DropReason, StatusReport } from '../../../src/control/status.js'

/** Drops of what came from the network, before it was written to the device. */
const INBOUND_DROPS = [
  'foreign',
  'empty',
  'runt',
  'oversize',
  'not_ip',
  'device_down',
  'device_refused',
  'storm',
  'filtered',
  'socket_buffer_full',
] as const satisfies readonly DropReason[]

/** Datagrams that came, as the counters have it: written to the device, or dropped for a reason. */
export function accounted({ inbound, drops }: StatusReport): number {
  return INBOUND_DROPS.reduce((sum, reason) => sum + drops[reason], inbound.frames)
}

/** The drops that are not zero. */
export function dropped({ drops }: StatusReport): Partial<Record<DropReason, number>> {
  return Object.fromEntries(Object.entries(drops).filter(([, count]) => count !== 0))
}
