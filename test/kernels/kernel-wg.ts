import assert from 'node:assert/strict'
import type { Host } from '../../src/lab/host.js'
import { ok } from '../support/hosts/lab.js'
import type { KeyFolder, KeyPair } from '../support/hosts/wireguard-go.js'

export const WG_PORT = 51_820

/** What `wg show <device> dump` says of its only peer, or of the peer with this key (wg(8)). */
export interface WgPeer {
  readonly endpoint: string
  readonly allowedIps: string
  /** Unix time in seconds; 0: none yet. */
  readonly handshakeS: number
  readonly received: number
  readonly sent: number
  readonly keepalive: string
}

export async function wgPeer(host: Host, device: string, key?: string): Promise<WgPeer> {
  const lines = (await ok(host, 'wg', 'show', device, 'dump')).trim().split('\n').slice(1)
  const rows = lines.map((line) => line.split('\t'))
  const row = rows.find(([it]) => key === undefined || it === key)
  if (row === undefined) throw new Error(`${device} in ${host.name} has no such peer: ${lines}`)
  const [, , endpoint, allowedIps, handshake, received, sent, keepalive] = row
  return {
    endpoint,
    allowedIps,
    handshakeS: Number(handshake),
    received: Number(received),
    sent: Number(sent),
    keepalive,
  }
}

/** Handshakes and keepalives, which the kernel counts, and this program does not. */
const OTHER_BYTES = 4_096

/** Whether both ends have counted the same. Returns how much it was, in words. */
export function agree(here: WgPeer, there: WgPeer): string {
  for (const [name, ours, theirs] of [
    ['sent', here.sent, there.received],
    ['received', here.received, there.sent],
  ] as const)
    assert.ok(ours <= theirs && theirs - ours < OTHER_BYTES, `${name}: ${ours} bytes here, ${theirs} there`)
  return `sent ${here.sent} bytes here, and ${there.received} came there; ${here.received} of ${there.sent} the other way`
}

/** A device of the kernel's own WireGuard in a host. */
export class KernelWg {
  readonly host: Host
  readonly device = 'wgk0'

  private constructor(host: Host) {
    this.host = host
  }

  /** @param address its overlay address, with prefix. @param settings in the form of wg(8)'s `set` */
  static async start(host: Host, address: string, key: KeyPair, ...settings: string[]): Promise<KernelWg> {
    const it = new KernelWg(host)
    await ok(host, 'ip', 'link', 'add', it.device, 'type', 'wireguard')
    await it.set('listen-port', `${WG_PORT}`, 'private-key', key.file, ...settings)
    host.configure(it.device, [address], { mtuBytes: 1420 })
    return it
  }

  async set(...settings: string[]): Promise<void> {
    await ok(this.host, 'wg', 'set', this.device, ...settings)
  }

  peer(key?: string): Promise<WgPeer> {
    return wgPeer(this.host, this.device, key)
  }
}

/** One `[Peer]` of a file for wg-quick(8). */
export interface WgFilePeer {
  readonly publicKey: string
  readonly allowedIps: string
  readonly endpoint?: string
  readonly presharedKey?: string
  readonly keepaliveS?: number
}

/** Writes a file for `--wireguard`; returns its path, whose name is that of the device. */
export function wgFile(
  keys: KeyFolder,
  name: string,
  privateKey: string,
  address: string,
  peers: readonly WgFilePeer[],
): string {
  const lines = ['[Interface]', `PrivateKey = ${privateKey}`, `Address = ${address}`, 'ListenPort = 5149']
  for (const { publicKey, allowedIps, endpoint, presharedKey, keepaliveS } of peers) {
    lines.push('[Peer]', `PublicKey = ${publicKey}`, `AllowedIPs = ${allowedIps}`)
    if (endpoint !== undefined) lines.push(`Endpoint = ${endpoint}`)
    if (presharedKey !== undefined) lines.push(`PresharedKey = ${presharedKey}`)
    if (keepaliveS !== undefined) lines.push(`PersistentKeepalive = ${keepaliveS}`)
  }
  return keys.write(`${name}.conf`, lines.join('\n'))
}
