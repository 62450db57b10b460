import type { DeviceMode } from '../wire/mode.js'
import {
  IFF_MULTI_QUEUE,
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN,
  IFF_VNET_HDR,
  IFNAMSIZ,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  TUN_F_CSUM,
  TUN_F_TSO_ECN,
  TUN_F_TSO4,
  TUN_F_TSO6,
  TUN_F_USO4,
  TUN_F_USO6,
  TUNSETIFF,
  TUNSETOFFLOAD,
  TUNSETVNETHDRSZ,
} from './constants.js'
import { KernelError } from './errno.js'
import { close, ioctl, lastErrno, must, open } from './libc.js'
import { ifreq, virtio_net_hdr } from './structs.js'

export interface TapDevice {
  /** Non-blocking: a read fails with EAGAIN if there is nothing to read, so poll first. */
  readonly fd: number
  /** The name that the kernel gave it. */
  readonly name: string
}

/**
 * Opens /dev/net/tun and makes a device (`TUNSETIFF`, `IFF_NO_PI`, `IFF_VNET_HDR`). Each read and each write is
 * a `virtio_net_hdr` of 10 bytes, then the frame or packet. The device exists as long as the fd, unless it is a
 * persistent one, which is there already. See the kernel's Documentation/networking/tuntap.rst.
 * @param multiQueue whether a device of that name is there, made with `IFF_MULTI_QUEUE`
 * @throws KernelError from `open` (ENOENT, ENODEV, EACCES) or `TUNSETIFF` (EPERM, EBUSY, EINVAL)
 */
export function openTap(mode: DeviceMode, name: string, multiQueue = false): TapDevice {
  const fd = must('open', () => open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC, 0))
  const request = Buffer.alloc(ifreq.size)
  request.write(name, ifreq.ifr_name, IFNAMSIZ - 1, 'latin1')
  const flags = (mode === 'tap' ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR
  request.writeInt16LE(multiQueue ? flags | IFF_MULTI_QUEUE : flags, ifreq.ifr_flags)
  if (ioctl(fd, TUNSETIFF, request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, HEADER_SIZE) < 0) {
    const errno = lastErrno()
    close(fd)
    throw new KernelError('TUNSETIFF', errno)
  }
  const end = request.indexOf(0, ifreq.ifr_name)
  return { fd, name: request.toString('latin1', ifreq.ifr_name, Math.min(end, IFNAMSIZ)) }
}

const HEADER_SIZE = new Int32Array([virtio_net_hdr.size])

const TSO = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
const USO = TUN_F_USO4 | TUN_F_USO6

/** Which super-frames a device hands over. */
export interface DeviceOffloads {
  /** TCP. */
  readonly tso: boolean
  /** UDP; needs Linux 6.2. */
  readonly uso: boolean
}

/**
 * Makes the device hand over super-frames and leave checksums to the program (`TUNSETOFFLOAD`). If `wanted`, it
 * sets the most that the kernel accepts.
 * @param call the system call; a test can replace it
 */
export function setDeviceOffloads(fd: number, wanted: boolean, call: typeof ioctl = ioctl): DeviceOffloads {
  const set = (flags: number) => call(fd, TUNSETOFFLOAD, flags) === 0
  if (wanted && set(TSO | USO)) return { tso: true, uso: true }
  if (wanted && set(TSO)) return { tso: true, uso: false }
  set(0)
  return { tso: false, uso: false }
}
