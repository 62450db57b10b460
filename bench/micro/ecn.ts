import { AF_INET6, IPV6_TCLASS, SOL_IPV6 } from '../../src/linux/constants.js'
import { DS_SPACE, dsFieldIn } from '../../src/linux/ds-field.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { encodeSockaddr, sockaddrLength } from '../../src/linux/sockaddr.js'
import { cmsghdr } from '../../src/linux/structs.js'
import { SCRATCH_BYTES } from '../../src/memory/plan.js'
import { dsField, takeEcn } from '../../src/offload/ds-field.js'
import { ECN } from '../../src/wire/ecn.js'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../../src/wire/ethernet.js'
import { IPV4 } from '../../src/wire/ipv4.js'
import { SendBatch } from '../../src/worker/outbound/send-batch.js'
import { Scratch } from '../../src/worker/scratch.js'
import type { Micro } from './micro.js'

const GROUP = 'ECN: the DS field of the packet on the datagram, and back'
const FRAME_BYTES = 1_414
const STRIDE = 2_048
const FRAMES = 64
const AT = SCRATCH_BYTES
const CONTROL = AT + FRAMES * STRIDE

const memory = NativeMemory.allocate(CONTROL + 256)
const { view, u32 } = memory
const scratch = new Scratch(memory, 0)
const length = sockaddrLength(AF_INET6)
const batch = new SendBatch(scratch, length)
batch.segments = true
const name = scratch.take(64)
memory.u8.set(encodeSockaddr(AF_INET6, { address: '198.51.100.1', port: 5149 }), name)

for (let index = 0; index < FRAMES; index++) {
  const ip = AT + index * STRIDE + ETHERNET_HEADER_BYTES
  const isIpv4 = index % 2 === 0
  view.setUint16(AT + index * STRIDE + ETHERNET.type, isIpv4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6)
  view.setUint16(ip, isIpv4 ? 0x4500 | ECN.ect0 : 0x6000 | (ECN.ect0 << 4))
}
u32[(CONTROL + cmsghdr.cmsg_len) >>> 2] = cmsghdr.size + 4
u32[(CONTROL + cmsghdr.cmsg_level) >>> 2] = SOL_IPV6
u32[(CONTROL + cmsghdr.cmsg_type) >>> 2] = IPV6_TCLASS
u32[(CONTROL + cmsghdr.size) >>> 2] = ECN.ect0

let sum = 0
const check = () => {
  if (sum < 0) throw new Error('it cannot be')
}

/** Frames for a batch that is made ready for sendmmsg(2). @param fieldOf the DS field of frame number `index` */
function batches(times: number, fieldOf: (index: number) => number): void {
  for (let done = 0; done < times; done++) {
    if (batch.full) {
      batch.seal()
      batch.clear()
    }
    batch.addFrame(AT + (done % FRAMES) * STRIDE, FRAME_BYTES, 0, name, fieldOf(done))
  }
  batch.seal()
  batch.clear()
}

export const ecn: Micro[] = [
  {
    group: GROUP,
    name: 'read the field of a frame, IPv4 and IPv6 by turns',
    run(times) {
      for (let done = 0; done < times; done++)
        sum += dsField(view, AT + (done % FRAMES) * STRIDE, FRAME_BYTES, ETHERNET_HEADER_BYTES)
      check()
    },
  },
  { group: GROUP, name: 'a frame into a batch, no marks', run: (times) => batches(times, () => 0) },
  { group: GROUP, name: 'the same, all ECT(0)', run: (times) => batches(times, () => ECN.ect0) },
  {
    group: GROUP,
    name: 'the same, a mark on each second: no runs',
    run: (times) => batches(times, (index) => (index % 2 === 0 ? 0 : ECN.ect0)),
  },
  {
    group: GROUP,
    name: 'read the field of a datagram that came',
    run(times) {
      for (let done = 0; done < times; done++) sum += dsFieldIn(memory, CONTROL, DS_SPACE)
      check()
    },
  },
  {
    group: GROUP,
    name: "carry a router's CE into an IPv4 packet",
    run(times) {
      for (let done = 0; done < times; done++) {
        view.setUint16(AT + ETHERNET_HEADER_BYTES, 0x4500 | ECN.ect0)
        if (!takeEcn(view, AT, FRAME_BYTES, ETHERNET_HEADER_BYTES, ECN.ce)) throw new Error('dropped')
      }
      sum += view.getUint16(AT + ETHERNET_HEADER_BYTES + IPV4.checksum)
      check()
    },
  },
]
