import t from 'tap'
import { IcmpWatch, type IcmpWatchOptions } from '../../../src/control/icmp-watch.js'
import type { HeardIcmpError } from '../../../src/control/network.js'
import { OwnCounters } from '../../../src/control/tables.js'
import { AF_INET6 } from '../../../src/linux/constants.js'
import { decodeSockaddr } from '../../../src/linux/sockaddr.js'
import { C } from '../../../src/memory/counters.js'

const PORT = 5149

function watched(fails = false) {
  const waiting: HeardIcmpError[] = []
  const told: (readonly [string, number])[][] = []
  const counters = new OwnCounters()
  const icmp = {
    take: (heard: (error: HeardIcmpError) => void) => {
      for (const error of waiting.splice(0)) heard(error)
      if (fails) throw new Error('the other family')
    },
  }
  const socket = { family: AF_INET6, local: { address: '::', port: PORT } }
  const watch = new IcmpWatch({
    platform: { socket, network: { icmp } } as unknown as IcmpWatchOptions['platform'],
    counters,
    addressOf: (sockaddr) => {
      const { address, port } = decodeSockaddr(sockaddr)
      return port === PORT && address.startsWith('192.0.2.') ? address : undefined
    },
    onTooBig: (least) => void told.push([...least]),
  })
  const hear = (destination: readonly number[], mtuBytes: number, destinationPort = PORT) =>
    waiting.push({
      kind: 'too_big',
      mtuBytes,
      source: Uint8Array.of(198, 51, 100, 1),
      sourcePort: PORT,
      destination: Uint8Array.from(destination),
      destinationPort,
      scopeId: 0,
    })
  return { watch, hear, told, count: () => counters.block[C.icmpTooBig] }
}

t.test('whatever one look hears is told once, with the least size for each address', async (t) => {
  const { watch, hear, told, count } = watched()
  for (const mtuBytes of [1400, 1300, 1350]) hear([192, 0, 2, 1], mtuBytes)
  hear([192, 0, 2, 2], 1280)
  hear([192, 0, 2, 2], 0)
  watch.look()
  t.same(told.splice(0), [
    [
      ['192.0.2.1', 1300],
      ['192.0.2.2', 0],
    ],
  ])
  t.equal(count(), 5)
  hear([192, 0, 2, 1], 1450)
  watch.look()
  t.same(told, [[['192.0.2.1', 1450]]], 'nothing of the look before')
})

t.test('what is about nobody is counted, and not told', async (t) => {
  const { watch, hear, told, count } = watched()
  for (let host = 0; host < 128; host++) hear([203, 0, 113, host], 1280)
  hear([192, 0, 2, 1], 1280, PORT + 1)
  watch.look()
  t.equal(count(), 129)
  watch.look()
  t.same(told, [])
})

t.test('what was heard before a fault is told', async (t) => {
  const { watch, hear, told } = watched(true)
  hear([192, 0, 2, 1], 1300)
  t.throws(() => watch.look(), /the other family/)
  t.same(told, [[['192.0.2.1', 1300]]])
})
