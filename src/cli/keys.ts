import { randomFillSync } from 'node:crypto'
import { fstatSync } from 'node:fs'
import type { Command } from 'commander'
import { refuseOpenToOthers, trimmed } from '../config/key-file.js'
import { usageError } from '../errors.js'
import { formatKey, parseKey, secretBytes, secretKeyLine } from '../key-text.js'
import { makeUndumpable } from '../linux/process.js'
import { clampPrivateKey, derivePublicKey } from '../noise/keys.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { endIfOutputFails } from './output.js'

const EXAMPLES = `
Examples:
  umask 077; udptun-fast keygen > a.key        a private key, for this host alone
  udptun-fast pubkey < a.key                   its public key, for the others to know
  udptun-fast keygen --preshared > ab.psk      a key that two hosts share, besides their own
`

export function addKeygen(program: Command): void {
  program
    .command('keygen')
    .summary('make a private key')
    .description('Prints a new private key, like wg genkey.')
    .option('--preshared', 'make a key for two hosts to share, like wg genpsk')
    .addHelpText('after', examples(EXAMPLES))
    .action(keygen)
}

export function addPubkey(program: Command): void {
  program
    .command('pubkey')
    .summary('tell the public key of a private one')
    .description('Reads a private key from standard input and prints its public key, like wg pubkey.')
    .addHelpText('after', examples(EXAMPLES))
    .action(pubkey)
}

function keygen({ preshared }: { preshared?: boolean }): void {
  makeUndumpable()
  endIfOutputFails()
  const random = randomFillSync(secretBytes(32))
  const key = preshared === true ? random : clampPrivateKey(random)
  const into = fstatSync(1)
  const line = secretKeyLine(key)
  process.stdout.write(line, () => line.fill(0))
  random.fill(0)
  key.fill(0)
  if (!into.isFile()) return
  try {
    refuseOpenToOthers('the file', into.mode)
  } catch {
    process.stderr.write(
      `${stderrColors.yellow('udptun-fast:')} other users can read that file; before you use it: chmod 600 <file>\n`,
    )
  }
}

async function pubkey(): Promise<void> {
  makeUndumpable()
  endIfOutputFails()
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk)
  const text = Buffer.concat(chunks)
  const key = parseKey(trimmed(text))
  for (const chunk of [...chunks, text]) chunk.fill(0)
  if (key === undefined) {
    throw usageError(
      'standard input does not hold a private key, which is one line of 44 characters; try: udptun-fast pubkey < a.key',
    )
  }
  process.stdout.write(`${formatKey(derivePublicKey(key))}\n`)
  key.fill(0)
}
