import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from './constants.js'
import { close, must, open, setns, unshare } from './libc.js'

/**
 * Network namespaces without names: one lives for as long as a process runs in it or an fd refers to it, so
 * nothing is left behind however the program ends (namespaces(7), setns(2)).
 *
 * A namespace belongs to a thread. Child processes and worker threads start in that of the thread which
 * makes them, so {@link NetworkNamespace.run} around the making puts them inside.
 */
export class NetworkNamespace {
  readonly fd: number

  private constructor(fd: number) {
    this.fd = fd
  }

  /** The calling thread's. */
  static current(): NetworkNamespace {
    return new NetworkNamespace(must('open', () => open('/proc/thread-self/ns/net', O_RDONLY | O_CLOEXEC, 0)))
  }

  /** A new, empty one; the calling thread stays where it is. @throws KernelError (EPERM without CAP_SYS_ADMIN) */
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

  /** Calls `work` with the calling thread inside, and brings the thread back. `work` must be synchronous. */
  run<T>(work: () => T): T {
    const home = NetworkNamespace.current()
    try {
      this.#enter()
      return work()
    } finally {
      home.#enter()
      home.close()
    }
  }

  #enter(): void {
    must('setns', () => setns(this.fd, CLONE_NEWNET))
  }

  close(): void {
    close(this.fd)
  }
}
