import type { FdbEntry } from '../../memory/fdb-upkeep.js'
import { DEVICE } from '../../memory/target.js'
import type { KernelPath } from './kernel-path.js'

/** MACs that were seen within this time by the kernel are not forgotten: half of what the FDB waits. */
const SEEN_S = 150

interface Known {
  readonly mac: Uint8Array
  readonly port: number
  readonly pinned: boolean
  readonly carried: boolean
}

/**
 * Keeps the kernel's table of MACs like the forwarding database, for untagged frames. It has those of all peers, because
 * the kernel must see when a peer that it carries sends from, or to, a MAC of a peer that the workers carry.
 */
export class MacTable {
  readonly #path: KernelPath
  readonly #known = new Map<number, Known>()

  constructor(path: KernelPath) {
    this.#path = path
  }

  /** @param entries of the FDB @param isCarried whether the kernel carries the peer in a row */
  follow(entries: Iterable<FdbEntry>, isCarried: (row: number) => boolean): void {
    const gone = new Set(this.#known.keys())
    for (const { macHigh, macLow, vlan, port, ageS } of entries) {
      if (vlan !== 0) continue
      const key = macHigh * 2 ** 32 + macLow
      const pinned = ageS === undefined
      gone.delete(key)
      const known = this.#known.get(key)
      const carried = port !== DEVICE && isCarried(port)
      if (known?.port === port && known.pinned === pinned && known.carried === carried) continue
      const mac = bytesOf(macHigh, macLow)
      // If there is no room now, it is tried again at the next look. Until then the workers carry what is for it.
      if (!this.#path.setMac(mac, port, { pinned, carried })) continue
      this.#known.set(key, { mac, port, pinned, carried })
    }
    for (const key of gone) this.#remove(key)
  }

  /** The MACs that the kernel has seen lately, and that nobody has pinned. */
  *seen(): Generator<Known> {
    for (const it of this.#known.values()) {
      if (it.pinned) continue
      const ageS = this.#path.seenS(it.mac)
      if (ageS !== undefined && ageS < SEEN_S) yield it
    }
  }

  #remove(key: number): void {
    const known = this.#known.get(key)
    if (known !== undefined) this.#path.removeMac(known.mac)
    this.#known.delete(key)
  }
}

function bytesOf(high: number, low: number): Uint8Array {
  return Uint8Array.of(
    high >>> 8,
    high & 0xff,
    low >>> 24,
    (low >>> 16) & 0xff,
    (low >>> 8) & 0xff,
    low & 0xff,
  )
}
