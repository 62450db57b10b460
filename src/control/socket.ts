import type { Listen } from '../config/values.js'
import { UserError } from '../errors.js'
import { EADDRINUSE, EADDRNOTAVAIL, KernelError } from '../linux/errno.js'
import { openUdp, type UdpSocket } from '../linux/udp.js'

/** Room for about 50 ms at 1 Gbit/s, because a worker may have to wait for its core for a while. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024

/** This buffer is smaller, because what waits here only delays what comes after. */
const SEND_BUFFER_BYTES = 1024 * 1024

/** Opens the tunnel's socket. @throws UserError */
export function openSocket(listen: Listen): UdpSocket {
  try {
    return openUdp({
      listen,
      receiveBufferBytes: RECEIVE_BUFFER_BYTES,
      sendBufferBytes: SEND_BUFFER_BYTES,
    })
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`cannot listen on ${error.message}; check --listen`)
    if (!(error instanceof KernelError)) throw error
    if (error.errno === EADDRINUSE) {
      throw new UserError(
        `UDP port ${listen.port} is taken; stop the program that has it or choose another with --listen`,
      )
    }
    if (error.errno === EADDRNOTAVAIL) {
      throw new UserError(
        `${listen.address} is not an address of this host, so it cannot be listened on; check --listen`,
      )
    }
    throw new UserError(`the UDP socket cannot be opened (${error.message})`)
  }
}
