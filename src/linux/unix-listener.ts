import { AF_UNIX, SO_PEERCRED, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET } from './constants.js'
import { close, connect, getsockopt, must, socket } from './libc.js'
import { encodeUnixName } from './notify-socket.js'
import { ucred } from './structs.js'

/**
 * The process that listens at a Unix socket (`SO_PEERCRED`, unix(7)), by its number in this process's own namespace of
 * processes. Node.js does not tell.
 * @returns 0 if this namespace does not have it; undefined if nobody listens
 */
export function listenerOf(path: string): number | undefined {
  const name = encodeUnixName(path)
  if (name === undefined) return undefined
  const fd = must('socket', () => socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
  try {
    if (connect(fd, name, name.length) < 0) return undefined
    const credentials = new Uint8Array(ucred.size)
    const length = new Uint32Array([ucred.size])
    must('getsockopt', () => getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length))
    return new DataView(credentials.buffer).getInt32(ucred.pid, true)
  } finally {
    close(fd)
  }
}
