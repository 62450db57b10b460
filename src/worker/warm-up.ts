import type { NativeMemory } from '../linux/memory.js'
import type { Loop } from './loop.js'
import { SmallTunnel } from './small-tunnel.js'
import type { LoopTask, WorkerTask } from './task.js'

/** Rounds until a worker is warm. */
const ROUNDS = 6_000

/** How long a slice may keep the tunnel's own fds waiting. */
const SLICE_MS = 1

/**
 * Runs the data path before it is needed. V8 interprets code that has not run some thousand times. A frame then
 * costs tens of microseconds a hop instead of two. On a tunnel with little traffic this would last long.
 *
 * The warm-up uses a small tunnel of the worker's own. It is made of the same classes over the same memory, so
 * that what V8 learns and compiles also serves the real tunnel. It has both loops, and socket pairs instead of
 * device and network. A frame that goes in at the device comes out of it again. The warm-up takes the first
 * idle moments of a worker. Nothing of it remains.
 */
export class WarmUp {
  readonly #memory: NativeMemory
  readonly #task: WorkerTask
  readonly #assemble: (task: LoopTask) => Loop
  #tunnel: SmallTunnel | undefined
  #round = 0

  constructor(memory: NativeMemory, task: WorkerTask, assemble: (task: LoopTask) => Loop) {
    this.#memory = memory
    this.#task = task
    this.#assemble = assemble
  }

  get done(): boolean {
    return this.#round >= ROUNDS
  }

  /** Continues for {@link SLICE_MS}, or until the end. */
  slice(): void {
    const endMs = performance.now() + SLICE_MS
    this.#tunnel ??= new SmallTunnel(this.#memory, this.#task, this.#assemble)
    do this.#tunnel.round(this.#round++)
    while (!this.done && performance.now() < endMs)
    if (this.done) this.close()
  }

  /** Ends the warm-up at any point. */
  close(): void {
    this.#round = ROUNDS
    this.#tunnel?.close()
    this.#tunnel = undefined
  }
}
