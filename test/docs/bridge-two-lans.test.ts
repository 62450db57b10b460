import { testPage } from '../support/docs/test-page.js'

testPage('bridge-two-lans', {
  wires: {
    internet: { a: ['eth0', '198.51.100.1/24'], b: ['eth0', '198.51.100.2/24'] },
    near: { a: ['eth1'], pc: ['eth0', '192.168.10.11/24'] },
    far: { b: ['eth1'], printer: ['eth0', '192.168.10.12/24'] },
  },
})
