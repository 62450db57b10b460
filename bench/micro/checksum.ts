import { NativeMemory } from '../../src/linux/memory.js'
import { internetChecksum } from '../../src/wire/checksum.js'
import type { Micro } from './micro.js'

const memory = NativeMemory.allocate(65_536)
for (let at = 0; at < memory.byteLength; at++) memory.u8[at] = (at * 131) & 0xff

function checksumOf(bytes: number): Micro {
  return {
    group: 'the Internet checksum, in JavaScript',
    name: `${bytes.toLocaleString('en')} bytes`,
    bytes,
    run(times) {
      for (let index = 0; index < times; index++) internetChecksum(memory.u8, 64, bytes)
    },
  }
}

export const checksums: Micro[] = [20, 64, 1400].map(checksumOf)
