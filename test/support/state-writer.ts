/** Writes a file of the state directory again and again, with greater numbers, and says each when it is written. */
import { StateDirectory } from '../../src/state/state-directory.js'

const [, , name, first, count] = process.argv
const state = new StateDirectory()
for (let number = Number(first); number < Number(first) + Number(count); number++) {
  const why = state.save(name, `${number}\n${'x'.repeat(5_000)}\n${number}\n`)
  if (why !== undefined) throw new Error(why)
  process.stdout.write(`${number}\n`)
}
