import { symlinkSync } from 'node:fs'
import t from 'tap'
import { existingWgTarget, wgTarget } from '../../../src/config/wg-target.js'

t.test('a name is a file of /etc/wireguard, and a path is itself', async (t) => {
  for (const [argument, device, path] of [
    ['wg0', 'wg0', '/etc/wireguard/wg0.conf'],
    ['a_=+.-Z9', 'a_=+.-Z9', '/etc/wireguard/a_=+.-Z9.conf'],
    ['wg0.conf', 'wg0.conf', '/etc/wireguard/wg0.conf.conf'],
    ['./wg0.conf', 'wg0', './wg0.conf'],
    ['/x y/fifteen-letters.conf', 'fifteen-letters', '/x y/fifteen-letters.conf'],
    ['a-long-name.conf', 'a-long-name', 'a-long-name.conf'],
  ])
    t.same(wgTarget(argument), { device, path }, argument)
})

t.test('what wg-quick refuses is refused in one sentence', async (t) => {
  for (const argument of [
    '',
    'wg 0',
    './wg0',
    './wg0.conf.txt',
    './sixteen-letters-.conf',
    './ä.conf',
    'wg0/',
    '/.conf',
  ])
    t.throws(
      () => wgTarget(argument),
      { exitCode: 2, message: /is neither the name of a device nor a file/ },
      argument,
    )
  for (const argument of ['.', '..', './..conf'])
    t.throws(() => wgTarget(argument), { exitCode: 2, message: /is not a device name/ }, argument)
})

t.test('the file must be there, and links are followed', async (t) => {
  const folder = t.testdir({ 'real.conf': '' })
  symlinkSync('real.conf', `${folder}/link.conf`)
  t.same(existingWgTarget(`${folder}/link.conf`), { device: 'link', path: `${folder}/real.conf` })
  t.throws(() => existingWgTarget(`${folder}/no.conf`), { exitCode: 2, message: /^there is no .*no\.conf$/ })
  const before = process.cwd()
  process.chdir(folder)
  t.teardown(() => process.chdir(before))
  t.throws(() => existingWgTarget('real.conf'), {
    message: 'there is no /etc/wireguard/real.conf.conf; for the file here, write ./real.conf',
  })
})
