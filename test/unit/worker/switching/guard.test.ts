import fc from 'fast-check'
import t from 'tap'
import { NativeMemory } from '../../../../src/linux/memory.js'
import {
  ACCESS_RULES_BYTES,
  type AccessEntry,
  AccessRules,
  ANY,
  ICMP_OF_VERSION,
} from '../../../../src/memory/access-rules.js'
import { Flows, flowsBytes } from '../../../../src/memory/flows.js'
import { ACCESS_DENIED, DEVICE } from '../../../../src/memory/target.js'
import type { Forwarding } from '../../../../src/worker/switching/forwarding.js'
import { Guard } from '../../../../src/worker/switching/guard.js'
import { ipv4, ipv6 } from '../../../support/hosts/frames.js'

const PEERS = 4
const RULES = 4096
const FLOWS = RULES + ACCESS_RULES_BYTES
/** Not a multiple of four, as frames lie in memory. */
const PACKET = 2

const TCP = 6
const UDP = 17
const ICMP = 1
const ICMPV6 = 58

/** Two threads of one host: what one remembers, the other finds. The device's packets go to peer 0. */
function make({ byPacket = true, relaysTo }: { byPacket?: boolean; relaysTo?: number } = {}) {
  const memory = NativeMemory.allocate(FLOWS + flowsBytes(PEERS))
  const learnt: number[] = []
  const inner: Forwarding = {
    begin: () => {},
    fromDevice: () => 0,
    fromPeer: (_frame, _bytes, row) => {
      learnt.push(row)
      return row === 0 && relaysTo !== undefined ? relaysTo : DEVICE
    },
  }
  const rules = new AccessRules(memory, RULES)
  const flows = new Flows(memory, FLOWS, PEERS)
  const [out, into] = [0, 1].map(() => new Guard(memory, { inner, rules, flows, byPacket }))
  const put = (bytes: Uint8Array) => {
    memory.u8.set(bytes, PACKET)
    return bytes.length
  }
  return {
    rules,
    learnt,
    send: (bytes: Uint8Array) => {
      out.begin()
      return out.fromDevice(PACKET, put(bytes), 0)
    },
    /** Whether it comes through. */
    take: (bytes: Uint8Array, row = 0) => {
      into.begin()
      return into.fromPeer(PACKET, put(bytes), row) !== ACCESS_DENIED
    },
  }
}

const rule = (more: Partial<AccessEntry> = {}, rows = [0]): AccessEntry => ({
  rows,
  version: 0,
  prefix: [],
  mask: [],
  protocol: ANY,
  firstPort: ANY,
  lastPort: ANY,
  ...more,
})
const tcpTo = (port: number) => rule({ protocol: TCP, firstPort: port, lastPort: port })

/** A packet with both addresses exchanged: {@link ipv4} and {@link ipv6} have only one direction. */
function back(packet: Buffer): Buffer {
  const [at, length] = packet[0] >>> 4 === 4 ? [12, 4] : [8, 16]
  const turned = Buffer.from(packet)
  packet.copy(turned, at, at + length, at + 2 * length)
  packet.copy(turned, at + length, at, at + length)
  return turned
}

function ports(from: number, to: number, bytes = 20): Buffer {
  const header = Buffer.alloc(bytes)
  header.writeUInt16BE(from, 0)
  header.writeUInt16BE(to, 2)
  return header
}

function icmp(type: number, id: number, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const message = Buffer.alloc(8)
  message[0] = type
  message.writeUInt16BE(id, 4)
  return Buffer.concat([message, rest])
}

const wraps = { ipv4, ipv6 }
for (const [name, wrap] of Object.entries(wraps)) {
  const protocols = { icmp: name === 'ipv4' ? ICMP : ICMPV6 }
  const [question, answer, unreachable] = name === 'ipv4' ? [8, 0, 3] : [128, 129, 1]

  t.test(`only what a rule names comes in, and the answers to what went out: ${name}`, async (t) => {
    const { rules, send, take } = make()
    rules.set([tcpTo(22)])
    const ours = wrap(TCP, ports(40_000, 443))
    t.ok(take(wrap(TCP, ports(1, 22))))
    t.notOk(take(wrap(TCP, ports(1, 23))))
    t.notOk(take(wrap(UDP, ports(1, 22))))
    t.notOk(take(wrap(TCP, ports(1, 22)), 1), 'another peer')
    t.notOk(take(back(wrap(TCP, ports(443, 40_000)))), 'nobody has asked')
    send(ours)
    t.ok(take(back(wrap(TCP, ports(443, 40_000)))))
    t.notOk(take(back(wrap(TCP, ports(443, 40_001)))), 'another port')
    t.notOk(take(back(wrap(UDP, ports(443, 40_000)))), 'another protocol')
    t.notOk(take(wrap(TCP, ports(443, 40_000))), 'from another address')
  })

  t.test(`an echo is answered, and another one is not: ${name}`, async (t) => {
    const { send, take } = ((made) => {
      made.rules.set([])
      return made
    })(make())
    t.notOk(take(wrap(protocols.icmp, icmp(question, 7))))
    send(wrap(protocols.icmp, icmp(question, 7)))
    t.ok(take(back(wrap(protocols.icmp, icmp(answer, 7)))))
    t.notOk(take(back(wrap(protocols.icmp, icmp(answer, 8)))))
    t.notOk(take(back(wrap(protocols.icmp, icmp(question, 7)))), 'a question of theirs')
    send(wrap(protocols.icmp, icmp(answer, 9)))
    t.notOk(take(back(wrap(protocols.icmp, icmp(question, 9)))), 'an answer begins nothing')
  })

  t.test(`an ICMP error comes in if it is about a packet that went out: ${name}`, async (t) => {
    const { rules, send, take } = make()
    rules.set([])
    const ours = wrap(UDP, ports(5_000, 53, 8))
    const error = (about: Uint8Array) => back(wrap(protocols.icmp, icmp(unreachable, 0, about)))
    t.notOk(take(error(ours)))
    send(ours)
    t.ok(take(error(ours)))
    t.notOk(take(error(wrap(UDP, ports(5_000, 54, 8)))), 'another flow')
    t.notOk(take(error(back(ours))), 'a packet that this side cannot have sent')
    t.notOk(take(error(ours.subarray(0, name === 'ipv4' ? 22 : 42))), 'too little of it')
    t.notOk(take(error(wrap(protocols.icmp, icmp(unreachable, 0, ours)))), 'an error about an error')
  })
}

t.test("the other version's ICMP is another protocol", async (t) => {
  const { rules, take } = make()
  rules.set([rule({ protocol: ICMP_OF_VERSION })])
  t.ok(take(ipv4(ICMP, icmp(8, 1))))
  t.ok(take(ipv6(ICMPV6, icmp(128, 1))))
  t.notOk(take(ipv4(ICMPV6, icmp(128, 1))))
  t.notOk(take(ipv6(ICMP, icmp(8, 1))))
})

t.test('the first fragment decides for those after it', async (t) => {
  const { rules, send, take } = make()
  rules.set([rule({ protocol: UDP, firstPort: 53, lastPort: 53 })])
  const more = 0x2000
  const fragment = (id: number, flags: number, payload: Uint8Array) => {
    const packet = ipv4(UDP, payload, Buffer.alloc(0), flags)
    packet.writeUInt16BE(id, 4)
    return packet
  }
  const rest = Buffer.alloc(64, 53)
  t.notOk(take(fragment(1, 8, rest)), 'before the first one')
  t.ok(take(fragment(1, more, ports(1, 53, 64))))
  t.ok(take(fragment(1, more | 8, rest)))
  t.ok(take(fragment(1, 16, rest)))
  t.notOk(take(fragment(2, 8, rest)), 'of another packet')
  t.notOk(take(fragment(3, more, ports(1, 54, 64))))
  t.notOk(take(fragment(3, 8, rest)))
  send(ipv4(UDP, ports(6_000, 99)))
  const answer = (flags: number, payload: Uint8Array) => back(fragment(4, flags, payload))
  t.ok(take(answer(more, ports(99, 6_000, 64))), 'an answer in fragments')
  t.ok(take(answer(8, rest)))
})

t.test('fragments of IPv6 belong together whatever their next headers are', async (t) => {
  const { rules, take } = make()
  rules.set([rule({ protocol: UDP, firstPort: 53, lastPort: 53 })])
  const [FRAGMENT, OPTIONS] = [44, 60]
  const fragment = (next: number, offset: number, id: number, payload: Uint8Array) => {
    const header = Buffer.alloc(8)
    header[0] = next
    header.writeUInt16BE(offset, 2)
    header.writeUInt32BE(id, 4)
    return ipv6(FRAGMENT, Buffer.concat([header, payload]))
  }
  const options = Buffer.from([UDP, 0, 1, 4, 0, 0, 0, 0])
  const first = Buffer.concat([options, ports(1, 53, 64)])
  const rest = Buffer.alloc(64, 53)
  t.notOk(take(fragment(OPTIONS, 8, 7, rest)), 'before the first one')
  t.ok(take(fragment(OPTIONS, 1, 7, first)))
  t.ok(take(fragment(OPTIONS, 8, 7, rest)))
  t.ok(take(fragment(UDP, 16, 7, rest)), 'with another next header, which nobody looks at')
  t.notOk(take(fragment(OPTIONS, 8, 8, rest)), 'of another packet')
})

t.test('a change of the rules counts from the next packet on, for flows of peers', async (t) => {
  const { rules, send, take } = make()
  rules.set([tcpTo(22)])
  const theirs = ipv4(TCP, ports(1_000, 22))
  t.ok(take(theirs))
  send(back(ipv4(TCP, ports(22, 1_000))))
  t.ok(take(theirs), 'after an answer')
  send(ipv4(TCP, ports(40_000, 443)))
  rules.set([tcpTo(23)])
  send(back(ipv4(TCP, ports(22, 1_000))))
  t.notOk(take(theirs), 'an answer does not keep it open')
  t.ok(take(back(ipv4(TCP, ports(443, 40_000)))), 'what this side has begun goes on')
  rules.set(undefined)
  t.ok(take(theirs) && take(ipv4(TCP, ports(5, 6))))
})

/** A TCP segment with these flags. */
function segment(from: number, to: number, flags: number): Buffer {
  const header = ports(from, to)
  header[13] = flags
  return header
}
const [SYN, ACK] = [0x02, 0x10]

for (const [name, wrap] of Object.entries(wraps))
  t.test(
    `the middle of a connection that the peer may begin does not count as begun here: ${name}`,
    async (t) => {
      const { rules, send, take } = make()
      rules.set([tcpTo(22)])
      const theirs = wrap(TCP, segment(1_000, 22, ACK))
      // Nothing is remembered of it any more, and this side has something to say.
      send(back(wrap(TCP, segment(22, 1_000, ACK))))
      t.ok(take(theirs))
      rules.set([])
      send(back(wrap(TCP, segment(22, 1_000, ACK))))
      t.notOk(take(theirs), 'the rules have ended it')
    },
  )

t.test('what this side has surely begun outlasts the rules', async (t) => {
  const { rules, send, take } = make()
  const allTcp = rule({ protocol: TCP })
  rules.set([allTcp])
  send(back(ipv4(TCP, segment(22, 1_000, SYN))))
  rules.set([])
  t.ok(take(ipv4(TCP, segment(1_000, 22, SYN | ACK))), 'it has opened the connection')
  rules.set([tcpTo(23)])
  send(back(ipv4(TCP, segment(22, 2_000, ACK))))
  t.ok(
    take(ipv4(TCP, segment(2_000, 22, ACK))),
    'a connection from before a start, which the peer may not begin',
  )
})

t.test('each change of the rules counts for a peer in any row', async (t) => {
  for (const row of [3, 255, 256, 300, 800, 1_023, 4_095]) {
    const { rules, take } = make()
    const theirs = ipv4(TCP, ports(1_000, 22))
    for (let times = 0; times < 20; times++) {
      rules.set([{ ...tcpTo(22), rows: [row] }])
      if (!take(theirs, row)) t.fail(`not let through to row ${row} after ${2 * times} changes`)
      rules.set([{ ...tcpTo(23), rows: [row] }])
      if (take(theirs, row)) t.fail(`let through to row ${row} after ${2 * times + 1} changes`)
    }
  }
})

t.test('a flow is forgotten after its time-out, and not while it is used', async (t) => {
  const { rules, send, take } = make()
  rules.set([])
  const [asked, answer] = [ipv4(UDP, ports(5_000, 53)), back(ipv4(UDP, ports(53, 5_000)))]
  send(asked)
  for (let second = 0; second <= 1_200; second += 200) {
    rules.tick(second)
    t.ok(take(answer), `after ${second} s`)
  }
  rules.tick(1_200 + 301)
  t.notOk(take(answer))
})

t.test('what goes to another peer through this host may be answered', async (t) => {
  const { rules, take } = make({ relaysTo: 1 })
  rules.set([tcpTo(22)])
  const answer = back(ipv4(TCP, ports(22, 1_000)))
  t.notOk(take(answer, 1))
  t.ok(take(ipv4(TCP, ports(1_000, 22)), 0))
  t.ok(take(answer, 1))
  rules.set([])
  t.notOk(take(answer, 1))
})

t.test('in mode tap a peer may send all or nothing, and nothing is learnt from who may not', async (t) => {
  const { rules, learnt, take } = make({ byPacket: false })
  const frame = Buffer.alloc(60, 1)
  t.ok(take(frame, 0) && take(frame, 1))
  rules.set([rule({}, [0])])
  learnt.length = 0
  t.ok(take(frame, 0))
  t.notOk(take(frame, 1))
  t.ok(take(frame, 0))
  t.same(learnt, [0, 0])
})

t.test('no packet, however mangled, comes in without a rule, or does anything but be looked at', async () => {
  const { rules, take } = make()
  rules.set([])
  const whole = fc.constantFrom(
    ipv4(TCP, ports(1, 22)),
    ipv4(ICMP, icmp(3, 0, ipv4(UDP, ports(1, 2, 8)))),
    ipv6(UDP, ports(1, 22)),
    ipv6(ICMPV6, icmp(1, 0, ipv6(UDP, ports(1, 2, 8)))),
    ipv6(44, Buffer.concat([Buffer.from([UDP, 0, 0, 1, 0, 0, 0, 9]), ports(1, 22)])),
    ipv6(0, Buffer.concat([Buffer.from([43, 255]), Buffer.alloc(62)])),
  )
  const change = fc.record({ at: fc.nat(79), to: fc.nat(255) })
  fc.assert(
    fc.property(whole, fc.array(change, { maxLength: 6 }), fc.nat(60), (packet, changes, cut) => {
      const mangled = Buffer.from(packet)
      for (const { at, to } of changes) if (at > 0 && at < mangled.length) mangled[at] = to
      // A router has seen to it that the header is whole (router.ts).
      const least = mangled[0] >>> 4 === 4 ? 20 : 40
      return !take(mangled.subarray(0, Math.max(least, mangled.length - cut)))
    }),
    { numRuns: 5_000 },
  )
})
