/** Cuts a stream into lines. etcd's gateway writes one JSON value a line. */
export class Lines {
  readonly #maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  /** @param maxBytes of one line */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns the lines that are whole now, without those that are empty @throws RangeError if a line is too long */
  take(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let at = chunk.indexOf(0x0a); at >= 0; at = chunk.indexOf(0x0a, from)) {
      const text = Buffer.concat([...this.#parts, chunk.subarray(from, at)]).toString('utf8')
      this.#parts = []
      this.#bytes = 0
      from = at + 1
      if (text.trim() !== '') lines.push(text)
    }
    const rest = chunk.subarray(from)
    this.#bytes += rest.length
    if (this.#bytes > this.#maxBytes) throw new RangeError(`a line of more than ${this.#maxBytes} bytes`)
    if (rest.length > 0) this.#parts.push(rest)
    return lines
  }
}
