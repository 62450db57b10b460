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

t.test('the line that runs it has the device and the capability, and takes the rest away', async (t) => {
  const line = /docker run [^\n]*\\\n#[^\n]*/.exec(dockerfile)?.[0] ?? ''
  for (const flag of [
    '--network host',
    '--device /dev/net/tun',
    '--cap-drop ALL --cap-add NET_ADMIN',
    '--read-only --tmpfs /run',
    '--security-opt no-new-privileges',
  ])
    t.ok(line.includes(flag), flag)
})

t.test('both stages are of one base, which may be another one', async (t) => {
  const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the Dockerfile's own variable
  t.same(bases, ['${BASE}', '${BASE}'])
  t.match(dockerfile, /^ARG BASE=node:/m)
})

t.test('its health is what status --check says', async (t) => {
  t.match(dockerfile, /^HEALTHCHECK .*CMD \["udptun-fast", "status", "--check"\]$/m)
  const { bin } = JSON.parse(readFileSync('package.json', 'utf8'))
  t.match(dockerfile, `ln -s /opt/udptun-fast/${bin['udptun-fast']} /usr/local/bin/udptun-fast`)
})
