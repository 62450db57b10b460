import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseDiscovery } from '../../../../src/config/discovery.js'
import { openStore } from '../../../../src/control/kernel/etcd.js'

t.test('files of secrets are read as all of them are, and one sentence says what is wrong', async (t) => {
  const folder = t.testdir({ text: 'no PEM', password: 'x\n' })
  const file = (name: string) => join(folder, name)
  const nowhere = file('nowhere')
  const open = (values: object) =>
    openStore(parseDiscovery({ etcd: { endpoints: ['https://192.0.2.1:2379'], ...values } }), 0, () => 0)
  for (const name of ['text', 'password']) chmodSync(file(name), 0o644)
  const refused = (values: object, why: RegExp) =>
    t.throws(() => open(values), { name: 'UserError', message: why })
  refused({ ca: nowhere }, /^discovery: etcd.ca: ".*nowhere" cannot be read \(ENOENT\); check the name$/)
  refused({ ca: file('text') }, /^discovery: etcd: the certificates cannot be used .* are PEM files$/)
  const user = { user: 'a' }
  refused(
    { ...user, password_file: nowhere },
    /^discovery: etcd.password_file: the file that it names cannot be read/,
  )
  refused(
    { ...user, password_file: file('password') },
    /^discovery: etcd.password_file: ".*" can be read or written by others .* chmod 600/,
  )
  refused(
    { cert: file('text'), key: file('text') },
    /^discovery: etcd.key: ".*" can be read or written by others/,
  )
  for (const name of ['text', 'password']) chmodSync(file(name), 0o600)
  refused({ cert: file('text'), key: file('text') }, /the certificates cannot be used/)
  const store = open({ ...user, password_file: file('password') })
  t.equal(store.endpoint, 'https://192.0.2.1:2379')
  store.close()
})
