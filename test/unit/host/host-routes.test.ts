import ipaddr from 'ipaddr.js'
import t from 'tap'
import { formatPrefix, parsePrefix } from '../../../src/config/addresses.js'
import { HostRoutes } from '../../../src/host/host-routes.js'
import type { Journal } from '../../../src/host/journal.js'
import {
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_TABLE,
  RTM_GETROUTE,
  RTM_NEWROUTE,
} from '../../../src/linux/constants.js'
import { type Attribute, encodeAttributes, type Netlink } from '../../../src/linux/netlink.js'
import { rtmsg } from '../../../src/linux/structs.js'

/** A kernel that has only routes: each as its text, and as it lists it. */
function kernel() {
  const routes = new Map<string, { family: number; table: number; body: Buffer }>()
  const request = (_: string, type: number, _flags: number, fixed: Buffer, attributes: Attribute[]) => {
    const family = fixed.readUInt8(rtmsg.rtm_family)
    const given = new Map(attributes as [number, Buffer][])
    const table = given.get(RTA_TABLE)?.readUInt32LE() ?? 0
    if (type === RTM_GETROUTE)
      return [...routes.values()].filter((it) => it.family === family && it.table === table)
    const bytes = given.get(RTA_DST)
    const address = bytes === undefined ? 'all' : ipaddr.fromByteArray([...bytes]).toString()
    const name = `${address}/${fixed.readUInt8(rtmsg.rtm_dst_len)} ${table}`
    if (type === RTM_NEWROUTE)
      routes.set(name, { family, table, body: Buffer.concat([fixed, encodeAttributes(attributes)]) })
    else routes.delete(name)
    return []
  }
  return { routes, netlink: { request } as unknown as Netlink }
}

for (const table of ['auto', 7] as const)
  t.test(`table ${table}: routes that the kernel has removed are made again`, async (t) => {
    const { routes, netlink } = kernel()
    const written: string[] = []
    const journal = {
      isLost: false,
      add: (all: readonly unknown[]) => written.push(...all.map((it) => `+${JSON.stringify(it)}`)),
      drop: (all: readonly unknown[]) => written.push(...all.map((it) => `-${JSON.stringify(it)}`)),
    } as unknown as Journal
    const side = new HostRoutes({
      netlink,
      journal,
      device: { name: 'tun0', index: 5 },
      local: [],
      table,
      apart: false,
      socket: { mark: 0, setMark: () => {} },
    })
    const prefixes = ['10.9.3.0/24', '10.9.4.7/32', 'fd00:9::/64'].map(parsePrefix)
    const number = table === 'auto' ? RT_TABLE_MAIN : table
    const all = ['10.9.3.0/24', '10.9.4.7/32', 'fd00:9::/64'].map((it) => `${it} ${number}`)
    const follow = () => side.setRoutes(prefixes, ['192.0.2.1'])
    t.match(await follow(), { refused: new Map(), restored: [] })
    t.same([...routes.keys()].sort(), all)
    const before = written.length
    await follow()
    t.equal(written.length, before, 'what is there stays')

    routes.clear()
    t.same([...(await follow()).restored].sort(), prefixes.map(formatPrefix).sort(), 'it says which')
    t.same([...routes.keys()].sort(), all, 'the device was set down and up')
    routes.delete(all[2])
    t.same((await follow()).restored, ['fd00:9::/64'])
    t.same([...routes.keys()].sort(), all, 'only one is gone')
    t.equal(
      written.filter((it) => it.startsWith('+')).length - written.filter((it) => it.startsWith('-')).length,
      3,
      'the journal has each once',
    )
    await side.setRoutes([], [])
    t.equal(routes.size, 0)
    t.same(side.tables, [])
  })
