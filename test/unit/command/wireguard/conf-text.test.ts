import { randomBytes } from 'node:crypto'
import t from 'tap'
import { type QuickState, writeConf } from '../../../../src/command/wireguard/conf-text.js'
import type { DeviceConfiguration } from '../../../../src/command/wireguard/operation.js'
import { parseWgQuick } from '../../../../src/config/wg-quick.js'
import { formatKey } from '../../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../../../src/noise/keys.js'

const [own, psk] = [clampPrivateKey(randomBytes(32)), randomBytes(32)]
const [one, two] = [1, 2].map(() => derivePublicKey(clampPrivateKey(randomBytes(32))))
const none = { PreUp: [], PostUp: [], PreDown: [], PostDown: [] }

const quick: QuickState = {
  addresses: [
    { address: '10.9.0.1', prefixLength: 24 },
    { address: 'fd00:9::1', prefixLength: 64 },
  ],
  dns: ['10.9.0.53', 'example.net'],
  givesMtu: true,
  mtuBytes: 1380,
  table: '1234',
  saveConfig: true,
  runsHooks: false,
  hooks: { ...none, PostUp: ['echo %i', 'echo "=" & true'], PreDown: ['echo down'] },
}

const rest = { lastHandshakeMs: 1, txBytes: 2, rxBytes: 3 }
const configuration: DeviceConfiguration = {
  privateKey: own,
  listenPort: 51_820,
  fwmark: 0xca6c,
  peers: [
    {
      ...rest,
      publicKey: one,
      presharedKey: psk,
      endpoint: { address: '2001:db8::1', port: 7 },
      persistentKeepaliveS: 25,
      allowedIps: [
        { address: '10.9.0.2', prefixLength: 32 },
        { address: '::', prefixLength: 0 },
      ],
    },
    {
      ...rest,
      publicKey: two,
      presharedKey: new Uint8Array(32),
      endpoint: undefined,
      persistentKeepaliveS: 0,
      allowedIps: [],
    },
  ],
}

t.test('all that there is, in the order of wg-quick', async (t) => {
  const bytes = writeConf(configuration, quick)
  t.equal(
    bytes.toString(),
    `[Interface]
Address = 10.9.0.1/24
Address = fd00:9::1/64
DNS = 10.9.0.53
DNS = example.net
MTU = 1380
Table = 1234
SaveConfig = true
PostUp = echo %i
PostUp = echo "=" & true
PreDown = echo down
ListenPort = 51820
FwMark = 0xca6c
PrivateKey = ${formatKey(own)}

[Peer]
PublicKey = ${formatKey(one)}
PresharedKey = ${formatKey(psk)}
AllowedIPs = 10.9.0.2/32, ::/0
Endpoint = [2001:db8::1]:7
PersistentKeepalive = 25

[Peer]
PublicKey = ${formatKey(two)}
`,
  )
  const { quick: read, warnings } = parseWgQuick('wg0.conf', bytes, { allowHooks: true, saves: true })
  t.same(warnings, [])
  const { hooks, saveConfig, table, givesMtu } = quick
  t.same(read, { hooks, saveConfig, table, givesMtu, runsHooks: true })
})

t.test('what is not there has no line', async (t) => {
  const empty = {
    ...quick,
    addresses: [],
    dns: [],
    givesMtu: false,
    table: '',
    saveConfig: false,
    hooks: none,
  }
  const bytes = writeConf({ privateKey: undefined, listenPort: 7, fwmark: 0, peers: [] }, empty)
  t.equal(bytes.toString(), '[Interface]\nListenPort = 7\n')
})

t.test('the keys stay as they are', async (t) => {
  const before = [Buffer.from(own), Buffer.from(psk)]
  writeConf(configuration, quick).fill(0)
  t.same([Buffer.from(own), Buffer.from(psk)], before)
})
