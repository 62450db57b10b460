import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseRemote } from '../../../src/config/addresses.js'
import { formatInvitation, type Invitation } from '../../../src/invitation/invitation.js'
import { findInvitation } from '../../../src/invitation/mend.js'

const bytes = (count: number) => Uint8Array.from(randomBytes(count))

const invitation: Invitation = {
  mode: 'tun',
  network: 'office',
  name: 'alice',
  introducer: 'hub',
  publicKey: bytes(32),
  privateKey: bytes(32),
  presharedKey: bytes(32),
  untilS: 1_800_000_000,
  endpoints: [
    { host: '198.51.100.1', port: 5149 },
    { host: '2001:db8::1', port: 7000 },
    { host: 'hub.example.net', port: 5149 },
  ],
  addresses: [
    { address: '10.9.0.2', prefixLength: 24 },
    { address: 'fd00::2', prefixLength: 64 },
  ],
}
const line = formatInvitation(invitation)

/** Two lines with hyphens at the end and inside. */
function lineWith(pattern: RegExp): { line: string; of: Invitation } {
  for (;;) {
    const of = { ...invitation, publicKey: bytes(32), privateKey: bytes(32), presharedKey: bytes(32) }
    const found = formatInvitation(of)
    if (pattern.test(found)) return { line: found, of }
  }
}

t.test('a line says all that went into it', async (t) => {
  t.match(line, /^udptun\.[\w-]+$/)
  t.same(findInvitation(line), invitation)
  t.ok(line.length < 300, `${line.length} characters`)
})

t.test('an endpoint may have the longest name of DNS', async (t) => {
  const label = 'a'.repeat(63)
  const names = [`${label}.b`.slice(1), [label, label, label, 'a'.repeat(61)].join('.')]
  t.same(
    names.map((it) => it.length),
    [64, 253],
  )
  for (const host of [...names, `${names[1]}.`]) {
    const { host: read } = parseRemote(host)
    const of = { ...invitation, endpoints: [{ host: read, port: 5149 }] }
    t.same(findInvitation(formatInvitation(of)), of, `${read.length} characters`)
  }
  t.equal(
    findInvitation(formatInvitation({ ...invitation, name: label.repeat(2) })),
    'mangled',
    'not any other',
  )
})

t.test('a line that leads nowhere is not taken: without an endpoint, or with port 0', async (t) => {
  const [first, ...others] = invitation.endpoints
  for (const endpoints of [[], [{ ...first, port: 0 }], [first, { ...others[1], port: 0 }]])
    t.equal(findInvitation(formatInvitation({ ...invitation, endpoints })), 'mangled', `${endpoints.length}`)
  const one = { ...invitation, endpoints: [{ ...first, port: 1 }] }
  t.same(findInvitation(formatInvitation(one)), one)
})

t.test('what a mail program, a chat or a person does to it is mended', async (t) => {
  const wrapped = line.replace(/(.{60})/g, '$1\n')
  for (const [what, text] of Object.entries({
    'line breaks': wrapped,
    'line breaks of Windows': line.replace(/(.{60})/g, '$1\r\n'),
    'spaces and a tab': line.replace(/(.{20})/g, '$1 \t'),
    quotes: `"${line}"`,
    'quotes of a typesetter': `“${line}”`,
    'a code block': `\`\`\`\n${line}\n\`\`\``,
    'an answer': wrapped.replace(/^/gm, '> '),
    'quoted-printable': line.replace(/(.{70})/g, '$1=\n'),
    'quoted-printable, with a space': `${line}=20\n=20`,
    'quoted-printable, with a hyphen': line.replaceAll('-', '=2D'),
    'a sentence around it': `Hello Alice,\nplease run: udptun-fast join ${wrapped}\n\nRegards,\nBob - from udptun.example`,
    'the command before it': `sudo udptun-fast join ${line}`,
    'capital letters at its beginning': line.replace('udptun.', 'Udptun.'),
    'characters that are not seen': line.replace(/(.{30})/g, '$1\u200b\u00ad'),
    'a link in angle brackets': `<${line}>`,
  }))
    t.same(findInvitation(text), invitation, what)
  const one = lineWith(/[^-]-[^-]/)
  t.same(findInvitation(one.line.replaceAll('-', '\u2013')), one.of, 'hyphens that were made dashes')
  const two = lineWith(/^[^-]*--[^-]*$/)
  t.same(findInvitation(two.line.replace('--', '\u2014')), two.of, 'two that were made one')
  t.same(findInvitation(two.line.replace('--', '\u2013')), two.of, 'two that were made a short one')
})

t.test('a line that is cut anywhere is told to be', async (t) => {
  for (let length = 'udptun.'.length; length < line.length; length++)
    if (findInvitation(line.slice(0, length)) !== 'cut') t.fail(`${length} characters`)
  t.equal(findInvitation(`${line.slice(0, 100)}…`), 'mangled', 'and one with something strange in it is not')
})

t.test('a line with a wrong character anywhere is told to be', async (t) => {
  for (let at = 'udptun.'.length + 4; at < line.length - 1; at++) {
    const wrong = line[at] === 'A' ? 'B' : 'A'
    const found = findInvitation(`${line.slice(0, at)}${wrong}${line.slice(at + 1)}`)
    if (typeof found !== 'string') t.fail(`at ${at}`)
  }
  t.equal(
    findInvitation(line.toLowerCase()),
    line === line.toLowerCase() ? invitation : findInvitation(line.toLowerCase()),
  )
  t.type(findInvitation(line.toLowerCase()), 'string')
  t.equal(findInvitation(`${line.slice(0, 50)}${line.slice(51)}x`), 'mangled', 'one lost, another added')
})

t.test('what is no line, or one of another version', async (t) => {
  for (const text of ['', 'hello', 'udptun-fast join', 'https://example.net/udptun', line.slice(7)])
    t.equal(findInvitation(text), 'none', text)
  const other = Buffer.from(line.slice('udptun.'.length), 'base64url')
  other[0] = 2
  t.equal(findInvitation(`udptun.${other.toString('base64url')}`), 'version')
})

t.test('any bytes give a flaw, or an invitation, and no error', async (t) => {
  for (let round = 0; round < 3_000; round++) {
    const random = randomBytes(1 + (round % 200))
    random[0] = 1
    if (random.length > 2) random.writeUInt16BE(random.length, 1)
    const found = findInvitation(`udptun.${random.toString('base64url')}`)
    if (typeof found !== 'string') t.fail(random.toString('hex'))
  }
})
