/** What has been set up so far, and how to take it down: the last first. */
export class Resources {
  readonly #undo: (() => void | Promise<void>)[] = []

  /** Keeps `undo` for {@link close}. */
  defer(undo: () => void | Promise<void>): void {
    this.#undo.push(undo)
  }

  /** Takes everything down, each whatever the others do; the first error is thrown at the end. */
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
