import t from 'tap'
import { fitted } from '../../../src/cli/examples.js'

const TEXT = `
Examples:
  udptun-fast status           the one tunnel
  udptun-fast status --watch   its rates
  udptun-fast status --json > status.json
`

t.test('examples that fit are as they were written', async (t) => {
  t.equal(fitted(TEXT, 80), TEXT)
})

t.test('if one does not fit, what they do stands below each', async (t) => {
  t.equal(
    fitted(TEXT, 40),
    `
Examples:
  udptun-fast status
      the one tunnel
  udptun-fast status --watch
      its rates
  udptun-fast status --json > status.json
`,
  )
})
