import { article, nativeOffload } from './baseline.js'
import { fastd } from './fastd.js'
import { openvpn } from './openvpn.js'
import type { Peer } from './peer.js'
import { socat } from './socat.js'
import { tinc } from './tinc.js'
import {
  udptunFast,
  udptunFastFragments,
  udptunFastPrivate,
  udptunFastPrivateTun,
  udptunFastWg,
  udptunFastWorkers,
} from './udptun-fast.js'
import { underlay } from './underlay.js'
import { vxlan } from './vxlan.js'
import { wireguardGo, wireguardGoTrixie } from './wireguard-go.js'

export const DEFAULT_PEERS: readonly Peer[] = [
  underlay,
  vxlan,
  article,
  wireguardGo,
  udptunFast,
  udptunFastWorkers,
]

export const PEERS: readonly Peer[] = [
  ...DEFAULT_PEERS,
  nativeOffload,
  socat,
  openvpn,
  fastd,
  tinc,
  udptunFastFragments,
  udptunFastPrivate,
  udptunFastPrivateTun,
  udptunFastWg,
  wireguardGoTrixie,
]

export const QUICK_PEERS: readonly Peer[] = [underlay, article, udptunFast]
