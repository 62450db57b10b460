import { testPage } from '../support/docs/test-page.js'

testPage('site-to-site', {
  wires: {
    internet: { a: ['eth0', '198.51.100.1/24'], b: ['eth0', '198.51.100.2/24'] },
    near: { a: ['eth1', '192.168.10.1/24'], pc: ['eth0', '192.168.10.11/24'] },
    far: { b: ['eth1', '192.168.20.1/24'], server: ['eth0', '192.168.20.11/24'] },
  },
  gateways: { pc: '192.168.10.1', server: '192.168.20.1' },
})
