/** Something that is kept in etcd. */
export interface StoreEntry {
  readonly key: string
  readonly value: string
}

/** A change of one key; `value` is undefined if the key is gone. */
export interface StoreChange {
  readonly key: string
  readonly value: string | undefined
}

/** What is kept below a prefix, at one revision of the store. */
export interface Snapshot {
  readonly entries: readonly StoreEntry[]
  readonly revision: string
  /** False: there are more entries than were wanted. */
  readonly isWhole: boolean
}

/** What is known of the newest change below a prefix, without its content. */
export interface Newest {
  readonly count: number
  /** 0 if there is no key. */
  readonly revision: string
}

/**
 * What the program needs of etcd. Revisions and leases are 64-bit numbers, as decimal text. All methods reject with
 * {@link StoreError}.
 */
export interface Store {
  /** The endpoint that is asked now, for a person. */
  readonly endpoint: string
  /** How many requests were made. */
  readonly requests: number
  /** @returns the lease */
  grant(ttlS: number): Promise<string>
  /** @returns whether the lease was still there */
  keepAlive(lease: string): Promise<boolean>
  revoke(lease: string): Promise<void>
  put(key: string, value: string, lease: string): Promise<void>
  /** @param atMost so many entries are wanted */
  read(prefix: string, atMost: number): Promise<Snapshot>
  newest(prefix: string): Promise<Newest>
  /**
   * Hears of changes below a prefix, from a revision on.
   * @param onChanges with the revision up to which all is known then
   * @returns when the watch has ended and a fresh read is needed
   */
  watch(
    prefix: string,
    fromRevision: string,
    onChanges: (changes: readonly StoreChange[], revision: string) => void,
    signal: AbortSignal,
  ): Promise<void>
  /** The next question goes to another endpoint, on a new connection. */
  next(): void
  close(): void
}

/** etcd cannot be reached, or refuses something. The message is a part of a sentence. */
export class StoreError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'StoreError'
  }
}

/** The key after all keys that begin with `prefix`. A prefix ends with an ASCII character. */
export function endOfPrefix(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}
