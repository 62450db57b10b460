import t from 'tap'
import { editDistance, nearest } from '../../../src/config/nearest.js'

const KEYS = ['local', 'remote', 'mtu', 'mtu_refresh', 'log_level', 'listen', 'relay', 'dev']

t.test('the name that was meant', async (t) => {
  for (const [misspelt, meant] of [
    ['mtuu', 'mtu'],
    ['locals', 'local'],
    ['log-level', 'log_level'],
    ['lsiten', 'listen'],
    ['Remote', 'remote'],
    ['mturefresh', 'mtu_refresh'],
    ['device', undefined],
    ['constructor', undefined],
    ['x', undefined],
  ] as const)
    t.equal(nearest(misspelt, KEYS), meant, misspelt)
})

t.test('how far names are apart', async (t) => {
  for (const [a, b, edits] of [
    ['', '', 0],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'acb', 1],
    ['abc', 'ac', 1],
    ['kitten', 'sitting', 3],
  ] as const) {
    t.equal(editDistance(a, b), edits, `${a} ${b}`)
    t.equal(editDistance(b, a), edits, `${b} ${a}`)
  }
})
