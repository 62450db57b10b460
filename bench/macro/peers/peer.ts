import type { Lab } from '../lab.js'
import { findProgram, packageVersion } from '../processes.js'

/** A tunnel that runs in both hosts of a lab. */
export interface Tunnel {
  /** The hosts' addresses inside. */
  readonly nearAddress: string
  readonly farAddress: string
  /** Its processes; none where the kernel does it all. They end with the lab. */
  readonly pids: readonly number[]
}

export type Availability = { readonly version: string } | { readonly reason: string }

/** Something that joins two hosts, measured side by side with the others. */
export interface Peer {
  readonly name: string
  readonly title: string
  readonly encrypts: boolean
  /** Its version, or why it cannot take part. */
  available(): Promise<Availability>
  /** About how long it takes from start to first ping. */
  readonly startSeconds: number
  /** How long it then takes to be as fast as it gets; it is measured after that. */
  readonly settleSeconds?: number
  /**
   * Makes keys and files. What it returns starts the tunnel, and is what "start to first ping" times: it
   * resolves when the overlay interfaces are there and up.
   */
  prepare(lab: Lab): Promise<() => Promise<Tunnel>>
}

/** The ordinary tunnel's result: the sites' overlay addresses. */
export function overlayTunnel(lab: Lab, pids: readonly number[]): Tunnel {
  return { nearAddress: lab.near.overlay, farAddress: lab.far.overlay, pids }
}

/** Available when these programs are installed; its version is that of the package that brings the first. */
export async function installed(...programs: string[]): Promise<Availability> {
  const missing = programs.find((program) => findProgram(program) === undefined)
  if (missing !== undefined) return { reason: `${missing} is not installed` }
  return { version: (await packageVersion(programs[0])) ?? 'unknown version' }
}
