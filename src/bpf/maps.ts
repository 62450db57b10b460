import { BpfMap, possibleProcessors } from '../linux/bpf.js'
import {
  BPF_F_NO_PREALLOC,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_QUEUE,
} from '../linux/constants.js'
import { COUNTS, MAC_ENTRY, type MapFds, NEWS, PEER_ENTRY, PREFIX_ENTRY, SOURCE_ENTRY } from './layout.js'

/** Room for what main has not read yet. More is seen again with the next frame. */
const NEWS_ENTRIES = 1024

/** A tunnel's maps. Main writes all but `counts` and `news`. */
export class Maps {
  readonly macs: BpfMap
  readonly prefixes4: BpfMap
  readonly prefixes6: BpfMap
  readonly peers: BpfMap
  readonly sources: BpfMap
  readonly counts: BpfMap
  readonly news: BpfMap

  readonly #open: BpfMap[] = []

  /** @param rows of peers @param macs, prefixes how many there may be @throws KernelError; no map is left open then */
  constructor(rows: number, macs: number, prefixes: number) {
    const hash = { type: BPF_MAP_TYPE_HASH, flags: BPF_F_NO_PREALLOC }
    const trie = { type: BPF_MAP_TYPE_LPM_TRIE, flags: BPF_F_NO_PREALLOC, entries: prefixes }
    const { keyBytes4, keyBytes6, valueBytes } = PREFIX_ENTRY
    const counting = { type: BPF_MAP_TYPE_PERCPU_ARRAY, ...COUNTS, name: 'counts', entries: rows }
    try {
      this.macs = this.#make({ ...hash, ...MAC_ENTRY, name: 'macs', entries: macs })
      this.prefixes4 = this.#make({ ...trie, name: 'prefixes4', keyBytes: keyBytes4, valueBytes })
      this.prefixes6 = this.#make({ ...trie, name: 'prefixes6', keyBytes: keyBytes6, valueBytes })
      this.peers = this.#make({ ...hash, ...PEER_ENTRY, name: 'peers', entries: rows })
      this.sources = this.#make({ ...hash, ...SOURCE_ENTRY, name: 'sources', entries: 4 * rows })
      this.counts = this.#make(counting, possibleProcessors())
      this.news = this.#make({ type: BPF_MAP_TYPE_QUEUE, ...NEWS, name: 'news', entries: NEWS_ENTRIES })
    } catch (error) {
      this.close()
      throw error
    }
  }

  get fds(): MapFds {
    return {
      macs: this.macs.fd,
      prefixes4: this.prefixes4.fd,
      prefixes6: this.prefixes6.fd,
      peers: this.peers.fd,
      sources: this.sources.fd,
      counts: this.counts.fd,
      news: this.news.fd,
    }
  }

  close(): void {
    for (const map of this.#open) map.close()
  }

  #make(...options: ConstructorParameters<typeof BpfMap>): BpfMap {
    const map = new BpfMap(...options)
    this.#open.push(map)
    return map
  }
}
