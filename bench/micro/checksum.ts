import { NativeMemory } from '../../src/linux/memory.js'
import { type ByteOperations, scalarOperations, wasmOperations } from '../../src/offload/bytes.js'
import type { Micro } from './micro.js'

const memory = NativeMemory.allocate(65_536)
for (let at = 0; at < memory.byteLength; at++) memory.u8[at] = (at * 131) & 0xff

function sums(language: string, operations: ByteOperations | undefined): Micro[] {
  if (operations === undefined) return []
  return [20, 64, 1400].map((bytes) => ({
    group: `the Internet checksum, in ${language}`,
    name: `${bytes.toLocaleString('en')} bytes`,
    bytes,
    run(times) {
      for (let index = 0; index < times; index++) operations.sum(64, bytes, index)
    },
  }))
}

export const checksums: Micro[] = [
  ...sums('WebAssembly', wasmOperations(memory)),
  ...sums('JavaScript', scalarOperations(memory)),
]
