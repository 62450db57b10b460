import t from 'tap'
import { formatMetrics, parseMetrics } from '../../../src/config/metrics-place.js'

t.test('a port is on the loopback, unless there is an address', async (t) => {
  t.same(parseMetrics('9149'), { address: '127.0.0.1', port: 9149 })
  t.same(parseMetrics('0'), { address: '127.0.0.1', port: 0 })
  t.same(parseMetrics('198.51.100.1:9149'), { address: '198.51.100.1', port: 9149 })
  t.same(parseMetrics('[::1]:9149'), { address: '::1', port: 9149 })
  t.same(parseMetrics('0.0.0.0:9149'), { address: '0.0.0.0', port: 9149 })
})

t.test('a path is that of a Unix socket', async (t) => {
  t.same(parseMetrics('/run/udptun-fast/metrics.sock'), { path: '/run/udptun-fast/metrics.sock' })
  const longest = `/${'x'.repeat(98)}`
  t.same(parseMetrics(longest), { path: longest })
})

t.test('what is refused', async (t) => {
  const place = /is not a place for metrics; write a port, an address and a port, or the path/
  for (const text of ['', 'metrics.sock', 'localhost:9149', '127.0.0.1', '::1', '[::1]', 'x:9149', '9149 '])
    t.throws(() => parseMetrics(text), { message: place }, JSON.stringify(text))
  for (const text of ['65536', '127.0.0.1:65536', '127.0.0.1:x', '127.0.0.1:'])
    t.throws(() => parseMetrics(text), { message: /is not a port; use a number from 0 to 65535/ }, text)
  for (const text of [`/${'x'.repeat(99)}`, `/${'ü'.repeat(50)}`, '/run/', '/run/a\0b'])
    t.throws(() => parseMetrics(text), { message: /is not the path of a socket; .* at most 99 bytes/ }, text)
})

t.test('it is written as it is read', async (t) => {
  for (const text of ['127.0.0.1:9149', '[::1]:9149', '/run/m.sock'])
    t.equal(formatMetrics(parseMetrics(text)), text)
})
