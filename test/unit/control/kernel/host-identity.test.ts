import t from 'tap'
import {
  type HostIdentity,
  hostIdentity,
  isSameHost,
  machineOf,
} from '../../../../src/control/kernel/host-identity.js'
import { Netlink } from '../../../../src/linux/netlink.js'

const host = (machine: string | undefined, ...permanentMacs: string[]): HostIdentity => {
  return { machine, permanentMacs, hostName: 'h' }
}

t.test('a machine-id counts only if it is one, and is not shown', async (t) => {
  const id = '0123456789abcdef0123456789abcdef'
  t.equal(machineOf(`${id}\n`), machineOf(id))
  t.match(machineOf(id), /^[0-9a-f]{32}$/)
  t.not(machineOf(id), id)
  t.equal(machineOf('uninitialized\n'), undefined, 'an image before its first start')
  t.equal(machineOf('\n'), undefined)
  t.equal(machineOf(''), undefined)
})

t.test('hosts and clones', async (t) => {
  t.ok(isSameHost(host('m', 'a', 'b'), host('m', 'b', 'c')), 'an interface came, another went')
  t.ok(isSameHost(host('m'), host('m', 'a')), 'only the machine-id counts')
  t.ok(isSameHost(host('m', 'a'), host('m')))
  t.ok(isSameHost(host(undefined, 'a'), host(undefined, 'a')))
  t.notOk(isSameHost(host('m', 'a'), host('m', 'b')), 'a clone with the same machine-id')
  t.notOk(isSameHost(host('m', 'a'), host('n', 'a')))
  t.notOk(isSameHost(host(undefined, 'a'), host('m', 'a')), 'an image that has been started')
})

t.test('this host', async (t) => {
  using netlink = new Netlink()
  const { permanentMacs, hostName } = hostIdentity(netlink)
  t.not(hostName, '')
  t.ok(
    permanentMacs.every((mac) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)),
    permanentMacs.join(),
  )
  t.same(hostIdentity(netlink).permanentMacs, permanentMacs)
})
