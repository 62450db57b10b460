import { WORKER_REASONS, type WorkerReason } from '../control/datapath/reason.js'
import { isHost, type PeerStatus, type StatusReport } from '../control/status.js'
import { checkDevice } from './check-device.js'
import type { Facts } from './facts.js'
import { doubtful, type Finding, fine, wrong } from './finding.js'

/** What is wrong with a running tunnel and its peers. */
export function checkTunnel({ status, noAnswer, looped }: Facts): Finding[] {
  if (noAnswer !== null) return [wrong('tunnel.no_answer', noAnswer, 'look at its log; or start it again')]
  if (status === undefined)
    return [fine('tunnel.none', 'no tunnel runs here, so only this host was looked at')]
  const { faults, peers } = status
  const faulty =
    faults.count === 0
      ? []
      : [doubtful('tunnel.faults', `the tunnel has gone on after ${faults.count} errors of its own`, REPORT)]
  return [
    ...faulty,
    ...checkDevice(status),
    ...checkDeviceMtu(status),
    ...peers
      .filter(isHost)
      .flatMap((peer) => [
        ...checkPeer(peer, status, looped.includes(peer.name)),
        ...checkPath(peer),
        ...checkDatapath(peer),
      ]),
  ]
}

const REPORT = 'please report it, with the file that udptun-fast report writes'

/** Whether a peer is there; if not, the likely reason. */
function checkPeer(peer: PeerStatus, status: StatusReport, isLooped: boolean): Finding[] {
  const { name, endpoint, trouble, underlay, state, privacy, host, relayed } = peer
  if (relayed != null && state === 'up' && privacy?.handshake_s != null)
    return [fine('peer.up', `it is up, relayed by ${relayed.by}, because ${relayed.why}`, null, name)]
  if (relayed != null) return [silent(peer, status)]
  if (endpoint === null && privacy !== null && host === name)
    return [
      doubtful('peer.not_come', 'it has not come yet, and this host does not know where it is', START, name),
    ]
  if (endpoint === null)
    return [
      wrong(
        'peer.not_found',
        `it is not found: ${trouble ?? `${host} is being looked up`}`,
        `check its name, and the name servers, with: getent ahosts ${host}`,
        name,
      ),
    ]
  // The tunnel itself takes such a way for none. Its own datagrams may have a mark, and another way.
  if (underlay?.interface === null && isLooped)
    return [
      wrong(
        'route.loop',
        `the way to ${endpoint} leads into the tunnel's own device, ${status.device}`,
        `take that route away, or add a better one for its address by the right interface; see: ip route get ${bare(endpoint)}`,
        name,
      ),
    ]
  if (underlay?.interface === null)
    return [
      wrong('route.none', `there is no route to ${endpoint}`, `see: ip route get ${bare(endpoint)}`, name),
    ]
  if (state === 'up' && privacy?.handshake_s !== null)
    return [fine('peer.up', `it is up at ${endpoint}`, null, name)]
  return [silent(peer, status)]
}

function silent(peer: PeerStatus, status: StatusReport): Finding {
  const { name, state } = peer
  const [why, advice] = likely(peer, status)
  const is = state === 'new' ? 'nothing has come from it yet' : `it is ${state}`
  return wrong(`peer.${state === 'up' ? 'no_keys' : state}`, `${is}; ${why}`, advice, name)
}

const START = 'start it, or give its endpoint'

/** Why nothing comes from a peer, as the tunnel's counters suggest; and what to do. */
function likely({ endpoint, privacy }: PeerStatus, { drops, icmp }: StatusReport): readonly [string, string] {
  const secret = privacy !== null
  if (drops.forbidden > 0)
    return ['a firewall of this host forbids what is sent to it', 'see the findings about the firewall']
  if (secret && drops.wrong_mac1 > 0)
    return [
      'somebody sends handshakes for another public key, so it probably has a wrong public key of this host',
      'give it the public key that udptun-fast status shows here',
    ]
  if (secret && drops.handshake_unknown_peer > 0)
    return [
      'handshakes come from a key that is no peer, so this host probably has a wrong public key of it',
      'give --peer-key what udptun-fast pubkey prints there',
    ]
  if (secret && drops.handshake_refused > 0)
    return [
      'handshakes are refused, so its clock has probably gone back, or the preshared keys differ',
      'set the clock there, and compare the preshared keys',
    ]
  if (secret && drops.not_private > 0)
    return ['what comes is not private, so the other end probably has no keys', 'give both ends keys']
  if (drops.foreign > 0)
    return [
      'something comes from an address or port that is no peer, so its endpoint is probably another one',
      'compare the endpoint here with where it sends from, such as with: tcpdump -ni any udp',
    ]
  if (icmp.unreachable > 0)
    return [
      `ICMP says that it cannot be reached: its host is off, nobody listens ${endpoint === null ? 'there' : `at ${endpoint}`}, or a firewall refuses it`,
      'start it there, and compare the port with its --listen',
    ]
  if (secret && privacy.handshake_s === null)
    return [
      'no handshake has been answered, so it does not run, a key is wrong, or a firewall on the way drops it',
      'run udptun-fast doctor there, and compare both public keys',
    ]
  return [
    'it does not run, has another port, or a firewall on the way drops the datagrams',
    'run udptun-fast doctor there',
  ]
}

function checkDeviceMtu(status: StatusReport): Finding[] {
  const { mtu_bytes, mtu_by, bridge, device, peers } = status
  const over = peers.filter((it) => (it.carried_mtu_bytes ?? mtu_bytes) < mtu_bytes)
  if (over.length === 0) {
    const by = bridge === null ? '' : `, as a port of ${bridge}`
    return [fine('mtu.fits', `the MTU of ${device} is ${mtu_bytes}${by}, and the paths carry it`)]
  }
  const least = Math.min(...over.map((it) => it.carried_mtu_bytes ?? mtu_bytes))
  // A bridge's frames may be longer than any path carries.
  if (mtu_by === 'bridge')
    return [
      fine(
        'mtu.bridge',
        `the MTU of ${device} is ${mtu_bytes}, that of ${bridge}; the paths carry ${least}, and what is longer is answered with ICMP or goes in fragments`,
      ),
    ]
  return over.map(({ name, carried_mtu_bytes }) =>
    wrong(
      'mtu.over_path',
      `the MTU of ${device} is ${mtu_bytes}, but the path carries only ${carried_mtu_bytes}, so long frames are cut or dropped`,
      `leave the MTU to the program (--mtu auto), or set it: ip link set ${device} mtu ${least}`,
      name,
    ),
  )
}

function checkPath({ name, path_mtu, underlay }: PeerStatus): Finding[] {
  if (path_mtu === null || underlay === null || underlay.interface === null) return []
  const { bytes, how } = path_mtu
  if (how === 'floor')
    return [
      wrong(
        'mtu.floor',
        `not even the least datagrams of ${bytes} bytes pass to it`,
        'look for a narrow link or a filter on the way with: udptun-fast mtu <remote>',
        name,
      ),
    ]
  if (bytes < underlay.mtu_bytes)
    return [
      fine(
        'mtu.narrow_path',
        `the path carries ${bytes} bytes, less than the ${underlay.mtu_bytes} of ${underlay.interface}; the program has adapted`,
        null,
        name,
      ),
    ]
  return []
}

/** What to do so that the kernel carries a peer; nothing if that is meant so. */
const TO_CARRY: Partial<Readonly<Record<WorkerReason, string>>> = {
  kernel: 'it needs Linux 6.6, and CAP_BPF and CAP_NET_RAW; see the findings about capabilities',
  capture: 'end tcpdump, or whatever captures on the device',
  ipsec: 'see: ip xfrm policy',
  nat: 'take the port out of the NAT rules; see: nft list ruleset',
  other_end: 'run udptun-fast doctor there',
  rows: 'restart the tunnel',
  qdisc: 'see: tc qdisc show; take it away with: tc qdisc del dev <device> root',
  unproved:
    'wait for a few seconds; if it stays so, something on the way drops datagrams without a UDP checksum',
}

function checkDatapath({ name, datapath: { by, reason } }: PeerStatus): Finding[] {
  if (by === 'kernel') return [fine('datapath.kernel', 'the kernel carries its frames', null, name)]
  if (reason === null || reason === 'setting') return []
  const text = `the workers carry its frames, because ${WORKER_REASONS[reason]}`
  return [fine(`datapath.${reason}`, text, TO_CARRY[reason] ?? null, name)]
}

/** The address of an endpoint, for ip(8). */
function bare(endpoint: string): string {
  return endpoint.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
}
