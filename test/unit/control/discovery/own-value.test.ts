import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseValue } from '../../../../src/control/discovery/member-value.js'
import { OwnValue } from '../../../../src/control/discovery/own-value.js'
import { derivePublicKey, deriveSigningKey } from '../../../../src/noise/keys.js'
import { isSignedByHost } from '../../../../src/noise/signing-key.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const privateKey = randomBytes(32)
const signingKey = deriveSigningKey(privateKey)
const publicKey = Uint8Array.from(derivePublicKey(privateKey))
const record = new SignedNetwork(randomBytes(32)).record({
  name: 'a',
  publicKey,
  signingKey: signingKey.publicKey,
})

function start(files = new Map<string, string>(), now = { unixMs: 1_000 }, isReadOnly = false) {
  const own = new OwnValue({
    name: 'a',
    local: [],
    file: 'f',
    platform: {
      clock: { unixMs: () => now.unixMs } as never,
      state: {
        read: (name: string) => files.get(name),
        replace: async (name: string, text: string) => !isReadOnly && Boolean(files.set(name, text)),
      } as never,
    },
  })
  const tell = (port: number) =>
    own.tell({
      publicKey,
      claims: { endpoints: [{ address: Uint8Array.of(192, 0, 2, 1), port }], macs: [] },
      record,
      signingKey,
    })
  /** The serial number of what is written, if that is signed. */
  const serial = async () => {
    const read = parseValue((await own.text()) ?? '', 'a')
    if ('reason' in read || read.statement === undefined) return undefined
    const { message, signature } = read.statement
    return isSignedByHost(signingKey.publicKey, message, signature) ? read.statement.serial : undefined
  }
  return { own, tell, serial, files, now }
}

t.test('the serial number is the time, and grows also if the clock goes back', async (t) => {
  const { own, tell, serial, files, now } = start()
  t.equal(await own.text(), undefined)
  t.ok(tell(1))
  t.notOk(tell(1), 'nothing has changed')
  t.equal(await serial(), 1_000)
  now.unixMs = 2_000
  t.equal(await serial(), 1_000, 'the same content is the same value')
  tell(2)
  t.equal(await serial(), 2_000)
  now.unixMs = 5
  tell(3)
  t.equal(await serial(), 2_001)
  t.equal(files.get('f'), '2001\n')

  const next = start(files, now)
  next.tell(3)
  t.equal(await next.serial(), 2_002, 'a restart does not go back')
  for (const text of ['', 'x', '-1', '99999999999999999999']) {
    const damaged = start(new Map([['f', text]]), now)
    damaged.tell(1)
    t.equal(await damaged.serial(), 5)
  }
})

t.test('a lost state directory is made up for by what stands in the store', async (t) => {
  const before = start()
  before.tell(1)
  const text = (await before.own.text()) ?? ''
  const { own, tell, serial } = start(new Map(), { unixMs: 5 }, true)
  tell(1)
  t.equal(await serial(), 5, 'also if it cannot be written')
  own.overtake(text.replace('192.0.2.1', '192.0.2.2'))
  own.overtake('{}')
  t.equal(await serial(), 5, 'only what this host has signed counts')
  own.overtake(text)
  t.equal(await serial(), 1_001)
})

t.test('who has no signing key in its record signs nothing', async (t) => {
  const { own } = start()
  own.tell({ publicKey, claims: { endpoints: [], macs: [] }, record: undefined, signingKey: undefined })
  t.notOk(own.isSigned)
  t.notMatch(await own.text(), /serial|signature/)
})
