import { UserError } from '../../errors.js'
import type { State } from '../platform.js'
import { type Book, EMPTY } from './book.js'
import { readBook, writeBook } from './book-text.js'

/** So many bytes of the public key are in the file's name. */
const NAME_BYTES = 8

/**
 * The book, and its file in the state directory. What is not in the file is not in the book either. This host may get
 * another key at any time, and has that key's book from then on.
 */
export class MembersFile {
  readonly #state: State
  readonly #publicKey: () => Uint8Array | undefined
  #book: Book = EMPTY
  /** The name of the file that the book is from. */
  #name: string | undefined
  /** Why the file cannot be used: a sentence. It is not written over then. */
  #trouble: string | undefined

  /** @param publicKey of this host. Each has a file of its own. */
  constructor(state: State, publicKey: () => Uint8Array | undefined) {
    this.#state = state
    this.#publicKey = publicKey
    this.#follow()
  }

  get book(): Book {
    this.#follow()
    return this.#book
  }

  get trouble(): string | undefined {
    this.#follow()
    return this.#trouble
  }

  /** @param book made of the present one @throws UserError; all is as it was then */
  change(book: Book): void {
    // Another key's members must not come into this key's list.
    if (this.#follow())
      throw new UserError('this host has another private key now, and so other members; try again')
    const name = this.#name
    if (this.#trouble !== undefined) throw new UserError(this.#trouble)
    if (name === undefined) throw new UserError('this host has no private key, so it has no members either')
    const why = this.#state.save(name, writeBook(book))
    if (why !== undefined)
      throw new UserError(`the list of members cannot be written to ${this.#state.path}/${name} (${why})`)
    this.#book = book
  }

  /** @returns whether this host has another key than before */
  #follow(): boolean {
    const name = nameFor(this.#publicKey())
    if (name === this.#name) return false
    this.#name = name
    this.#book = EMPTY
    this.#trouble = undefined
    if (name !== undefined) this.#read(name)
    return true
  }

  #read(name: string): void {
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
}

function nameFor(key: Uint8Array | undefined): string | undefined {
  return key && `members-${Buffer.from(key.subarray(0, NAME_BYTES)).toString('hex')}.json`
}
