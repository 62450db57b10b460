import type { IpFamily } from '../../wire/ip.js'

/** How long a search may take until a router has said again what the path carries. */
const REMINDING_MS = 5_000

/**
 * Whether this host can send datagrams to a peer in fragments. Over IPv4 any router makes them. Over IPv6 only this
 * host does, and its kernel cuts to what its cache knows of the path from ICMPv6. The kernel forgets that after ten
 * minutes (`net.ipv6.route.mtu_expires`), and learns it again when something too long is sent.
 */
export class Fragmenting {
  /** The last path MTU of the kernel's cache that was small enough. */
  #knownBytes: number | undefined
  #forgottenMs: number | undefined
  #mustRemind = false

  /**
   * Must be called once a second while fragments are needed. Returns whether they can be made now.
   * @param knownBytes what the kernel knows of the path; undefined if nothing
   * @param pathBytes what the path carries
   */
  look(family: IpFamily, knownBytes: number | undefined, pathBytes: number, nowMs: number): boolean {
    if (family === 'ipv4') return true
    if (knownBytes === undefined) return false
    if (knownBytes <= pathBytes) {
      this.#knownBytes = knownBytes
      this.#forgottenMs = undefined
      this.#mustRemind = false
      return true
    }
    if (this.#knownBytes === undefined || knownBytes <= this.#knownBytes) return false
    if (this.#forgottenMs === undefined) {
      this.#forgottenMs = nowMs
      this.#mustRemind = true
    }
    // What is sent now reminds it, too.
    if (nowMs - this.#forgottenMs <= REMINDING_MS) return true
    // No router tells it any more.
    this.#knownBytes = undefined
    return false
  }

  /** Whether the path must be searched because the kernel has forgotten what it carries. True once each time. */
  takeReminder(): boolean {
    const mustRemind = this.#mustRemind
    this.#mustRemind = false
    return mustRemind
  }
}
