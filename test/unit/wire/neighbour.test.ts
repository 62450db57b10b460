import fc from 'fast-check'
import t from 'tap'
import { solicitedAddress } from '../../../src/wire/neighbour.js'
import { arp, ETHERTYPE, ipv6, solicitation } from '../../support/hosts/frames.js'

/** What is at the address that is asked after, where there is one, as bytes. */
function asked(type: number, payload: Buffer, bytes = payload.length): readonly number[] | undefined {
  const view = new DataView(new ArrayBuffer(payload.length + 100))
  new Uint8Array(view.buffer).set(payload, 10)
  const at = solicitedAddress(view, type, 10, bytes)
  if (at === 0) return undefined
  return [...new Uint8Array(view.buffer, at, type === ETHERTYPE.arp ? 4 : 16)]
}

const TARGET6 = [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]

t.test(
  'an ARP request asks after its target; a reply, an announcement and anything else do not',
  async (t) => {
    t.same(asked(ETHERTYPE.arp, arp(1)), [10, 9, 0, 78])
    t.equal(asked(ETHERTYPE.arp, arp(2)), undefined)
    t.equal(asked(ETHERTYPE.ipv4, arp(1)), undefined)
    t.equal(asked(ETHERTYPE.arp, arp(1), 27), undefined, 'too short')
    t.same(asked(ETHERTYPE.arp, arp(1), 28), [10, 9, 0, 78])
    const announcement = arp(1)
    announcement.copy(announcement, 24, 14, 18)
    t.equal(asked(ETHERTYPE.arp, announcement), undefined, 'an announcement')
    for (const at of [1, 2, 3, 4, 5, 6]) {
      const other = arp(1)
      other[at] ^= 0x10
      t.equal(asked(ETHERTYPE.arp, other), undefined, `byte ${at} is another`)
    }
  },
)

t.test('a neighbour solicitation asks after its target', async (t) => {
  t.same(asked(ETHERTYPE.ipv6, solicitation(TARGET6)), TARGET6)
  t.equal(asked(ETHERTYPE.ipv6, solicitation(TARGET6), 63), undefined, 'too short')
  const with_ = (at: number, value: number) => {
    const packet = solicitation(TARGET6)
    packet[at] = value
    return asked(ETHERTYPE.ipv6, packet)
  }
  t.equal(with_(7, 254), undefined, 'from beyond a router')
  t.equal(with_(40, 136), undefined, 'an advertisement')
  t.equal(with_(41, 1), undefined, 'another code')
  t.equal(with_(6, 17), undefined, 'UDP')
  t.equal(asked(ETHERTYPE.ipv6, ipv6(17, Buffer.alloc(30))), undefined)
})

t.test('no bytes whatever make it look beyond their end', async (t) => {
  const property = fc.property(
    fc.uint8Array({ maxLength: 80 }),
    fc.constantFrom(ETHERTYPE.arp, ETHERTYPE.ipv6, ETHERTYPE.ipv4),
    (bytes, type) => {
      const at = solicitedAddress(new DataView(new Uint8Array([...bytes]).buffer), type, 0, bytes.length)
      return at === 0 || at + (type === ETHERTYPE.arp ? 4 : 16) <= bytes.length
    },
  )
  t.doesNotThrow(() => fc.assert(property, { numRuns: 1000 }))
})
