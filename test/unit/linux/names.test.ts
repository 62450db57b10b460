import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { systemResolver } from '../../../src/control/kernel/system-resolver.js'
import { LIBC } from '../../../src/linux/abi.js'
import { NameQuery } from '../../../src/linux/names.js'

t.test('/etc/hosts counts', async (t) => {
  t.same(await systemResolver.lookup('localhost', true), ['127.0.0.1'])
  const both = await systemResolver.lookup('localhost', false)
  t.ok(both.length > 0 && both.every((it) => ['127.0.0.1', '::1'].includes(it)), `${both}`)
})

t.test('it says how many it does at once', async (t) => {
  t.equal(systemResolver.atOnce, LIBC === 'glibc' ? undefined : 2)
})

t.test('an address is its own name, also a link-local one', async (t) => {
  t.same(await systemResolver.lookup('192.0.2.7', false), ['192.0.2.7'])
  t.same(await systemResolver.lookup('2001:db8::7', false), ['2001:db8::7'])
})

t.test('what does not exist is an error with a code of Node.js', async (t) => {
  // Never sent to a name server: a label has at most 63 characters.
  await t.rejects(systemResolver.lookup(`${'x'.repeat(64)}.test`, false), { code: /^(ENOTFOUND|EAI_\w+)$/ })
  await t.rejects(systemResolver.lookup('2001:db8::7', true), { code: /^(ENOTFOUND|EAI_\w+)$/ })
})

// musl has no such threads. There, Node.js looks names up.
const skip = NameQuery.isThere ? false : 'libc has no getaddrinfo_a'
t.test('it takes no thread of Node.js, and its own end', { skip }, async (t) => {
  const before = readdirSync('/proc/self/task').length
  const queries = Array.from({ length: 30 }, () => new NameQuery('localhost', true))
  await Promise.all(
    queries.map(async (query) => {
      let found: readonly string[] | undefined
      while (found === undefined) {
        await sleep(1)
        found = query.answer('localhost')
      }
      t.same(found, ['127.0.0.1'])
    }),
  )
  let left = readdirSync('/proc/self/task').length
  for (let i = 0; i < 60 && left > before; i++) {
    await sleep(50)
    left = readdirSync('/proc/self/task').length
  }
  t.ok(left <= before, `${left} threads, ${before} before`)
})
