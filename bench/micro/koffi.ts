import koffi from 'koffi'
import { Doorbell } from '../../src/linux/eventfd.js'
import { getpgid, poll, read } from '../../src/linux/libc.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { pollfd } from '../../src/linux/structs.js'
import type { Micro } from './micro.js'

const group = 'a call into libc'

const abs: (value: number) => number = koffi.load('libc.so.6').func('int abs(int value)')

const memory = NativeMemory.allocate(4096)
const array = new Uint8Array(memory.u8.buffer, 0, 8)
const bigintAddress = memory.address(0)
/** In an Array that also contains an object, V8 keeps Numbers boxed. So the call does not allocate one. */
const boxed: readonly unknown[] = [Number(bigintAddress), {}]
const numberAddress = boxed[0] as number

const bell = Doorbell.open()
memory.view.setInt32(pollfd.fd, bell.fd, true)
memory.view.setInt16(pollfd.events, 1, true)

/** Nothing has rung, so every read fails with EAGAIN. It costs one system call into the kernel and back. */
function readInto(name: string, target: () => Uint8Array | bigint | number): Micro {
  return {
    group,
    name: `read of an eventfd that would block, into ${name}`,
    run(times) {
      const { fd } = bell
      const into = target()
      for (let index = 0; index < times; index++) read(fd, into, 8)
    },
  }
}

export const koffiCalls: Micro[] = [
  {
    group,
    name: 'abs, no system call',
    run(times) {
      for (let index = 0; index < times; index++) abs(-1)
    },
  },
  {
    group,
    name: 'getpgid, next to the cheapest system call',
    run(times) {
      for (let index = 0; index < times; index++) getpgid(0)
    },
  },
  readInto('a typed array', () => array),
  readInto('an address, BigInt', () => bigintAddress),
  readInto('an address, Number', () => numberAddress),
  {
    group,
    name: 'read of an eventfd that would block, into an address made at the call',
    run(times) {
      for (let index = 0; index < times; index++) read(bell.fd, memory.address(0), 8)
    },
  },
  {
    group,
    name: 'poll of one fd, timeout 0',
    run(times) {
      for (let index = 0; index < times; index++) poll(bigintAddress, 1, 0)
    },
  },
  {
    group: 'a doorbell',
    name: 'ring and silence',
    run(times) {
      for (let index = 0; index < times; index++) {
        bell.ring()
        bell.silence()
      }
    },
  },
]
