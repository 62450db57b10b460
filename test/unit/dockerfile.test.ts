import { readFileSync } from 'node:fs'
import { validate } from 'dockerfile-utils'
import t from 'tap'

const dockerfile = readFileSync('Dockerfile', 'utf8')

t.test('the Dockerfile has nothing a linter minds', async (t) => {
  t.same(
    validate(dockerfile).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`),
    [],
  )
  t.ok(validate('FRM node').length > 0, 'and the linter does mind mistakes')
})

t.test('the image is built by what CI runs, and holds what the program needs', async (t) => {
  const ci = readFileSync('.ci/run', 'utf8')
  for (const [, command] of dockerfile.matchAll(/^RUN (npm ci.*)$/gm)) t.ok(ci.includes(command), command)
  const { bin } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.match(dockerfile, new RegExp(`ENTRYPOINT .*${bin['udptun-fast']}`))
})

t.test('the one line that runs it has the device and the capability', async (t) => {
  t.match(dockerfile, /docker run .*--device \/dev\/net\/tun --cap-add NET_ADMIN/)
})
