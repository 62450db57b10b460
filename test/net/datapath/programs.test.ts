/**
 * The kernel's verifier takes the programs, and they do with single frames what they should (`BPF_PROG_TEST_RUN`): each
 * branch, and random frames there and back.
 */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Assembler } from '../../../src/bpf/assembler.js'
import { PORT_CARRIED } from '../../../src/bpf/layout.js'
import {
  macKey,
  macValue,
  peerValue,
  rowKey,
  sourceKey,
  sourceValue,
  type Way,
} from '../../../src/bpf/values.js'
import { BpfProgram, TCX_NEXT, VerifierError } from '../../../src/linux/bpf.js'
import { TC_ACT_REDIRECT, TC_ACT_SHOT } from '../../../src/linux/constants.js'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { CONGESTED, innerEcn } from '../../../src/wire/ecn.js'
import { PROBE_MAC } from '../../../src/wire/kernel-probe.js'
import {
  CONTEXT,
  coming,
  End,
  GROUP,
  inner4,
  inner6,
  LONGEST,
  mac,
  NEW,
  OTHER_ROW,
  OWN,
  PORT,
  ROW,
  setDsField,
  THEIRS,
  THIRD,
  WAYS,
  wrapped,
} from '../../support/hosts/bpf-end.js'
import { frame as ethernet } from '../../support/hosts/frames.js'

for (const [version, way] of Object.entries(WAYS)) {
  const headerBytes = way.source.length === 4 ? 20 : 40

  t.test(`outbound, ${version}: frames for the peer are wrapped, bit for bit`, async (t) => {
    using end = new End(way)
    for (const frame of [
      inner4(),
      inner6(),
      inner4(0),
      inner4(1),
      inner4(LONGEST - 34),
      inner6(LONGEST - 54),
    ]) {
      const it = mac(frame, THEIRS, OWN)
      const trial = end.out.try(it, CONTEXT)
      t.equal(trial.result, TC_ACT_REDIRECT)
      t.equal(Buffer.from(trial.frame).toString('hex'), wrapped(it, way).toString('hex'))
    }
    t.equal(end.count('outFrames'), 6)
    t.equal(end.count('outBytes'), 134 + 154 + 34 + 35 + 2 * LONGEST)
  })

  t.test(`outbound, ${version}: all else is left as it is`, async (t) => {
    using end = new End(way)
    // An element that has been given to another MAC, or to another row, while the program read it.
    end.maps.macs.set(macKey(NEW), macValue([2, 2, 2, 2, 2, 2], ROW | PORT_CARRIED, 0n))
    end.mac([2, 0, 0, 0, 0, 0x10], 9 | PORT_CARRIED)
    end.mac([2, 0, 0, 0, 0, 0x12], ROW)
    end.maps.peers.set(rowKey(9), peerValue(ROW, way, LONGEST))
    end.mac([2, 0, 0, 0, 0, 0x11], 10 | PORT_CARRIED)
    const arp = Buffer.from(mac(inner4(), THEIRS, OWN))
    arp.writeUInt16BE(0x0806, 12)
    const cases: Readonly<Record<string, Buffer>> = {
      'a group': mac(inner4(), GROUP, OWN),
      'all hosts': mac(inner4(), [255, 255, 255, 255, 255, 255], OWN),
      'an unknown destination': mac(inner4(), [2, 9, 9, 9, 9, 9], OWN),
      'an unknown source': mac(inner4(), THEIRS, [2, 9, 9, 9, 9, 9]),
      'a source that was at a peer': mac(inner4(), THEIRS, THIRD),
      'a destination at this side': mac(inner4(), OWN, OWN),
      'an entry of another MAC': mac(inner4(), NEW, OWN),
      'an entry of another row': mac(inner4(), [2, 0, 0, 0, 0, 0x10], OWN),
      'a peer that is not in the map': mac(inner4(), [2, 0, 0, 0, 0, 0x11], OWN),
      'a peer that the workers carry': mac(inner4(), [2, 0, 0, 0, 0, 0x12], OWN),
      ARP: arp,
      'one byte more than the path carries': mac(inner4(LONGEST - 33), THEIRS, OWN),
    }
    for (const [what, frame] of Object.entries(cases)) {
      const trial = end.out.try(frame, CONTEXT)
      t.equal(trial.result, TCX_NEXT, what)
      t.equal(Buffer.from(trial.frame).toString('hex'), frame.toString('hex'), what)
    }
    t.equal(end.count('outFrames'), 0)
  })

  t.test(`inbound, ${version}: frames of the peer are unwrapped, bit for bit`, async (t) => {
    using end = new End(way)
    for (const frame of [inner4(), inner6(), inner4(0), inner4(LONGEST - 34)]) {
      const it = mac(frame, OWN, THEIRS)
      const trial = end.in.try(coming(it, way), CONTEXT)
      t.equal(trial.result, TC_ACT_REDIRECT)
      t.equal(Buffer.from(trial.frame).toString('hex'), it.toString('hex'))
    }
    t.equal(end.count('inFrames'), 4)
    t.equal(end.count('inBytes'), 134 + 154 + 34 + LONGEST)
    t.ok(end.count('heardNs') > 0)
    t.equal(end.news(), undefined, 'there is nothing to learn')
  })

  t.test(
    `outbound, ${version}: the ECN of the packet is that of the datagram, and the DSCP if wanted`,
    async (t) => {
      for (const mask of [0x03, 0xff]) {
        using end = new End(way, 'tap', undefined, mask)
        for (const make of [inner4, inner6])
          for (const dsField of [0, 1, 2, 3, 0xb8, 0xff]) {
            const frame = setDsField(mac(make(), THEIRS, OWN), dsField)
            const trial = end.out.try(frame, CONTEXT)
            const wanted = setDsField(wrapped(frame, way), dsField & mask)
            t.equal(Buffer.from(trial.frame).toString('hex'), wanted.toString('hex'), `${dsField} & ${mask}`)
          }
      }
    },
  )

  t.test(`inbound, ${version}: marks are carried in as in RFC 6040`, async (t) => {
    using end = new End(way)
    for (const make of [inner4, inner6])
      for (let inner = 0; inner < 4; inner++)
        for (let outer = 0; outer < 4; outer++) {
          const frame = setDsField(mac(make(), OWN, THEIRS), 0xb8 | inner)
          const trial = end.in.try(setDsField(coming(frame, way), 0x28 | outer), CONTEXT)
          const ecn = innerEcn(inner, outer)
          const what = `${inner} in ${outer}`
          t.equal(trial.result, ecn === CONGESTED ? TC_ACT_SHOT : TC_ACT_REDIRECT, what)
          if (ecn === CONGESTED) continue
          const wanted = setDsField(frame, 0xb8 | ecn).toString('hex')
          t.equal(Buffer.from(trial.frame).toString('hex'), wanted, what)
        }
    t.equal(end.count('congested'), 2)
    t.equal(end.count('inFrames'), 30)
  })

  t.test(`inbound, ${version}: what the switch would do`, async (t) => {
    using end = new End(way)
    const result = (to: readonly number[], from: readonly number[]) =>
      end.in.try(coming(mac(inner4(), to, from), way), CONTEXT).result
    t.equal(result(NEW, THEIRS), TC_ACT_REDIRECT, 'an unknown destination')
    t.equal(result(OWN, NEW), TC_ACT_REDIRECT, 'an unknown source')
    t.equal(end.news(), '02000000000d 7', 'which main is told')
    end.mac(NEW, OTHER_ROW)
    t.equal(result(OWN, NEW), TC_ACT_REDIRECT, 'a source that was at another peer')
    t.equal(end.news(), '02000000000d 7', 'which main is told')
    t.equal(result(OWN, THIRD), TC_ACT_SHOT, 'a source that is configured for another peer')
    t.equal(end.count('notAllowed'), 1)
    t.equal(result(THEIRS, THEIRS), TC_ACT_SHOT, 'a destination at a peer')
    t.equal(end.count('filtered'), 1)
    t.equal(result(GROUP, THEIRS), TCX_NEXT, 'a group, which no program wraps')
    t.equal(result(OWN, [0, 0, 0, 0, 0, 0]), TC_ACT_REDIRECT, 'a source that nobody has')
    t.equal(result(OWN, [3, 0, 0, 0, 0, 0]), TC_ACT_REDIRECT, 'a source that is a group')
    t.equal(end.news(), undefined, 'these are not learnt')
    t.equal(end.count('inFrames'), 5)
    t.equal(result([...PROBE_MAC, 0, 3], NEW), TC_ACT_SHOT, 'a probe')
    t.equal(end.news(), '02000000000d 7 probe', 'main is told')
    t.equal(end.count('inFrames'), 5, 'and it is no frame')
  })

  t.test(`inbound, ${version}: what is not the peer's program's goes to the socket`, async (t) => {
    using end = new End(way)
    const good = coming(mac(inner4(), OWN, THEIRS), way)
    const ip = 14
    const udp = ip + headerBytes
    const changed = (change: (bytes: Buffer) => void, sum = true) => {
      const copy = Buffer.from(good)
      change(copy)
      if (sum && headerBytes === 20) {
        copy.writeUInt16BE(0, ip + 10)
        copy.writeUInt16BE(internetChecksum(copy, ip, 20), ip + 10)
      }
      return copy
    }
    const put16 = (at: number, value: number) => changed((bytes) => bytes.writeUInt16BE(value, at))
    const put8 = (at: number, value: number) => changed((bytes) => bytes.writeUInt8(value, at))
    const cases: Record<string, Buffer> = {
      'to another host': mac(good, [2, 0, 0, 0, 0, 0x42], THEIRS),
      'to another port': put16(udp + 2, PORT + 1),
      'from another port': put16(udp, 6001),
      'with a UDP checksum': put16(udp + 6, 1),
      'of another length in UDP': put16(udp + 4, good.length - udp + 1),
      'cut short': good.subarray(0, good.length - 1),
      'with bytes behind it': Buffer.concat([good, Buffer.alloc(4)]),
      'of another protocol': put8(ip + (headerBytes === 20 ? 9 : 6), 6),
      'from another address': put8(ip + (headerBytes === 20 ? 15 : 23), 9),
      'to another address': put8(ip + (headerBytes === 20 ? 19 : 39), 9),
      'of no IP version': put8(ip, 0x35),
      'with ARP in it': put16(udp + 8 + 12, 0x0806),
      'without a whole Ethernet header in it': good.subarray(0, udp + 8 + 13),
      'of another Ethernet type': put16(12, 0x0806),
    }
    if (headerBytes === 20) {
      cases['with a wrong header checksum'] = changed((bytes) => bytes.writeUInt16BE(0x1234, ip + 10), false)
      cases['with more fragments'] = put16(ip + 6, 0x2000)
      cases['a later fragment'] = put16(ip + 6, 1)
      cases['of another total length'] = put16(ip + 2, good.length - ip + 1)
      cases['with options'] = put8(ip, 0x46)
    } else cases['of another payload length'] = put16(ip + 4, good.length - udp + 1)
    for (const [what, frame] of Object.entries(cases)) {
      const trial = end.in.try(frame, CONTEXT)
      t.equal(trial.result, TCX_NEXT, what)
      t.equal(Buffer.from(trial.frame).toString('hex'), frame.toString('hex'), what)
    }
    end.maps.sources.delete(sourceKey(way))
    t.equal(end.in.try(good, CONTEXT).result, TCX_NEXT, 'of a peer that is not in the map')
    end.maps.sources.set(sourceKey({ ...way, ifindex: 2 }), sourceValue({ ...way, ifindex: 2 }, ROW))
    t.equal(end.in.try(good, CONTEXT).result, TCX_NEXT, 'by another interface')
    end.maps.sources.set(sourceKey(way), sourceValue({ ...way, ifindex: 2 }, ROW))
    t.equal(end.in.try(good, CONTEXT).result, TCX_NEXT, 'an entry of another key')
    t.equal(end.count('inFrames'), 0)
  })

  t.test(`${version}: random frames come out as they went in`, async (t) => {
    for (const decapUdp of [false, true]) {
      using end = new End(way, 'tap', decapUdp)
      t.ok(
        there(t, end, way),
        `if the kernel is said ${decapUdp ? '' : 'not '}to take off the mark of a tunnel`,
      )
    }
  })
}

t.test('a program that the verifier refuses is told with its last words', async (t) => {
  // It ends without a result in R0.
  const error = await Promise.resolve()
    .then(() => new BpfProgram('udptun_wrong', new Assembler().exit().assemble()))
    .catch((caught) => caught)
  t.ok(error instanceof VerifierError)
  t.match(error.message, /bpf\(program udptun_wrong\)/)
  t.match(error.log, /R0 !read_ok/)
})

/** Puts random IP frames through the one program and then the other. */
function there(t: Test, end: End, way: Way): boolean {
  const frames = fc.record({
    type: fc.constantFrom(0x0800, 0x86dd),
    payload: fc.uint8Array({ minLength: 40, maxLength: LONGEST - 14 }),
  })
  let carried = 0
  fc.assert(
    fc.property(frames, ({ type, payload }) => {
      const frame = mac(ethernet([2, 0, 0, 0, 0, 0], type, payload), THEIRS, OWN)
      const out = end.out.try(frame, CONTEXT)
      if (out.result !== TC_ACT_REDIRECT) return false
      const back = end.in.try(coming(mac(frame, OWN, THEIRS), way), CONTEXT)
      carried++
      return (
        Buffer.from(out.frame).equals(wrapped(frame, way)) &&
        Buffer.from(back.frame).equals(mac(frame, OWN, THEIRS))
      )
    }),
    { numRuns: 300 },
  )
  t.equal(end.count('inFrames'), carried)
  return carried >= 300
}
