import t from 'tap'
import { Secret } from '../../../src/config/secret.js'
import { cryptoWorkersFor } from '../../../src/control/crypto-workers.js'

const key = new Secret(Buffer.alloc(32))

t.test('none with few processors, and never more than four by itself', async (t) => {
  const auto = { private_key_file: key, crypto_workers: 'auto' } as const
  const counts = [1, 2, 3, 4, 6, 8, 16, 128].map((processors) => cryptoWorkersFor(auto, processors, true))
  t.same(counts, [0, 0, 0, 1, 2, 3, 4, 4])
})

t.test('as many as the settings say, but none if nothing is sealed or keys cannot be lent', async (t) => {
  const three = { private_key_file: key, crypto_workers: 3 }
  t.equal(cryptoWorkersFor(three, 2, true), 3)
  t.equal(cryptoWorkersFor(three, 16, false), 0)
  t.equal(cryptoWorkersFor({ private_key_file: undefined, crypto_workers: 3 }, 16, true), 0)
})
