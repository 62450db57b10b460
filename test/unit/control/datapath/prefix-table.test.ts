import t from 'tap'
import type { KernelPath } from '../../../../src/control/datapath/kernel-path.js'
import { PrefixTable } from '../../../../src/control/datapath/prefix-table.js'
import type { Route } from '../../../../src/memory/prefixes.js'

/** A table in a kernel with `room` for prefixes: what is written, in its order, and what the kernel has. */
function recorded(room = Number.POSITIVE_INFINITY) {
  const writes: string[] = []
  const prefixes = new Map<string, string>()
  const textOf = ({ address, prefixLength }: Omit<Route, 'row'>) =>
    `${Array.from(address).join('.')}/${prefixLength}`
  const path: Pick<KernelPath, 'setPrefix' | 'removePrefix'> = {
    setPrefix: (route, carried) => {
      const text = textOf(route)
      if (!prefixes.has(text) && prefixes.size >= room) return false
      prefixes.set(text, `${route.row}${carried ? ' carried' : ''}`)
      writes.push(`${text} ${prefixes.get(text)}`)
      return true
    },
    removePrefix: (route) => {
      prefixes.delete(textOf(route))
      writes.push(`${textOf(route)} gone`)
    },
  }
  const take = () => writes.splice(0)
  return { table: new PrefixTable(path as KernelPath), take, prefixes }
}

const route = (third: number, row: number): Route => ({
  address: Uint8Array.of(10, 9, third, 0),
  prefixLength: 24,
  row,
})
const isCarried = (row: number) => row === 0

t.test('what is new comes before what is gone is removed, and what stays is not written', async (t) => {
  const { table, take } = recorded()
  table.follow([route(1, 0), route(2, 1)], isCarried)
  t.same(take(), ['10.9.1.0/24 0 carried', '10.9.2.0/24 1'])
  table.follow([route(2, 1), route(3, 0)], isCarried)
  t.same(take(), ['10.9.3.0/24 0 carried', '10.9.1.0/24 gone'])
  table.follow([route(2, 0), route(3, 0)], isCarried)
  t.same(take(), ['10.9.2.0/24 0 carried'], 'another peer has it')
  table.follow([route(2, 0), route(3, 0)], () => false)
  t.same(take(), ['10.9.2.0/24 0', '10.9.3.0/24 0'], 'the workers carry it')
})

t.test('if there is no room for the old ones and the new ones, the old ones go all the same', async (t) => {
  const { table, take, prefixes } = recorded(3)
  table.follow([route(1, 0), route(2, 0)], isCarried)
  take()
  table.follow([route(3, 0), route(4, 0), route(5, 0)], isCarried)
  t.same(take(), [
    '10.9.3.0/24 0 carried',
    '10.9.1.0/24 gone',
    '10.9.2.0/24 gone',
    '10.9.4.0/24 0 carried',
    '10.9.5.0/24 0 carried',
  ])
  const four = [3, 4, 5, 6].map((third) => route(third, 0))
  table.follow(four, isCarried)
  t.same(take(), [], 'one is too many')
  table.follow(four.slice(1), isCarried)
  t.same([...prefixes.keys()], ['10.9.4.0/24', '10.9.5.0/24', '10.9.6.0/24'], 'it is tried again')
})
