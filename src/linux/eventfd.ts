import { EFD_CLOEXEC, EFD_NONBLOCK } from './constants.js'
import { close, eventfd, must, read, write } from './libc.js'

/**
 * A doorbell: an eventfd that makes a poll of its fd return (eventfd(2)). Ringing never blocks. Rings add up
 * until {@link Doorbell.silence}. Any thread of the process may wrap the same fd.
 */
export class Doorbell {
  readonly fd: number
  /** How often this object has rung. */
  rings = 0
  readonly #one = new BigUint64Array([1n])
  readonly #value = new BigUint64Array(1)

  constructor(fd: number) {
    this.fd = fd
  }

  static open(): Doorbell {
    return new Doorbell(must('eventfd', () => eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)))
  }

  ring(): void {
    this.rings++
    write(this.fd, this.#one, 8)
  }

  silence(): void {
    read(this.fd, this.#value, 8)
  }

  close(): void {
    close(this.fd)
  }
}
