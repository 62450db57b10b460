import { testPage } from '../support/docs/test-page.js'

testPage('moving-from-wg-quick', {
  wires: { internet: { a: ['eth0', '198.51.100.1/24'], b: ['eth0', '198.51.100.2/24'] } },
  ends: 'otherwise',
})
