import { UserError } from '../../errors.js'
import type { State } from '../platform.js'
import { type Book, EMPTY } from './book.js'
import { readBook, writeBook } from './book-text.js'

/** So many bytes of the public key are in the file's name. */
const NAME_BYTES = 8

/** The book, and its file in the state directory. What is not in the file is not in the book either. */
export class MembersFile {
  readonly #state: State
  readonly #publicKey: () => Uint8Array | undefined
  #book: Book = EMPTY
  /** Why the file cannot be used: a sentence. It is not written over then. */
  #trouble: string | undefined

  /** @param publicKey of this host. Each has a file of its own. */
  constructor(state: State, publicKey: () => Uint8Array | undefined) {
    this.#state = state
    this.#publicKey = publicKey
    this.#read()
  }

  get book(): Book {
    return this.#book
  }

  get trouble(): string | undefined {
    return this.#trouble
  }

  /** @throws UserError; all is as it was then */
  change(book: Book): void {
    const name = this.#name
    if (this.#trouble !== undefined) throw new UserError(this.#trouble)
    if (name === undefined) throw new UserError('this host has no private key, so it has no members either')
    const why = this.#state.save(name, writeBook(book))
    if (why !== undefined)
      throw new UserError(`the list of members cannot be written to ${this.#state.path}/${name} (${why})`)
    this.#book = book
  }

  #read(): void {
    const name = this.#name
    if (name === undefined) return
    const path = `${this.#state.path}/${name}`
    try {
      const text = this.#state.load(name)
      const book = text === undefined ? EMPTY : readBook(text)
      if (typeof book !== 'string') this.#book = book
      else this.#trouble = `the list of members, ${path}, ${book}; mend it or move it away, and start again`
    } catch (error) {
      this.#trouble = `the list of members, ${path}, cannot be read (${(error as Error).message}); mend that, and start again`
    }
  }

  get #name(): string | undefined {
    const key = this.#publicKey()
    return key && `members-${Buffer.from(key.subarray(0, NAME_BYTES)).toString('hex')}.json`
  }
}
