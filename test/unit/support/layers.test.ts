import t from 'tap'
import { sourcesOf, unread } from '../../support/layers.js'

const SOURCES = ['src/a.ts', 'src/b.ts']
const IMPORT = { module: './b.js' } as never

t.test('every source must be read', async (t) => {
  const a = { source: 'src/a.ts', dependencies: [IMPORT] }
  const b = { source: 'src/b.ts', dependencies: [] }
  t.equal(unread(SOURCES, [a, b]), undefined)
  t.equal(unread(SOURCES, [a]), 'dependency-cruiser did not read src/b.ts')
  t.equal(unread(SOURCES, []), 'dependency-cruiser did not read src/a.ts, src/b.ts')
  t.match(unread(SOURCES, [{ ...a, dependencies: [] }, b]), /found no import/)
  t.equal(unread([], []), 'there are no sources')
})

t.test('the sources are those that this compiler has', async (t) => {
  const sources = sourcesOf('src')
  t.ok(sources.includes('src/cli/main.ts'))
  t.notOk(sources.some((name) => name.startsWith('src/offload/wasm/')))
  t.notOk(sources.some((name) => name.endsWith('.json')))
})
