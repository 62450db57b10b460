/** The programs with VXLAN: what they do else than with frames alone (`BPF_PROG_TEST_RUN`). */
import t from 'tap'
import { sourceKey, sourceValue, type Way } from '../../../src/bpf/values.js'
import { TCX_NEXT } from '../../../src/linux/bpf.js'
import { TC_ACT_REDIRECT, TC_ACT_SHOT } from '../../../src/linux/constants.js'
import { internetChecksum } from '../../../src/wire/checksum.js'
import { CONGESTED, innerEcn } from '../../../src/wire/ecn.js'
import {
  CONTEXT,
  coming,
  End,
  inner4,
  inner6,
  LONGEST,
  mac,
  OWN,
  PORT,
  ROW,
  setDsField,
  THEIRS,
  WAYS,
  wrapped,
} from '../../support/hosts/bpf-end.js'

const VNI = 0x00_d4_31
const WAY: Way = { ...WAYS.ipv4, destinationPort: PORT, fromAnyPort: true }
const UDP = 34
const VXLAN = 42

/** An end of which the workers get no frame that the programs could carry. */
function newEnd(way = WAY): End {
  const end = new End(way, 'tap', undefined, undefined, VNI)
  end.noTrials()
  return end
}

/** What is around a frame, with a VXLAN header, and the IPv4 header and the length of UDP to match. */
function inVxlan(datagram: Buffer, vni = VNI, flags = 0x0800_0000, reserved = 0): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt32BE(flags, 0)
  header.writeUInt32BE(vni * 256 + reserved, 4)
  const it = Buffer.concat([datagram.subarray(0, VXLAN), header, datagram.subarray(VXLAN)])
  it.writeUInt16BE(it.length - UDP, UDP + 4)
  it.writeUInt16BE(it.length - 14, 16)
  return summed(it)
}

function summed(datagram: Buffer): Buffer {
  datagram.writeUInt16BE(0, 24)
  datagram.writeUInt16BE(internetChecksum(datagram, 14, 20), 24)
  return datagram
}

/** A datagram of the peer, from any port. */
function theirs(frame: Buffer, port = 50_000): Buffer {
  const datagram = coming(mac(frame, OWN, THEIRS), WAY)
  datagram.writeUInt16BE(port, UDP)
  return inVxlan(datagram)
}

t.test('outbound: a VXLAN header, and a source port that is the flow’s', async (t) => {
  using end = newEnd()
  const ports = new Set<number>()
  for (const frame of [inner4(), inner6(), inner4(0), inner4(LONGEST - 34), inner6(LONGEST - 54)]) {
    const it = mac(frame, THEIRS, OWN)
    end.noTrials()
    const trial = end.out.try(it, CONTEXT)
    t.equal(trial.result, TC_ACT_REDIRECT)
    const out = Buffer.from(trial.frame)
    const port = out.readUInt16BE(UDP)
    t.ok(port >= 49_152, 'a dynamic port')
    ports.add(port)
    const wanted = inVxlan(wrapped(it, WAY))
    wanted.writeUInt16BE(port, UDP)
    t.equal(out.toString('hex'), wanted.toString('hex'))
  }
  t.ok(ports.size > 1, 'other flows have other ports')
  const portOf = (payload: number) =>
    Buffer.from(end.out.try(mac(inner4(payload), THEIRS, OWN), CONTEXT).frame).readUInt16BE(UDP)
  t.equal(portOf(100), portOf(200), 'and one flow has one')
})

t.test('outbound: a peer over IPv6 is left to the workers', async (t) => {
  using end = newEnd({ ...WAYS.ipv6, fromAnyPort: true })
  const frame = mac(inner4(), THEIRS, OWN)
  const trial = end.out.try(frame, CONTEXT)
  t.equal(trial.result, TCX_NEXT)
  t.equal(Buffer.from(trial.frame).toString('hex'), frame.toString('hex'))
})

t.test('inbound: whatever its source port, its checksum and its reserved bits', async (t) => {
  using end = newEnd()
  const frame = mac(inner4(), OWN, THEIRS)
  const sum = theirs(frame)
  sum.writeUInt16BE(0x1234, UDP + 6)
  const cases: Readonly<Record<string, Buffer>> = {
    'port 50000': theirs(frame),
    'port 1': theirs(frame, 1),
    'a UDP checksum': sum,
    'reserved bits': inVxlan(coming(frame, WAY), VNI, 0xff12_3456, 0x99),
  }
  for (const [what, datagram] of Object.entries(cases)) {
    end.noTrials()
    const trial = end.in.try(datagram, CONTEXT)
    t.equal(trial.result, TC_ACT_REDIRECT, what)
    t.equal(Buffer.from(trial.frame).toString('hex'), frame.toString('hex'), what)
  }
  t.equal(end.count('inFrames'), 4)
  t.equal(end.count('inBytes'), 4 * frame.length)
  t.equal(end.in.try(theirs(mac(inner6(), OWN, THEIRS)), CONTEXT).result, TC_ACT_REDIRECT, 'IPv6 in it')
})

t.test('inbound: all else goes to the socket', async (t) => {
  using end = newEnd()
  const frame = mac(inner4(), OWN, THEIRS)
  const good = theirs(frame)
  const put16 = (at: number, value: number) => {
    const copy = Buffer.from(good)
    copy.writeUInt16BE(value, at)
    return summed(copy)
  }
  const cases: Readonly<Record<string, Buffer>> = {
    'of another network': inVxlan(coming(frame, WAY), VNI + 1),
    'of a network with the same low bits': inVxlan(coming(frame, WAY), VNI ^ 0x80_0000),
    'without the flag I': inVxlan(coming(frame, WAY), VNI, 0xf7ff_ffff),
    'without a VXLAN header': coming(frame, WAY),
    'to another port': put16(UDP + 2, PORT + 1),
    'from another address': put16(28, 0x0909),
    'with a shorter length in UDP': put16(UDP + 4, 30),
    'with ARP in it': put16(VXLAN + 8 + 12, 0x0806),
    'with a tag in it': put16(VXLAN + 8 + 12, 0x8100),
    'without a whole frame in it': theirs(frame.subarray(0, 20)),
  }
  for (const [what, datagram] of Object.entries(cases)) {
    end.noTrials()
    const trial = end.in.try(datagram, CONTEXT)
    t.equal(trial.result, TCX_NEXT, what)
    t.equal(Buffer.from(trial.frame).toString('hex'), datagram.toString('hex'), what)
  }
  end.maps.sources.delete(sourceKey(WAY))
  t.equal(end.in.try(good, CONTEXT).result, TCX_NEXT, 'of a peer that is not heard')
  end.maps.sources.set(sourceKey(WAY), sourceValue(WAY, ROW))
  t.equal(end.in.try(good, CONTEXT).result, TC_ACT_REDIRECT)
  t.equal(end.count('inFrames'), 1)
})

t.test('no end sends probes, so what looks like one is a frame', async (t) => {
  using end = newEnd()
  const frame = mac(inner4(), [0x02, 0x75, 0x64, 0x70, 0, 3], THEIRS)
  const trial = end.in.try(inVxlan(coming(frame, WAY)), CONTEXT)
  t.equal(trial.result, TC_ACT_REDIRECT)
  t.equal(end.news(), undefined)
})

t.test('marks are carried in and out as in RFC 6040', async (t) => {
  using end = newEnd()
  for (const make of [inner4, inner6])
    for (let inner = 0; inner < 4; inner++) {
      end.noTrials()
      const out = end.out.try(setDsField(mac(make(), THEIRS, OWN), 0xb8 | inner), CONTEXT)
      t.equal(out.frame[15], inner, 'the datagram has the mark of the packet')
      for (let outer = 0; outer < 4; outer++) {
        end.noTrials()
        const frame = setDsField(mac(make(), OWN, THEIRS), 0xb8 | inner)
        const trial = end.in.try(inVxlan(setDsField(coming(frame, WAY), outer)), CONTEXT)
        const ecn = innerEcn(inner, outer)
        t.equal(trial.result, ecn === CONGESTED ? TC_ACT_SHOT : TC_ACT_REDIRECT, `${inner} in ${outer}`)
        if (ecn !== CONGESTED)
          t.equal(
            Buffer.from(trial.frame).toString('hex'),
            setDsField(frame, 0xb8 | ecn).toString('hex'),
            `${inner} in ${outer}`,
          )
      }
    }
  t.equal(end.count('congested'), 2)
})

t.test('the workers get a frame now and then, in each direction', async (t) => {
  using end = new End(WAY, 'tap', undefined, undefined, VNI)
  const [out, into] = [mac(inner4(), THEIRS, OWN), theirs(inner4())]
  const left = (tries: number, what: () => number) =>
    Array.from({ length: tries }, what).filter((result) => result === TCX_NEXT).length
  // One on each processor that the kernel runs the program on.
  const first = [
    left(50, () => end.out.try(out, CONTEXT).result),
    left(50, () => end.in.try(into, CONTEXT).result),
  ]
  t.ok(
    first.every((count) => count >= 1 && count <= 8),
    `${first.join(' and ')} of 50`,
  )
  end.noTrials()
  t.equal(
    left(50, () => end.out.try(out, CONTEXT).result),
    0,
  )
  t.equal(
    left(50, () => end.in.try(into, CONTEXT).result),
    0,
  )
})
