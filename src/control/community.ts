import type { PeerSettings, Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import type { SourceStatus } from './discovery/source.js'
import type { NetworkNames } from './members/context.js'
import type { InviteReport } from './members/inviter.js'
import { Members } from './members/members.js'
import { type MemberReport, reportInvitations, reportMembers } from './members/report.js'
import type { AddedRecord } from './mesh/add-record.js'
import type { PortMappingStatus } from './mesh/mapping.js'
import { Mesh } from './mesh/mesh.js'
import type { Parts, PartsOptions } from './parts.js'
import type { Reloader } from './reload.js'

export interface CommunityContext extends PartsOptions, Parts {
  /** How invitations call this host and its network. */
  readonly names: NetworkNames
  readonly reloader: Pick<Reloader, 'settings' | 'followMembers'>
  /** The peers have changed. */
  readonly onPeers: () => void
}

/**
 * The hosts of the network beside those that the settings name: whom this host has invited, and whom others introduce.
 * Only keys tell hosts apart, so a tunnel that is not private has none.
 */
export class Community {
  readonly #context: CommunityContext
  /** Undefined if the tunnel is not private. */
  readonly #mesh: Mesh | undefined
  /** Undefined if this host introduces nobody. */
  readonly #members: Members | undefined

  constructor(context: CommunityContext) {
    const { settings, privateSide, reloader } = context
    this.#context = context
    if (privateSide === undefined) return
    const wanted = () => reloader.settings
    const common = { ...context, privateSide, wanted, follow: () => reloader.followMembers() }
    this.#mesh = new Mesh({ ...common, known: () => this.#withInvited(wanted()) })
    if (settings.introduce) this.#members = new Members(common)
  }

  #withInvited(wanted: Settings): Settings {
    return this.#members?.knownBeside(wanted) ?? wanted
  }

  /** The peers beside those that a person wants. Whoever takes them wipes their preshared keys. */
  beside(wanted: Settings): readonly PeerSettings[] {
    const introduced = this.#mesh?.membersBeside(this.#withInvited(wanted)) ?? []
    return [...(this.#members?.peersBeside(wanted) ?? []), ...introduced]
  }

  /** Must be called when the tunnel is up. */
  async begin(): Promise<void> {
    await this.#members?.begin()
  }

  /** Must be called ten times a second, if the tunnel is private. */
  look(): void {
    this.#context.faults.run('introductions', () => this.#mesh?.tick())
  }

  /** Must be called once a second. */
  tick(): void {
    this.#context.faults.run('members', () => this.#members?.tick())
  }

  /** This host's addresses may be others now. */
  ownChanged(): void {
    this.#mesh?.ownChanged()
  }

  /** Null if no router is asked for a mapping. */
  get portMapping(): PortMappingStatus | null {
    return this.#mesh?.portMapping ?? null
  }

  get discovery(): SourceStatus | null {
    return this.#mesh?.discovery ?? null
  }

  report(): readonly MemberReport[] {
    const { access, platform, roster } = this.#context
    const hosts = reportMembers(
      roster.all,
      (key) => this.#members?.of(key),
      platform.clock.unixMs(),
      (peer) => this.#mesh?.isSigned(peer),
      ({ settings }) => access.groupsOf(settings),
    )
    return [...hosts, ...reportInvitations(this.#members?.open ?? [])]
  }

  /** @throws UserError; nothing has changed then */
  async invite(request: Readonly<Record<string, unknown>>): Promise<InviteReport> {
    return this.#inviting.invite(request)
  }

  /** @throws UserError; nothing has changed then */
  async remove(name: string): Promise<{ removed: string }> {
    return this.#inviting.remove(name)
  }

  /** @throws UserError; nothing has changed then */
  addRecord(line: string): AddedRecord {
    if (this.#mesh === undefined)
      throw new UserError('this tunnel is not private, so its peers have no keys and no records')
    return this.#mesh.addRecord(line)
  }

  /** @throws UserError if this host introduces nobody */
  get #inviting(): Members {
    if (this.#members !== undefined) return this.#members
    throw new UserError(
      this.#mesh === undefined
        ? 'this tunnel is not private, so nobody can be invited to it; give it a private_key_file, and introduce: true'
        : 'this host is no introducer; add introduce: true to its settings, and start it again',
    )
  }

  async close(): Promise<void> {
    await this.#mesh?.close()
  }
}
