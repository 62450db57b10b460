import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { Resources } from '../../../src/control/resources.js'

t.test('what was set up last is taken down first, one after the other', async (t) => {
  const resources = new Resources()
  const order: string[] = []
  resources.defer(() => void order.push('socket'))
  resources.defer(async () => {
    await sleep(10)
    order.push('device')
  })
  resources.defer(() => void order.push('workers'))
  await resources.close()
  t.same(order, ['workers', 'device', 'socket'])
})

t.test('one that fails keeps none of the others, and the first failure is told', async (t) => {
  const resources = new Resources()
  const order: string[] = []
  const fail = (what: string) => {
    order.push(what)
    throw new Error(what)
  }
  resources.defer(() => void order.push('socket'))
  resources.defer(() => fail('device'))
  resources.defer(async () => fail('workers'))
  await t.rejects(resources.close(), { message: 'workers' })
  t.same(order, ['workers', 'device', 'socket'])
})

t.test('everything is taken down once', async (t) => {
  const resources = new Resources()
  let closed = 0
  resources.defer(() => void closed++)
  await resources.close()
  await resources.close()
  t.equal(closed, 1)
  await new Resources().close()
})
