/** A network that loses packets, by netem. */
import { bad, thereIsNetem } from '../bad-network.js'
import { run } from '../check.js'

/** Loss hits a turn by chance, so there are some of them. */
const TURNS = { least: 3, most: 8 }

await run({
  'there is netem': thereIsNetem,
  'loss 5 %': bad('delay 20ms loss 5%', TURNS),
  'loss 1 %': bad('delay 40ms loss 1%', TURNS),
  'loss 0.1 %': bad('delay 10ms loss 0.1%', { least: 1, most: 4 }),
})
