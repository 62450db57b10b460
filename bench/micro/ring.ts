import { NativeMemory } from '../../src/linux/memory.js'
import { Ring, ringBytes } from '../../src/memory/ring.js'
import type { Micro } from './micro.js'

const DATA_BYTES = 1 << 20
/** A frame of an MTU of 1500 with the header of its record, and a super-frame. */
const FRAME_BYTES = 1536
const SUPER_BYTES = 65_536

const ring = new Ring(NativeMemory.allocate(ringBytes(DATA_BYTES)), 0, DATA_BYTES)

/** One thread is producer and consumer in turns. This measures the ring itself, without waiting. */
function throughRing(name: string, bytes: number, ahead: number): Micro {
  return {
    group: 'a ring',
    name: `reserve, commit, peek, release: ${name}`,
    run(times) {
      for (let done = 0; done < times; done += ahead) {
        for (let index = 0; index < ahead; index++) {
          ring.reserve(bytes)
          ring.commit(bytes)
        }
        for (let index = 0; index < ahead; index++) {
          ring.peek()
          ring.release()
        }
      }
    },
  }
}

export const rings: Micro[] = [
  throughRing('a frame', FRAME_BYTES, 1),
  throughRing('frames, eight ahead', FRAME_BYTES, 8),
  throughRing('a super-frame', SUPER_BYTES, 1),
]
