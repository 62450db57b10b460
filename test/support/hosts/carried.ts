/** Who carries the frames of tunnels, the kernel or the workers. */
import { type RunningTunnel, until } from './lab.js'

/** Who carries the first peer, and why. */
export const carrier = async (tunnel: RunningTunnel) => (await tunnel.status()).peers[0].datapath

/** Waits until the kernel carries all peers of tunnels, one tunnel after the other; for each as long at the most. */
export function carriedWithin(ms?: number) {
  return async (...tunnels: readonly RunningTunnel[]): Promise<void> => {
    const isCarried = async (tunnel: RunningTunnel) =>
      (await tunnel.status()).peers.every(({ datapath }) => datapath.by === 'kernel')
    for (const tunnel of tunnels) await until('the kernel carries it', () => isCarried(tunnel), ms)
  }
}

/** Waits until the workers carry the first peer for this reason. */
export function because(tunnel: RunningTunnel, reason: string, withinMs?: number): Promise<void> {
  return until(`the reason is ${reason}`, async () => (await carrier(tunnel)).reason === reason, withinMs)
}
