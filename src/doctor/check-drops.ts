import type { DropReason, StatusReport } from '../control/status.js'
import type { Facts } from './facts.js'
import { doubtful, type Finding, fine } from './finding.js'

/** What drops of a reason mean, after "2 frames or messages", and what to do. Other reasons say nothing by themselves. */
const TELLING: Partial<Readonly<Record<DropReason, readonly [text: string, advice: string]>>> = {
  foreign: [
    'came from an address or port that is no peer',
    'if it is a peer, correct its endpoint, or use keys; else close the port for others',
  ],
  forbidden: ['were forbidden by a firewall of this host', 'see the findings about the firewall'],
  not_authentic: [
    'were forged or damaged, or sealed with other keys',
    'if the count goes on rising, somebody sends them: see where from with tcpdump',
  ],
  not_private: ['were not of the private protocol', 'give the other end keys, or close the port for others'],
  wrong_mac1: [
    'belonged to handshakes for another public key',
    'give the peers the public key that udptun-fast status shows here',
  ],
  handshake_unknown_peer: [
    'belonged to handshakes of a host that is no peer',
    'add it as a peer, or correct its key here',
  ],
  handshake_refused: [
    'belonged to handshakes that are forged, repeated, or came too often',
    "if it goes on: the peer's clock may have gone back, or the preshared keys differ",
  ],
  handshake_misplaced: [
    'belonged to handshakes from where no peer can be, such as inside the tunnel',
    'look for a route on the peer that leads into the tunnel',
  ],
  not_allowed: [
    "had a source address that is not the peer's",
    'add the address or prefix to the peer in the settings, or stop that host from using it',
  ],
  no_route: ["were for an address that is no peer's", 'add the address or prefix to a peer in the settings'],
  storm: ['went over the limit of broadcasts', 'look for a loop of bridges, or for a host that floods'],
  checksum: [
    'had a wrong checksum',
    'look for a faulty network card, or use --datapath workers at the other end',
  ],
  vni: [
    'were of another VXLAN network, or not VXLAN at all',
    'give both ends the same vni, or leave the other network to a program of its own',
  ],
  congested: [
    'were marked as congested on the way, although their sender knows no ECN',
    'look for a router or a rule on the way that sets CE in all packets',
  ],
  device_refused: ['were refused by the device', 'look at ip -s link, and report it with udptun-fast report'],
  over_path: ['were longer than the path carries', 'leave the MTU to the program (--mtu auto)'],
}

/** Reasons that mean only a busy host, if it is less than this share of all frames. */
const BUSY: Partial<Readonly<Record<DropReason, string>>> = {
  socket_buffer_full: "the socket's receive buffer was full",
  device_queue_full: "the device's queue was full",
  underlay_queue_full: 'an interface or queue of the underlay was full',
}
const BUSY_SHARE = 0.01

/** @param text as in {@link TELLING}, for several */
function counted(count: number, text: string): string {
  return count === 1
    ? `1 frame or message ${text.replace(/^were /, 'was ')}`
    : `${count} frames or messages ${text}`
}

/** A port of a bridge has the bridge's MTU, so that ICMP can tell the hosts behind it what passes. */
function overPathOfPort({ drops, path, peers }: StatusReport): Finding[] {
  const clamps = path.mss_clamped > 0 || peers.some(({ datapath }) => datapath.reason === 'mss_clamp')
  if (drops.over_path === 0 || clamps) return []
  const text = `${counted(drops.over_path, 'were longer than the path carries')}, as hosts behind a bridge may send`
  return [
    fine(
      'drop.over_path',
      text,
      'with mss_clamp: true, if it is not set yet, TCP sends what is short enough',
    ),
  ]
}

/** Drops that say something. */
export function checkDrops({ status }: Facts): Finding[] {
  if (status === undefined) return []
  const { drops, inbound, outbound } = status
  const told = (Object.keys(TELLING) as DropReason[]).flatMap((reason) => {
    if (reason === 'over_path' && status.mtu_by === 'bridge') return overPathOfPort(status)
    const [text, advice] = TELLING[reason] ?? ['', '']
    return drops[reason] > 0 ? [doubtful(`drop.${reason}`, counted(drops[reason], text), advice)] : []
  })
  const frames = inbound.frames + outbound.frames
  const busy = (Object.keys(BUSY) as DropReason[])
    .filter((reason) => drops[reason] > BUSY_SHARE * frames)
    .map((reason) =>
      doubtful(
        `drop.${reason}`,
        `${drops[reason]} of ${frames} frames were lost because ${BUSY[reason]}`,
        'the host is too busy, or the underlay too slow for what is sent',
      ),
    )
  const all = [...told, ...busy]
  return all.length === 0 ? [fine('drop.none', 'no drops that say that something is wrong')] : all
}
