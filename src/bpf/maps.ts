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

  /** @param rows of peers @param macs, prefixes how many there may be */
  constructor(rows: number, macs: number, prefixes: number) {
    const hash = { type: BPF_MAP_TYPE_HASH, flags: BPF_F_NO_PREALLOC }
    this.macs = new BpfMap({ ...hash, ...MAC_ENTRY, name: 'macs', entries: macs })
    const trie = { type: BPF_MAP_TYPE_LPM_TRIE, flags: BPF_F_NO_PREALLOC, entries: prefixes }
    const { keyBytes4, keyBytes6, valueBytes } = PREFIX_ENTRY
    this.prefixes4 = new BpfMap({ ...trie, name: 'prefixes4', keyBytes: keyBytes4, valueBytes })
    this.prefixes6 = new BpfMap({ ...trie, name: 'prefixes6', keyBytes: keyBytes6, valueBytes })
    this.peers = new BpfMap({ ...hash, ...PEER_ENTRY, name: 'peers', entries: rows })
    this.sources = new BpfMap({ ...hash, ...SOURCE_ENTRY, name: 'sources', entries: 4 * rows })
    const counting = { type: BPF_MAP_TYPE_PERCPU_ARRAY, ...COUNTS, name: 'counts', entries: rows }
    this.counts = new BpfMap(counting, possibleProcessors())
    this.news = new BpfMap({ type: BPF_MAP_TYPE_QUEUE, ...NEWS, name: 'news', entries: NEWS_ENTRIES })
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
    const { macs, prefixes4, prefixes6, peers, sources, counts, news } = this
    for (const map of [macs, prefixes4, prefixes6, peers, sources, counts, news]) map.close()
  }
}
