import { kernelPathMtu, ProbeSocket } from '../../linux/probe-socket.js'
import type { Network } from '../network.js'

type Probing = Pick<Network, 'kernelPathMtu' | 'openProbes'>

/** How this host finds what a path carries. @param mark of what is sent (ip-rule(8)); 0 for none */
export function probingWith(mark: () => number): Probing {
  return {
    kernelPathMtu: (family, address, from) => kernelPathMtu(family, address, from, mark()),
    openProbes: (family, address, from) => new ProbeSocket(family, address, from, mark()),
  }
}

/** The same for what has no mark. */
export const probing = probingWith(() => 0)
