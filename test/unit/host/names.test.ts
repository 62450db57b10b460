import t from 'tap'
import { orderPrefix, splitNames, waysToSetNames } from '../../../src/host/names.js'

t.test('servers and domains', async (t) => {
  t.same(splitNames(['10.9.0.53', 'example.net', 'fd00::53', 'lan']), {
    servers: ['10.9.0.53', 'fd00::53'],
    domains: ['example.net', 'lan'],
  })
})

t.test('by resolvectl, else by resolvconf', async (t) => {
  const [first, second] = waysToSetNames('tun0', ['10.9.0.53', 'example.net', 'fd00::53', 'lan'], undefined)
  t.same(first, {
    change: { kind: 'names', program: 'resolvectl', name: 'tun0' },
    commands: [
      ['resolvectl', ['dns', 'tun0', '10.9.0.53', 'fd00::53']],
      ['resolvectl', ['domain', 'tun0', '~.', 'example.net', 'lan']],
    ],
  })
  t.same(second, {
    change: { kind: 'names', program: 'resolvconf', name: 'tun0' },
    commands: [
      [
        'resolvconf',
        ['-a', 'tun0', '-m', '0', '-x'],
        'nameserver 10.9.0.53\nnameserver fd00::53\nsearch example.net lan\n',
      ],
    ],
  })
  const [, bare] = waysToSetNames('tun0', ['10.9.0.53'], 'lo.inet6\ntun*\nap*\n')
  t.same(bare.commands, [['resolvconf', ['-a', 'tun.tun0', '-m', '0', '-x'], 'nameserver 10.9.0.53\n']])
})

t.test("the first simple pattern of Debian's resolvconf", async (t) => {
  t.equal(orderPrefix(), '')
  t.equal(orderPrefix('# x\nlo.inet*\n'), '')
  t.equal(orderPrefix('lo.inet*\nhso*\ntun*\n'), 'hso.')
})
