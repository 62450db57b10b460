import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from './constants.js'
import { close, must, open, setns, unshare } from './libc.js'

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

  /**
   * Calls `work` with the calling thread inside the namespace, then brings the thread back. `work` must be
   * synchronous.
   */
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
