/** Remembers what has been set up, and how to take it down. The last thing is taken down first. */
export class Resources {
  readonly #undo: (() => void | Promise<void>)[] = []

  /** Keeps `undo` for {@link close}. */
  defer(undo: () => void | Promise<void>): void {
    this.#undo.push(undo)
  }

  /** Takes everything down, even if some of it fails. Throws the first error at the end. */
  async close(): Promise<void> {
    const errors: unknown[] = []
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}
