import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Change } from '../../../src/host/change.js'
import { withBlock } from '../../../src/host/hosts-block.js'
import { Journal } from '../../../src/host/journal.js'
import { undoLeftovers } from '../../../src/host/undo.js'
import { tryLock } from '../../../src/linux/file-lock.js'
import type { Netlink } from '../../../src/linux/netlink.js'
import { StateDirectory } from '../../../src/state/state-directory.js'

const OWNER = { boot: 'this-boot', namespace: '7' }
const OTHER_BOOT = { ...OWNER, boot: 'the one before' }
const GONE = { ...OWNER, namespace: '8' }
const LABEL = 'udptun-fast tun0 812 office.internal'
const OWN_LINES = '127.0.0.1\tlocalhost\n'
const BLOCK = withBlock('', LABEL, ['10.9.0.3\talice.office.internal'])

/** No change in the kernel may be taken back. */
const NETLINK = {
  request: () => {
    throw new Error('the kernel is asked')
  },
} as unknown as Netlink

const RULE: Change = { kind: 'rule', family: 'ipv4', priority: 5, table: 9 }

/** A file for names, and a state directory with a journal of another run. */
function host(t: Test, text: string) {
  const path = t.testdir({ hosts: text, state: {} })
  const hosts = `${path}/hosts`
  const names: Change = { kind: 'hosts', path: hosts, label: LABEL }
  const state = new StateDirectory({ STATE_DIRECTORY: `${path}/state` })
  return {
    names,
    journal: new Journal(state, OWNER),
    other: new Journal(state, OWNER),
    hosts: () => readFileSync(hosts, 'utf8'),
    files: () => readdirSync(`${path}/state`),
    file: (name: string) => `${path}/state/${name}`,
    write: (owner: object, ...lines: string[]) =>
      writeFileSync(`${path}/state/undo-x`, [JSON.stringify(owner), ...lines, ''].join('\n')),
  }
}

const plus = (change: Change) => `+${JSON.stringify(change)}`

t.test('names in a file outlive a boot, and are taken back after it; all else is gone', async (t) => {
  const { names, journal, hosts, files, write } = host(t, OWN_LINES + BLOCK)
  write(OTHER_BOOT, plus(RULE), plus(names), '+{"half', '\0\0')
  t.same([...(await undoLeftovers(NETLINK, journal))], [['hosts', 1]])
  t.equal(hosts(), OWN_LINES)
  t.same(files(), [])
})

t.test('so are those of a namespace that is gone; what is in that namespace stays for it', async (t) => {
  const { names, journal, hosts, files, file, write } = host(t, OWN_LINES + BLOCK)
  write(GONE, plus(RULE), plus(names))
  t.same([...(await undoLeftovers(NETLINK, journal))], [['hosts', 1]])
  t.equal(hosts(), OWN_LINES)
  t.ok(readFileSync(file('undo-x'), 'utf8').endsWith(`\n-${JSON.stringify(names)}\n`))
  t.same([...(await undoLeftovers(NETLINK, journal))], [], 'once')
  write(GONE, plus(names))
  t.same([...(await undoLeftovers(NETLINK, journal))], [], 'that namespace may have a file of its own')
  t.same(files(), ['undo-x'])
  write(OWNER, plus(names))
  t.same([...(await undoLeftovers(NETLINK, journal))], [['hosts', 1]])
  t.same(files(), [])
})

t.test('with nothing else to take back there, that journal goes', async (t) => {
  const { names, journal, hosts, files, write } = host(t, OWN_LINES + BLOCK)
  write(GONE, plus(names))
  await undoLeftovers(NETLINK, journal)
  t.equal(hosts(), OWN_LINES)
  t.same(files(), [])
})

t.test('names of a tunnel that runs stay, wherever and since whenever it runs', async (t) => {
  const { names, journal, other, hosts, files, file, write } = host(t, OWN_LINES + BLOCK)
  for (const owner of [OWNER, GONE, OTHER_BOOT]) {
    write(owner, plus(names))
    const fd = openSync(file('undo-x'), 'r')
    t.ok(tryLock(fd))
    t.same([...(await undoLeftovers(NETLINK, journal))], [])
    closeSync(fd)
    t.equal(hosts(), OWN_LINES + BLOCK)
    t.same(files(), ['undo-x'])
  }
  other.add([names])
  t.same([...(await undoLeftovers(NETLINK, journal))], [], 'a killed one had the same number')
  t.equal(hosts(), OWN_LINES + BLOCK)
  other.close()
})
