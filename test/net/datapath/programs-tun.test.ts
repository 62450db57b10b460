/**
 * The receiving program in mode tun, packet by packet (`BPF_PROG_TEST_RUN`). A trial of the kernel has an Ethernet header
 * always, so that the sending program can be tried only with hosts (bits.test.ts).
 */
import t from 'tap'
import { probeFor } from '../../../src/bpf/probe.js'
import { TCX_NEXT } from '../../../src/linux/bpf.js'
import { TC_ACT_REDIRECT, TC_ACT_SHOT } from '../../../src/linux/constants.js'
import { CONGESTED, innerEcn } from '../../../src/wire/ecn.js'
import {
  CONTEXT,
  coming,
  End,
  inner4,
  inner6,
  OTHER_ROW,
  ROW,
  setDsField,
  WAYS,
} from '../../support/hosts/bpf-end.js'

/** A packet from an address. */
function from(address: readonly number[], payload = 100): Buffer {
  const packet = Buffer.from((address.length === 4 ? inner4 : inner6)(payload).subarray(14))
  packet.set(address, address.length === 4 ? 12 : 8)
  return packet
}

const THEIRS4 = [10, 9, 1, 2]
const THEIRS6 = [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
const OTHERS4 = [10, 9, 2, 2]
const OTHERS6 = [0xfd, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]

for (const [version, way] of Object.entries(WAYS)) {
  const end = () => {
    const it = new End(way, 'tun')
    it.prefix([10, 9, 0, 0], 16, ROW)
    it.prefix([10, 9, 2, 0], 24, OTHER_ROW, false)
    it.prefix([0xfd, 0, 0, 9, ...Array(12).fill(0)], 64, ROW, false)
    it.prefix(OTHERS6, 128, OTHER_ROW)
    return it
  }

  t.test(`${version}: a peer's packets are unwrapped, if their sources are its own`, async (t) => {
    using it = end()
    let bytes = 0
    for (const packet of [
      from(THEIRS4),
      from(THEIRS6),
      from(THEIRS4, 0),
      from(THEIRS6, 0),
      from(THEIRS4, 1400),
    ]) {
      const trial = it.in.try(coming(packet, way, 'tun'), CONTEXT)
      t.equal(trial.result, TC_ACT_REDIRECT)
      t.equal(Buffer.from(trial.frame.subarray(14)).toString('hex'), packet.toString('hex'))
      bytes += packet.length
    }
    t.equal(it.count('inFrames'), 5)
    t.equal(it.count('inBytes'), bytes)
    t.ok(it.count('heardNs') > 0)
    for (const address of [OTHERS4, OTHERS6, [10, 8, 0, 1], Array(16).fill(0xfd)])
      t.equal(it.in.try(coming(from(address), way, 'tun'), CONTEXT).result, TC_ACT_SHOT, address.join('.'))
    t.equal(it.count('notAllowed'), 4)
    t.equal(it.count('inFrames'), 5)
    t.equal(it.news(), undefined)
  })

  t.test(`${version}: marks are carried in as in RFC 6040`, async (t) => {
    using it = end()
    for (const address of [THEIRS4, THEIRS6])
      for (let inner = 0; inner < 4; inner++)
        for (let outer = 0; outer < 4; outer++) {
          const packet = setDsField(from(address), 0xb8 | inner, 0)
          const trial = it.in.try(setDsField(coming(packet, way, 'tun'), outer), CONTEXT)
          const ecn = innerEcn(inner, outer)
          t.equal(trial.result, ecn === CONGESTED ? TC_ACT_SHOT : TC_ACT_REDIRECT)
          if (ecn === CONGESTED) continue
          const wanted = setDsField(packet, 0xb8 | ecn, 0).toString('hex')
          t.equal(Buffer.from(trial.frame.subarray(14)).toString('hex'), wanted, `${inner} in ${outer}`)
        }
    t.equal(it.count('congested'), 2)
  })

  t.test(`${version}: a probe is told to main`, async (t) => {
    using it = end()
    const { packet } = probeFor(3, Uint8Array.of(1, 2, 3, 4, 5, 6))
    t.equal(it.in.try(coming(Buffer.from(packet), way, 'tun'), CONTEXT).result, TC_ACT_SHOT)
    t.equal(it.news(), '010203040506 7 probe')
    const other = Buffer.from(packet)
    other[9] = 17
    t.equal(it.in.try(coming(other, way, 'tun'), CONTEXT).result, TC_ACT_SHOT, 'of another protocol')
    t.equal(it.count('notAllowed'), 1, 'it is any packet')
    t.equal(it.news(), undefined)
  })

  t.test(`${version}: nobody's packets come from the address of a probe`, async (t) => {
    using it = end()
    it.prefix([0, 0, 0, ROW], 32, ROW)
    it.prefix([0, 0, 0, 0], 32, ROW)
    for (const address of [[0, 0, 0, ROW], Array(4).fill(0)])
      t.equal(it.in.try(coming(from(address), way, 'tun'), CONTEXT).result, TCX_NEXT, address.join('.'))
    t.equal(it.count('inFrames'), 0)
  })

  t.test(`${version}: what is no IP packet is the socket's`, async (t) => {
    using it = end()
    const short = from(THEIRS6).subarray(0, 39)
    for (const [what, packet] of [
      ['a control frame', Buffer.from([0, 1, ...Buffer.alloc(30)])],
      ['another version', Buffer.concat([Buffer.of(0x55), from(THEIRS4).subarray(1)])],
      ['less than an IPv4 header', from(THEIRS4, 0).subarray(0, 19)],
      ['less than an IPv6 header’s source', short.subarray(0, 20)],
    ] as const)
      t.equal(it.in.try(coming(packet, way, 'tun'), CONTEXT).result, TCX_NEXT, what)
    t.equal(it.count('inFrames'), 0)
  })
}
