import { UserError } from '../../errors.js'
import { namespacePath, openNamespace } from '../../host/namespace.js'
import type { NetworkNamespace } from '../../linux/netns.js'

/**
 * The network namespace of the device: this program's own, or the one that the settings name. The sockets of the tunnel
 * are always in this program's own.
 */
export class DevicePlace {
  readonly #given: string | undefined
  readonly #namespace: NetworkNamespace | undefined

  /** @param given a name or a path; undefined for this program's own @throws UserError */
  constructor(given: string | undefined) {
    this.#given = given
    this.#namespace = given === undefined ? undefined : openNamespace(given)
  }

  /** The number of the namespace; undefined if it is this program's own. */
  get elsewhere(): number | undefined {
    return this.#namespace?.inode
  }

  /** Calls `work` there. It must be synchronous, and start no threads. */
  run<T>(work: () => T): T {
    return this.#namespace === undefined ? work() : this.#namespace.run(work)
  }

  /**
   * Why the device is of no use any more; undefined if it is. The kernel keeps the namespace as long as this program has
   * something of it. So what counts is that the name, or the process, is gone by which it was given.
   */
  get lost(): Error | undefined {
    const given = this.#given
    if (given === undefined || this.#namespace?.isAt(namespacePath(given))) return undefined
    return new UserError(`the network namespace ${given} is gone, and so is the device in it`)
  }

  close(): void {
    this.#namespace?.close()
  }
}
