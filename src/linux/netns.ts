import { fstatSync, statSync, writeSync } from 'node:fs'
import { CLONE_NEWNET, O_CLOEXEC, O_NONBLOCK, O_RDONLY } from './constants.js'
import { close, must, open, setns, unshare } from './libc.js'
import { exitNow } from './process.js'

const STDERR = 2

/**
 * Network namespaces without names. A namespace exists while a process runs in it or an fd refers to it. So
 * nothing is left behind, however the program ends (namespaces(7), setns(2)).
 *
 * A namespace belongs to a thread. Child processes and worker threads start in the namespace of the thread that
 * creates them. Create them within {@link NetworkNamespace.run} to start them inside.
 */
export class NetworkNamespace {
  readonly fd: number

  private constructor(fd: number) {
    this.fd = fd
  }

  /** The namespace of the calling thread. */
  static current(): NetworkNamespace {
    return new NetworkNamespace(must('open', () => open('/proc/thread-self/ns/net', O_RDONLY | O_CLOEXEC, 0)))
  }

  /**
   * The namespace that a file stands for, such as /run/netns/blue. The calling thread has been inside and back, so it may
   * go there.
   * @throws KernelError from `open`; from `setns`: EINVAL if it is no network namespace, EPERM without CAP_SYS_ADMIN
   */
  static at(path: string): NetworkNamespace {
    // Opening a pipe would wait for its writer.
    const fd = must('open', () => open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0))
    const namespace = new NetworkNamespace(fd)
    try {
      namespace.run(() => {})
      return namespace
    } catch (error) {
      namespace.close()
      throw error
    }
  }

  /**
   * Creates an empty namespace. The calling thread stays in its own. @throws KernelError (EPERM without
   * CAP_SYS_ADMIN)
   */
  static create(): NetworkNamespace {
    const home = NetworkNamespace.current()
    try {
      must('unshare', () => unshare(CLONE_NEWNET))
      const made = NetworkNamespace.current()
      home.#enter()
      return made
    } finally {
      home.close()
    }
  }

  /** By this number the kernel tells namespaces that exist at the same time (namespaces(7)). */
  get inode(): number {
    return fstatSync(this.fd).ino
  }

  /** Whether a file stands for this namespace now. @throws Error if this process may not look at it */
  isAt(path: string): boolean {
    const there = statSync(path, { throwIfNoEntry: false })
    const { dev, ino } = fstatSync(this.fd)
    return there?.ino === ino && there.dev === dev
  }

  /**
   * Calls `work` with the calling thread inside the namespace, then brings the thread back. `work` must be
   * synchronous. If the thread cannot come back, the program ends, because all else that it does would be done inside.
   * @throws KernelError if the thread cannot go there; what `work` throws
   */
  run<T>(work: () => T): T {
    const home = NetworkNamespace.current()
    try {
      this.#enter()
      try {
        return work()
      } finally {
        home.#enterOrEnd()
      }
    } finally {
      home.close()
    }
  }

  #enter(): void {
    must('setns', () => setns(this.fd, CLONE_NEWNET))
  }

  #enterOrEnd(): void {
    try {
      this.#enter()
    } catch (error) {
      const { message } = error as Error
      writeSync(STDERR, `udptun-fast: there is no way back from another network namespace (${message})\n`)
      exitNow(1)
    }
  }

  close(): void {
    close(this.fd)
  }
}
