import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net'
import { secretBytes } from '../../key-text.js'
import { F_DUPFD_CLOEXEC } from '../../linux/constants.js'
import { fcntl, must } from '../../linux/libc.js'

const BUFFER_BYTES = 4096

/**
 * Reads an accepted connection into a buffer that is wiped. Node.js 20 copies what a server's connection has received,
 * and leaves the first copy behind in memory that it frees. Only a socket that is made from a descriptor can have a
 * buffer of its own.
 * @param accepted nothing has been read from it; it is closed here
 * @param take gets what has come; it must copy that at once
 * @returns the connection
 * @throws KernelError
 */
export function readWiped(accepted: Socket, take: (bytes: Uint8Array) => void): Socket {
  try {
    const { fd } = (accepted as unknown as { readonly _handle: { readonly fd: number } })._handle
    const options: SocketConstructorOpts & ConnectOpts = {
      fd: must('fcntl', () => fcntl(fd, F_DUPFD_CLOEXEC, 0)),
      readable: true,
      writable: true,
      // Whoever has sent all of a question may still wait for the answer.
      allowHalfOpen: true,
      onread: {
        buffer: secretBytes(BUFFER_BYTES),
        callback: (count, buffer) => {
          const bytes = buffer.subarray(0, count)
          take(bytes)
          bytes.fill(0)
          return true
        },
      },
    }
    return new Socket(options)
  } finally {
    accepted.destroy()
  }
}
