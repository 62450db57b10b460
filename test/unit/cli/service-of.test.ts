import t from 'tap'
import { serviceIn } from '../../../src/cli/service-of.js'

t.test('the service is found in the control groups of a process', async (t) => {
  for (const [groups, expected] of [
    [
      '0::/system.slice/system-udptun\\x2dfast.slice/udptun-fast@office.service\n',
      'udptun-fast@office.service',
    ],
    ['0::/system.slice/vpn.service\n', 'vpn.service'],
    ['2:cpu:/\n1:name=systemd:/system.slice/vpn.service\n0::/system.slice/vpn.service\n', 'vpn.service'],
    ['1:name=systemd:/\n0::/system.slice/vpn.service\n', 'vpn.service'],
    ['3:cpu:/a.service\n1:name=systemd:/system.slice/vpn.service\n', 'vpn.service'],
    ['0::/user.slice/user-0.slice/session-3.scope\n', undefined],
    ['0::/user.slice/user-1000.slice/user@1000.service/app.slice/vpn.service\n', undefined],
    ['0::/\n', undefined],
    ['', undefined],
  ] as const)
    t.equal(serviceIn(groups), expected, groups)
})
