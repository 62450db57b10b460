import t from 'tap'
import { limitOf, limitTooLow } from '../../../src/cli/limits.js'

const limits = (all: Readonly<Record<string, number>>) => (name: string) => all[name]

t.test('a limit that is too low for any command is said with its value', async (t) => {
  t.equal(limitTooLow(limits({})), undefined, 'no limit at all')
  t.equal(limitTooLow(limits({ 'Max address space': 2 ** 30, 'Max open files': 128 })), undefined)
  t.match(
    limitTooLow(limits({ 'Max address space': 2 ** 30 - 1 })),
    /^the limit of 1048575 KiB on .* ulimit -v/,
  )
  t.match(limitTooLow(limits({ 'Max open files': 127 })), /^the limit of 127 on .* open files .* ulimit -n/)
})

t.test('the limits of this process are read from /proc', async (t) => {
  t.ok(Number(limitOf('Max open files')) > 0)
  t.equal(limitOf('Max nonsense'), undefined)
  t.equal(limitTooLow(), undefined, 'the tests run under limits that do')
})
