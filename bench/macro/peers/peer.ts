import type { Lab } from '../lab.js'
import { findProgram, packageVersion } from '../processes.js'

/** A tunnel that runs in both hosts of a lab. */
export interface Tunnel {
  /** The addresses of the hosts inside the tunnel. */
  readonly nearAddress: string
  readonly farAddress: string
  /** Its processes; none if the kernel does all the work. They end with the lab. */
  readonly pids: readonly number[]
}

export type Availability = { readonly version: string } | { readonly reason: string }

/** A tunnel (or another connection of two hosts) that is measured side by side with the others. */
export interface Peer {
  readonly name: string
  readonly title: string
  readonly encrypts: boolean
  /** Its version, or the reason why it is not available. */
  available(): Promise<Availability>
  /** Approximate time from start to first ping. */
  readonly startSeconds: number
  /** Time after that until it reaches its full speed. The measurement begins after this time. */
  readonly settleSeconds?: number
  /**
   * Makes keys and files. The returned function starts the tunnel; "start to first ping" measures it. It
   * resolves when the overlay interfaces exist and are up.
   */
  prepare(lab: Lab): Promise<() => Promise<Tunnel>>
}

/** The result of an ordinary tunnel, with the overlay addresses of the sites. */
export function overlayTunnel(lab: Lab, pids: readonly number[]): Tunnel {
  return { nearAddress: lab.near.overlay, farAddress: lab.far.overlay, pids }
}

/** Available if these programs are installed. The version is that of the first program's package. */
export async function installed(...programs: string[]): Promise<Availability> {
  const missing = programs.find((program) => findProgram(program) === undefined)
  if (missing !== undefined) return { reason: `${missing} is not installed` }
  return { version: (await packageVersion(programs[0])) ?? 'unknown version' }
}
