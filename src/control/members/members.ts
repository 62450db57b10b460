import { MAX_PEERS, type PeerSettings, type Settings } from '../../config/schema.js'
import { Secret } from '../../config/secret.js'
import { UserError } from '../../errors.js'
import { type JoinKeys, readJoin, type Verdict, writeJoined } from '../../invitation/answer.js'
import { formatKey } from '../../key-text.js'
import { Rates } from '../../rates.js'
import type { ControlMessage } from '../../wire/control.js'
import { PUBLIC_KEY_BYTES } from '../../wire/wireguard.js'
import type { Peer } from '../peer/peer.js'
import { SaidOnce } from '../said-once.js'
import { admit, type Book, heard, isOpen, type Line, type Member, tidied, without } from './book.js'
import type { MembersContext } from './context.js'
import { dueOf, type Heard } from './heard.js'
import { type InviteReport, Inviter } from './inviter.js'
import { MembersFile } from './members-file.js'
import { addressIn, overlayOf } from './overlay.js'
import { type BookPeer, peersOf } from './peers-of.js'
import { inviteRequestOf } from './request.js'

/** How often one newcomer is answered in a second, and in one burst. It asks once a second. */
const JOINS_PER_SECOND = 5
const JOINS_BURST = 10

/** The peers beside those of settings, and what they were made of. */
interface Beside {
  readonly book: Book
  /** The peers of the settings. */
  readonly own: readonly PeerSettings[]
  readonly open: readonly Line[]
  readonly peers: readonly BookPeer[]
}

/** An introducer's part in invitations: makes them, admits newcomers, and keeps who the members are. */
export class Members {
  readonly #context: MembersContext
  readonly #file: MembersFile
  readonly #inviter: Inviter
  readonly #joins: Rates
  readonly #once: SaidOnce
  #last: Beside | undefined
  #saidTrouble: string | undefined

  constructor(context: MembersContext) {
    this.#context = context
    const { platform, privateSide, tables, channel, log } = context
    this.#once = new SaidOnce(log)
    this.#file = new MembersFile(platform.state, () => privateSide.ownKey.identity?.publicKey)
    this.#sayTrouble()
    this.#inviter = new Inviter({ ...context, file: this.#file })
    this.#joins = new Rates(tables.peers.rows, JOINS_PER_SECOND, JOINS_BURST)
    channel.onMessage((row, message) => this.#hear(row, message))
  }

  /**
   * The peers beside those of `settings`: the members, and those who may become some. Whoever takes them wipes their preshared
   * keys.
   */
  peersBeside(settings: Settings): PeerSettings[] {
    return this.#beside(settings).peers.map(({ settings, presharedKey }) => ({
      ...settings,
      preshared_key_file: new Secret(Buffer.from(presharedKey, 'base64')),
    }))
  }

  /** `settings` with these peers, without their preshared keys. They stay the same objects while nothing has changed. */
  knownBeside(settings: Settings): Settings {
    return {
      ...settings,
      peers: [...settings.peers, ...this.#beside(settings).peers.map((it) => it.settings)],
    }
  }

  /** With thousands of members, this takes milliseconds, and it is often asked. So the last answer is kept. */
  #beside({ peers: own }: Settings): Beside {
    const { book } = this.#file
    const { open } = this
    const last = this.#last
    const isSame = last?.book === book && last.own === own && last.open.length === open.length
    if (isSame && last.open.every((line, at) => line === open[at])) return last
    const { peers, refused } = peersOf(book, { peers: own }, open)
    for (const sentence of refused) this.#once.say(sentence)
    this.#last = { book, own, open, peers: peers.slice(0, MAX_PEERS - own.length) }
    return this.#last
  }

  /** Must be called when the tunnel is up: the members come back. */
  async begin(): Promise<void> {
    const { members, lines } = this.#file.book
    if (members.length + lines.length > 0) await this.#follow()
  }

  /** @throws UserError; nothing has changed then */
  async invite(request: Readonly<Record<string, unknown>>): Promise<InviteReport> {
    const report = this.#inviter.invite(inviteRequestOf(request))
    await this.#follow()
    this.#context.log.info(
      { name: report.name, until: report.until },
      `invited ${report.name}, until ${report.until}`,
    )
    return report
  }

  /** Takes a member out, and what was to invite it. @throws UserError; nothing has changed then */
  async remove(name: string): Promise<{ removed: string }> {
    const { log, wanted } = this.#context
    const book = without(this.#file.book, name)
    if (book === undefined) {
      if (wanted().peers.some((it) => it.name === name))
        throw new UserError(`${name} is in the settings of this host; take it out of the file, and reload`)
      const names = [...this.#file.book.members, ...this.open].map((it) => it.name).join(', ')
      throw new UserError(
        `there is no member ${name} that this host has invited; ${names === '' ? 'there is none' : `there are: ${names}`}`,
      )
    }
    this.#file.change(book)
    await this.#follow()
    log.info({ name }, `removed ${name}`)
    return { removed: name }
  }

  /** The lines with which a newcomer may come. */
  get open(): readonly Line[] {
    const nowMs = this.#context.platform.clock.unixMs()
    return this.#file.book.lines.filter((line) => isOpen(line, nowMs))
  }

  /** What is known of a member beside what is known of any peer, by its public key in base64. */
  of(publicKey: string): Member | undefined {
    return this.#file.book.members.find((it) => it.publicKey === publicKey)
  }

  /** Must be called once a second. */
  tick(): void {
    this.#sayTrouble()
    const { book } = this.#file
    const nowMs = this.#context.platform.clock.unixMs()
    const seen = this.#seen(nowMs)
    const next = tidied(seen.size === 0 ? book : heard(book, seen), nowMs)
    if (next === book) return
    try {
      this.#file.change(next)
    } catch (error) {
      this.#once.say((error as Error).message)
      return
    }
    this.#follow().catch((error) => {
      // The tunnel stops.
      if (!(error instanceof UserError)) this.#context.faults.take('members', error)
    })
  }

  /** A list that cannot be used is said once; another private key has another one. */
  #sayTrouble(): void {
    const { trouble } = this.#file
    if (trouble !== undefined && trouble !== this.#saidTrouble) this.#context.log.error(trouble)
    this.#saidTrouble = trouble
  }

  /** When members were heard, of those of whom that is to be written now. */
  #seen(nowMs: number): Map<string, number> {
    const { roster, privateSide, platform } = this.#context
    const there: Heard[] = []
    for (const { row, settings } of roster.all) {
      const { invited, public_key } = settings
      if (public_key === undefined || (invited !== 'member' && invited !== 'client')) continue
      const key = formatKey(public_key)
      const session = privateSide.peer(row)
      if (!session?.hasKeypair || session.handshakeMs === undefined) continue
      const heardMs = nowMs - (platform.clock.bootMs() - session.handshakeMs)
      there.push({ key, heardMs, writtenMs: this.of(key)?.seenMs })
    }
    return dueOf(there)
  }

  #hear(row: number, { type, content }: ControlMessage): void {
    if (type !== 'join' || content === undefined) return
    const { roster, tables, platform } = this.#context
    const peer = roster.at(row)
    const { own } = tables.counters
    const keys = readJoin(content)
    const invited = peer?.settings.invited
    if (peer === undefined || (invited !== 'line' && invited !== 'spent')) own.count('dropJoinRefused')
    else if (keys === undefined) own.count('dropControlMalformed')
    else if (!this.#joins.allows(row, platform.clock.nowMs())) own.count('dropControlFull')
    else void this.#admit(peer, keys)
  }

  /** A newcomer tells its public keys. It is answered when it is a member, so that its handshake is known then. */
  async #admit(peer: Peer, keys: JoinKeys): Promise<void> {
    const { roster, channel, tables, faults } = this.#context
    try {
      const { verdict, member, isNew } = this.#examine(peer, keys)
      if (isNew) await this.#follow()
      if (roster.at(peer.row) !== peer) return
      if (verdict !== 'member') tables.counters.own.count('dropJoinRefused')
      const content = writeJoined(
        verdict === 'member' && member !== undefined
          ? { verdict, membership: this.#membershipOf(member) }
          : { verdict: verdict === 'member' ? 'refused' : verdict },
      )
      channel.tell(peer.row, 'joined', content)
    } catch (error) {
      // The tunnel stops.
      if (!(error instanceof UserError)) faults.take('members', error, peer.name)
    }
  }

  #examine(peer: Peer, { publicKey, signingKey }: JoinKeys) {
    const { platform, log } = this.#context
    const before = this.#file.book
    const lineKey = formatKey(peer.settings.public_key ?? new Uint8Array(PUBLIC_KEY_BYTES))
    const key = formatKey(publicKey)
    const psk = formatKey(platform.random(PUBLIC_KEY_BYTES))
    const keys = { publicKey: key, signingKey: signingKey && formatKey(signingKey) }
    const { verdict, book, member } = admit(before, lineKey, keys, psk, platform.clock.unixMs())
    const isNew = book !== before
    const no = (why: Verdict) => ({ verdict: why, member: undefined, isNew: false })
    if (isNew && !this.#isFree(publicKey, peer)) return no('refused')
    if (isNew) {
      try {
        this.#file.change(book)
      } catch (error) {
        this.#once.say((error as Error).message)
        return no('unable')
      }
      log.info({ name: member?.name, public_key: key }, `${member?.name} has joined, with the key ${key}`)
    }
    return { verdict, member, isNew }
  }

  /** Whether a newcomer may have this key: nobody has it, and somebody can. */
  #isFree(publicKey: Uint8Array, { settings }: Peer): boolean {
    const { roster, privateSide } = this.#context
    const public_key = Buffer.from(publicKey)
    if (roster.all.some((it) => it.settings.public_key?.equals(public_key))) return false
    return privateSide.isPossible({ ...settings, public_key, preshared_key_file: undefined })
  }

  #membershipOf({ presharedKey, addresses }: Member) {
    const { local } = this.#context.settings
    return {
      presharedKey: Buffer.from(presharedKey, 'base64'),
      addresses: addresses.map((it) => addressIn(it, local)),
      introducer: local,
      networks: overlayOf(local),
    }
  }

  /** @throws UserError when the tunnel stops */
  async #follow(): Promise<void> {
    const { follow, onPeers } = this.#context
    await follow()
    onPeers()
  }
}
