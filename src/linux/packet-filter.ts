import { SO_ATTACH_FILTER, SOL_SOCKET } from './constants.js'
import { must, setsockopt } from './libc.js'
import { NativeMemory } from './memory.js'
import { sock_filter, sock_fprog } from './structs.js'

/**
 * One instruction of a classic BPF program (`struct sock_filter`; the kernel's
 * Documentation/networking/filter.rst). A jump gives the number of instructions to skip.
 */
export type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, k: number]

/**
 * Makes a socket receive only packets for which `program` does not return 0 (`SO_ATTACH_FILTER`).
 * @throws KernelError
 */
export function attachFilter(fd: number, program: readonly Instruction[]): void {
  const instructions = 64
  const memory = NativeMemory.allocate(instructions + program.length * sock_filter.size)
  memory.view.setUint16(sock_fprog.len, program.length, true)
  memory.writePointer(sock_fprog.filter, instructions)
  for (const [index, [code, ifTrue, ifFalse, k]] of program.entries()) {
    const at = instructions + index * sock_filter.size
    memory.view.setUint16(at + sock_filter.code, code, true)
    memory.u8[at + sock_filter.jt] = ifTrue
    memory.u8[at + sock_filter.jf] = ifFalse
    memory.view.setUint32(at + sock_filter.k, k, true)
  }
  const fprog = memory.u8.subarray(0, sock_fprog.size)
  must('setsockopt', () => setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog, sock_fprog.size))
}
