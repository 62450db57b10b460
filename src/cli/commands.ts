import type { Command } from 'commander'

/** Loads what adds a command to a program. */
export type LoadCommand = () => Promise<(program: Command) => void>

/**
 * Each command is loaded only if it is asked for. The help loads all.
 */
export const COMMANDS: Readonly<Record<string, LoadCommand>> = {
  start: async () => (await import('./start.js')).addStart,
  status: async () => (await import('./status.js')).addStatus,
  peers: async () => (await import('./peers.js')).addPeers,
  ping: async () => (await import('./ping.js')).addPing,
  top: async () => (await import('./top.js')).addTop,
  fdb: async () => (await import('./fdb.js')).addFdb,
  reload: async () => (await import('./reload.js')).addReload,
  invite: async () => (await import('./invite.js')).addInvite,
  join: async () => (await import('./join.js')).addJoin,
  members: async () => (await import('./members.js')).addMembers,
  remove: async () => (await import('./members.js')).addRemove,
  up: async () => (await import('./up.js')).addUp,
  down: async () => (await import('./down.js')).addDown,
  save: async () => (await import('./down.js')).addSave,
  strip: async () => (await import('./strip.js')).addStrip,
  mtu: async () => (await import('./mtu.js')).addMtu,
  doctor: async () => (await import('./doctor.js')).addDoctor,
  report: async () => (await import('./report.js')).addReport,
  keygen: async () => (await import('./keys.js')).addKeygen,
  pubkey: async () => (await import('./keys.js')).addPubkey,
  network: async () => (await import('./network.js')).addNetwork,
  demo: async () => (await import('./demo.js')).addDemo,
  complete: async () => (await import('./complete.js')).addComplete,
}
