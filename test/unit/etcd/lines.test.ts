import t from 'tap'
import { Lines } from '../../../src/etcd/lines.js'

t.test('a stream is cut into lines, wherever its chunks end', async (t) => {
  const bytes = Buffer.from('{"a":"ä"}\n\n{"b":1}\n{"c"', 'utf8')
  for (let size = 1; size <= bytes.length; size++) {
    const lines = new Lines(100)
    const found: string[] = []
    for (let at = 0; at < bytes.length; at += size) found.push(...lines.take(bytes.subarray(at, at + size)))
    t.same(found, ['{"a":"ä"}', '{"b":1}'], `chunks of ${size}`)
  }
})

t.test('a line without end is refused', async (t) => {
  const lines = new Lines(8)
  t.same(lines.take(Buffer.from('12345678')), [])
  t.throws(() => lines.take(Buffer.from('9')), RangeError)
})
