import type { Listen } from '../../config/addresses.js'
import { UserError } from '../../errors.js'
import { O_CLOEXEC } from '../../linux/constants.js'
import { EADDRINUSE, EADDRNOTAVAIL, KernelError } from '../../linux/errno.js'
import { close, dup3, must } from '../../linux/libc.js'
import { SOURCE_ERRORS } from '../../linux/pktinfo.js'
import { SourceSender } from '../../linux/send-from.js'
import type { Endpoint, SocketFamily } from '../../linux/sockaddr.js'
import {
  enableGro,
  openUdp,
  receiveDrops,
  receiveUnsummed,
  sendDatagram,
  setMark,
  type UdpSocket,
} from '../../linux/udp.js'
import { localIn, NAME, sockaddrIn } from '../../memory/name.js'
import type { DataSocket } from '../platform.js'
import { FlowSockets } from './flow-sockets.js'

/** Room for about 50 ms at 1 Gbit/s, because a worker may have to wait for its core for a while. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024

/** This buffer is smaller, because what waits here only delays what comes after. */
const SEND_BUFFER_BYTES = 1024 * 1024

/**
 * The IPv4 dummy address (RFC 7600). No host has it. A socket that is bound to it receives nothing, and the kernel
 * refuses what it sends (ENETUNREACH; EAFNOSUPPORT to IPv6).
 */
const NOWHERE = '192.0.0.8'

/** How long a port that was just left may stay taken. A worker's poll(2) holds its socket until the worker has run. */
const LEAVE_MS = 100

/**
 * The tunnel's socket. Its descriptor stays the same. To bind it to another address, another socket is put in its
 * place, because a socket cannot be bound twice.
 */
export class LinuxSocket implements DataSocket {
  readonly fd: number
  readonly family: SocketFamily
  #local: Endpoint
  #isBound: boolean
  #gro = false
  #unsummed = false
  #mark = 0
  /** The port that this tunnel had before; 0 if there is none. */
  #leftPort = 0
  /** What the sockets before this one have dropped. */
  #dropsBefore = 0
  #sourceSender: SourceSender | undefined
  #flows: FlowSockets | undefined

  /** @param isBound whether it is bound to an address of this host */
  constructor({ fd, family, local }: UdpSocket, isBound: boolean) {
    this.fd = fd
    this.family = family
    this.#local = local
    this.#isBound = isBound
  }

  get local(): Endpoint {
    return this.#local
  }

  get isBound(): boolean {
    return this.#isBound
  }

  /** The sockets that send frames; none if this one does. */
  get flowFds(): readonly number[] {
    return this.#flows?.fds ?? []
  }

  /** Opens {@link flowFds}, without a mark. @throws KernelError */
  openFlows(): void {
    this.#flows = FlowSockets.open(() => openBeside(this.#isBound ? this.#local.address : undefined))
  }

  get sourcePorts(): readonly number[] {
    return this.#flows?.ports ?? [this.#local.port]
  }

  bindTo(address: string | undefined, port = this.#local.port): void {
    const next = address === undefined ? openNowhere() : this.#open(address, port)
    let flows: FlowSockets | undefined
    try {
      if (this.#gro) enableGro(next.fd)
      if (this.#unsummed) receiveUnsummed(next)
      if (this.#mark !== 0) setMark(next.fd, this.#mark)
      // All that may fail comes first.
      flows = this.#flows && FlowSockets.open(() => openBeside(address), this.#mark)
      this.#dropsBefore = this.drops
      must('dup3', () => dup3(next.fd, this.fd, O_CLOEXEC))
      if (flows !== undefined) this.#flows?.become(flows)
    } finally {
      flows?.close()
      close(next.fd)
    }
    this.#leftPort = this.#local.port
    this.#local = { address: next.local.address, port: port === 0 ? next.local.port : port }
    this.#isBound = address !== undefined
  }

  #open(address: string, port: number): UdpSocket {
    for (let waitedMs = 0; ; waitedMs++) {
      try {
        return open(address, port)
      } catch (error) {
        const isOwn = error instanceof KernelError && error.errno === EADDRINUSE && port === this.#leftPort
        if (!isOwn || waitedMs === LEAVE_MS) throw error
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
      }
    }
  }

  get mark(): number {
    return this.#mark
  }

  setMark(mark: number): void {
    setMark(this.fd, mark)
    this.#flows?.setMark(mark)
    this.#mark = mark
  }

  send(datagram: Uint8Array, name: Uint8Array): number {
    const sockaddr = sockaddrIn(name)
    if (name[NAME.bearsLocal] === 1) {
      this.#sourceSender ??= new SourceSender(this.fd, this.family)
      const errno = this.#sourceSender.send(datagram, sockaddr, localIn(name))
      if (!SOURCE_ERRORS.has(errno)) return errno
    }
    return sendDatagram(this, datagram, sockaddr)
  }

  enableGro(): boolean {
    this.#gro = enableGro(this.fd)
    return this.#gro
  }

  receiveUnsummed(): void {
    this.#unsummed = true
    receiveUnsummed(this)
  }

  get drops(): number {
    return this.#dropsBefore + receiveDrops(this.fd)
  }

  close(): void {
    this.#flows?.close()
    close(this.fd)
  }
}

/**
 * Opens the tunnel's socket. If this host does not have the address, the socket is bound to none, and
 * `control/listening.ts` waits for the address.
 * @param mark of all that it sends (ip-rule(8)); 0 for none
 * @param hasFlows whether it needs {@link LinuxSocket.flowFds}
 * @throws UserError
 */
export function openSocket(listen: Listen, mark: number, hasFlows: boolean): LinuxSocket {
  const socket = openUnmarked(listen)
  try {
    if (hasFlows) openFlows(socket)
    if (mark !== 0) markAll(socket, mark)
    return socket
  } catch (error) {
    socket.close()
    throw error
  }
}

function openFlows(socket: LinuxSocket): void {
  try {
    socket.openFlows()
  } catch (error) {
    throw explained(error, 0)
  }
}

function markAll(socket: LinuxSocket, mark: number): void {
  try {
    socket.setMark(mark)
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
    throw new UserError(
      `the datagrams cannot be marked (${error.message}); run with CAP_NET_ADMIN, or leave fwmark out`,
    )
  }
}

function openUnmarked({ address, interface: device, port }: Listen): LinuxSocket {
  try {
    if (device === undefined) return new LinuxSocket(open(address, port), true)
  } catch (error) {
    const missing =
      error instanceof RangeError || (error instanceof KernelError && error.errno === EADDRNOTAVAIL)
    if (!missing) throw explained(error, port)
  }
  try {
    const nowhere = openNowhere()
    // The port is that of the settings, not the one that holds the place.
    const local = { ...nowhere.local, port: port === 0 ? nowhere.local.port : port }
    return new LinuxSocket({ ...nowhere, local }, false)
  } catch (error) {
    throw explained(error, port)
  }
}

function open(address: string | undefined, port: number, foreign = false): UdpSocket {
  return openUdp({
    listen: { address, port },
    foreign,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    sendBufferBytes: SEND_BUFFER_BYTES,
  })
}

const openNowhere = () => open(NOWHERE, 0, true)

/** A socket with any free port. @param address undefined: none of this host */
function openBeside(address: string | undefined): UdpSocket {
  return address === undefined ? openNowhere() : open(address, 0)
}

function explained(error: unknown, port: number): unknown {
  if (!(error instanceof KernelError)) return error
  if (error.errno !== EADDRINUSE) return new UserError(`the UDP socket cannot be opened (${error.message})`)
  return new UserError(
    port === 0
      ? 'no UDP port of this address is free; close some of its sockets, or widen net.ipv4.ip_local_port_range'
      : `UDP port ${port} is taken; stop the program that has it or choose another with --listen`,
  )
}
