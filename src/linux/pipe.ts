import { O_CLOEXEC } from './constants.js'
import { must, pipe2 } from './libc.js'

/** The two ends of a pipe, as file descriptors that no other program inherits. The caller closes them. */
export interface Pipe {
  readonly readFd: number
  readonly writeFd: number
}

/** @throws KernelError */
export function openPipe(): Pipe {
  const fds = new Int32Array(2)
  must('pipe2', () => pipe2(fds, O_CLOEXEC))
  return { readFd: fds[0], writeFd: fds[1] }
}
