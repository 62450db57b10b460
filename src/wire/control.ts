import { internetChecksum } from './checksum.js'
import { ETHERNET, ETHERNET_HEADER_BYTES } from './ethernet.js'
import { IPV4_HEADER_BYTES } from './ip.js'
import { IPV4 } from './ipv4.js'
import type { DeviceMode } from './mode.js'

/**
 * Control frames carry what two ends tell each other. On the wire they are ordinary frames. An end that does
 * not know them hands them to its device, where the kernel ignores them.
 *
 * In tap mode it is an Ethernet frame of EtherType 0x88B5 (local experimental, IEEE 802) to the link-local
 * group 01:80:c2:00:00:0e. No bridge forwards that group (IEEE 802.1Q, 8.6.3). In tun mode it is an IPv4 packet
 * of protocol 253 (for experiments, RFC 3692 and 4727) from and to 127.0.0.1. Every kernel drops it as a
 * martian.
 *
 * After that header, big-endian: magic `udpt` (4 bytes), version (1), type (1), size (2), token (8), then zeros
 * to the end of the frame. In an acknowledgement of a hello or a probe, `size` is the length in bytes of the whole
 * frame that it answers, as it was received. In a hello it says what this end can do: {@link CAN_KERNEL}, {@link NOT_NOW}. Else it is 0.
 *
 * An acknowledgement of a hello has two more bytes after the token: the path MTU from its sender to the asker, 0 if it
 * is not known. Ends that do not know of them ignore them, and send none.
 *
 * An ask, an introduction, a join and its answer have their content after the token, and its bytes in `size`.
 */
const ETHERTYPE_CONTROL = 0x88b5
const IPPROTO_CONTROL = 253

const DESTINATION = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e]
/** Locally administered. It is no device's address, so that no bridge learns a wrong port for a device. */
const SOURCE = [0x02, 0x75, 0x64, 0x70, 0x74, 0x00]
const LOOPBACK = 0x7f000001
const TTL = 1

/** In a hello: the kernel's own datapath takes frames here. */
export const CAN_KERNEL = 1
/** In a hello, beside {@link CAN_KERNEL}: but not from this peer now. */
export const NOT_NOW = 2

const MAGIC = 0x75647074
const VERSION = 1
const BODY = { magic: 0, version: 4, type: 5, size: 6, token: 8, bytes: 16, pathMtu: 16 } as const
const PATH_MTU_BYTES = 2

const CONTROL_TYPES = [
  'hello',
  'hello_ack',
  'probe',
  'probe_ack',
  'kernel_ack',
  'ask',
  'introduction',
  'join',
  'joined',
  'check',
  'check_ack',
] as const
const FIRST_CHECK = 1 + CONTROL_TYPES.indexOf('check')
/**
 * `hello` is a keepalive. `probe` is padded to the size that is tried. `…_ack` is the answer. `kernel_ack` answers a
 * probe of the kernel's own datapath (bpf/layout.ts): its token is the probe's source, a MAC, as a number. `ask` and
 * `introduction` (wire/introduction.ts), `join` and `joined` (invitation/answer.ts) have content. `check` goes to a
 * candidate, and its answer to where it came from; the peer is not there for it (control/mesh/candidates.ts). On the wire: from 1. An end that does not know a type drops the
 * frame.
 */
export type ControlType = (typeof CONTROL_TYPES)[number]

export interface ControlMessage {
  readonly type: ControlType
  /** 64 random bits. An answer repeats the token of the message that it answers. */
  readonly token: bigint
  /** In an acknowledgement: bytes of the frame that it answers. In a hello: 0, or {@link CAN_KERNEL} and {@link NOT_NOW}. */
  readonly sizeBytes: number
  /** In an acknowledgement of a hello: the path MTU from its sender to the asker; undefined if it is not known. */
  readonly pathMtuBytes?: number | undefined
  /** What those say that have content ({@link hasContent}). */
  readonly content?: Uint8Array | undefined
}

function headerBytes(mode: DeviceMode): number {
  return mode === 'tap' ? ETHERNET_HEADER_BYTES : IPV4_HEADER_BYTES
}

/** The shortest control frame: 30 bytes in tap mode, 36 bytes in tun mode. */
export function controlFrameBytes(mode: DeviceMode): number {
  return headerBytes(mode) + BODY.bytes
}

/** Makes a control frame of `bytes` bytes. @throws RangeError if that is too short or more than 65,535 */
export function writeControl(
  mode: DeviceMode,
  message: ControlMessage,
  bytes = controlFrameBytes(mode) + moreBytes(message),
): Uint8Array {
  if (bytes < controlFrameBytes(mode) || bytes > 0xffff)
    throw new RangeError(`a control frame cannot have ${bytes} bytes`)
  const frame = new Uint8Array(bytes)
  const view = new DataView(frame.buffer)
  if (mode === 'tap') {
    frame.set(DESTINATION, ETHERNET.destination)
    frame.set(SOURCE, ETHERNET.source)
    view.setUint16(ETHERNET.type, ETHERTYPE_CONTROL)
  } else {
    view.setUint8(IPV4.versionIhl, 0x45)
    view.setUint16(IPV4.totalLength, bytes)
    view.setUint8(IPV4.ttl, TTL)
    view.setUint8(IPV4.protocol, IPPROTO_CONTROL)
    view.setUint32(IPV4.source, LOOPBACK)
    view.setUint32(IPV4.destination, LOOPBACK)
    view.setUint16(IPV4.checksum, internetChecksum(frame, 0, IPV4_HEADER_BYTES))
  }
  const body = headerBytes(mode)
  view.setUint32(body + BODY.magic, MAGIC)
  view.setUint8(body + BODY.version, VERSION)
  view.setUint8(body + BODY.type, 1 + CONTROL_TYPES.indexOf(message.type))
  view.setUint16(body + BODY.size, message.content?.length ?? message.sizeBytes)
  view.setBigUint64(body + BODY.token, message.token)
  if (message.type === 'hello_ack' && bytes >= body + BODY.bytes + PATH_MTU_BYTES)
    view.setUint16(body + BODY.pathMtu, message.pathMtuBytes ?? 0)
  if (hasContent(message.type)) frame.set(message.content ?? [], body + BODY.bytes)
  return frame
}

function hasContent(type: ControlType): boolean {
  return type === 'ask' || type === 'introduction' || type === 'join' || type === 'joined'
}

/** The bytes after the token. */
function moreBytes({ type, content }: ControlMessage): number {
  if (type === 'hello_ack') return PATH_MTU_BYTES
  return hasContent(type) ? (content?.length ?? 0) : 0
}

/**
 * Whether the frame of `bytes` bytes at `frame` has the header of a control frame. The body does not matter.
 * For almost every other frame, one comparison is enough.
 */
export function isControl(view: DataView, frame: number, bytes: number, tap: boolean): boolean {
  if (tap) {
    return (
      bytes >= ETHERNET_HEADER_BYTES &&
      view.getUint16(frame + ETHERNET.type) === ETHERTYPE_CONTROL &&
      view.getUint16(frame + 4) === 0x000e &&
      view.getUint32(frame) === 0x0180c200
    )
  }
  return (
    bytes >= IPV4_HEADER_BYTES &&
    view.getUint8(frame + IPV4.protocol) === IPPROTO_CONTROL &&
    view.getUint32(frame + IPV4.source) === LOOPBACK &&
    view.getUint32(frame + IPV4.destination) === LOOPBACK &&
    view.getUint8(frame) >>> 4 === 4
  )
}

/** Whether the frame is a `check` or its answer: for most frames, one comparison is enough. */
export function isCheck(view: DataView, frame: number, bytes: number, tap: boolean): boolean {
  const body = frame + (tap ? ETHERNET_HEADER_BYTES : IPV4_HEADER_BYTES)
  return (
    isControl(view, frame, bytes, tap) &&
    body + BODY.bytes <= frame + bytes &&
    view.getUint8(body + BODY.type) >= FIRST_CHECK &&
    view.getUint32(body + BODY.magic) === MAGIC
  )
}

/**
 * Reads a control frame.
 * @param head its first bytes: at least {@link controlFrameBytes}, if it has so many; of one with content, all
 * @param bytes the length of the whole frame
 * @returns undefined if the frame is malformed or of another version
 */
export function readControl(mode: DeviceMode, head: Uint8Array, bytes: number): ControlMessage | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  const body = headerBytes(mode)
  if (bytes < body + BODY.bytes || head.length < body + BODY.bytes) return undefined
  if (!isControl(view, 0, bytes, mode === 'tap')) return undefined
  if (mode === 'tun') {
    if (view.getUint8(0) !== 0x45 || view.getUint16(IPV4.totalLength) !== bytes) return undefined
    if (internetChecksum(head, 0, IPV4_HEADER_BYTES) !== 0) return undefined
  }
  if (view.getUint32(body + BODY.magic) !== MAGIC || view.getUint8(body + BODY.version) !== VERSION)
    return undefined
  const type = CONTROL_TYPES[view.getUint8(body + BODY.type) - 1]
  if (type === undefined) return undefined
  const tells = type === 'hello_ack' && head.length >= body + BODY.bytes + PATH_MTU_BYTES
  const pathMtuBytes = (tells && view.getUint16(body + BODY.pathMtu)) || undefined
  const sizeBytes = view.getUint16(body + BODY.size)
  const content = hasContent(type) ? head.slice(body + BODY.bytes, body + BODY.bytes + sizeBytes) : undefined
  if (content !== undefined && content.length < sizeBytes) return undefined
  return {
    type,
    token: view.getBigUint64(body + BODY.token),
    sizeBytes,
    ...(pathMtuBytes === undefined ? {} : { pathMtuBytes }),
    ...(content === undefined ? {} : { content }),
  }
}

/**
 * The answer to a hello, probe or check of `bytes` bytes; undefined if the message is itself an answer.
 * @param pathMtuBytes of the path to the asker; undefined if it is not known
 */
export function controlAnswer(
  { type, token }: ControlMessage,
  bytes: number,
  pathMtuBytes?: number,
): ControlMessage | undefined {
  if (type === 'hello') return { type: 'hello_ack', token, sizeBytes: bytes, pathMtuBytes }
  if (type === 'probe') return { type: 'probe_ack', token, sizeBytes: bytes }
  if (type === 'check') return { type: 'check_ack', token, sizeBytes: 0 }
  return undefined
}
