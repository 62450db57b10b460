import type { DeviceMode } from '../wire/mode.js'
import {
  IFF_NO_PI,
  IFF_TAP,
  IFF_TUN,
  IFNAMSIZ,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  TUNSETIFF,
} from './constants.js'
import { KernelError } from './errno.js'
import { close, ioctl, lastErrno, must, open } from './libc.js'
import { ifreq } from './structs.js'

export interface TapDevice {
  /** Non-blocking: a read with nothing to read fails with EAGAIN, so poll first. */
  readonly fd: number
  /** The name the kernel gave it. */
  readonly name: string
}

/**
 * Opens /dev/net/tun and makes a device (`TUNSETIFF`, `IFF_NO_PI`: what is read and written is the frame or
 * packet and nothing else). The device lives for as long as the fd.
 * See the kernel's Documentation/networking/tuntap.rst.
 * @throws KernelError from `open` (ENOENT, ENODEV, EACCES) or `TUNSETIFF` (EPERM, EBUSY, EINVAL)
 */
export function openTap(mode: DeviceMode, name: string): TapDevice {
  const fd = must('open', () => open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC, 0))
  const request = Buffer.alloc(ifreq.size)
  request.write(name, ifreq.ifr_name, IFNAMSIZ - 1, 'latin1')
  request.writeInt16LE((mode === 'tap' ? IFF_TAP : IFF_TUN) | IFF_NO_PI, ifreq.ifr_flags)
  if (ioctl(fd, TUNSETIFF, request) < 0) {
    const errno = lastErrno()
    close(fd)
    throw new KernelError('TUNSETIFF', errno)
  }
  const end = request.indexOf(0, ifreq.ifr_name)
  return { fd, name: request.toString('latin1', ifreq.ifr_name, Math.min(end, IFNAMSIZ)) }
}
