import type { Command } from 'commander'
import { ask } from '../command/client.js'
import { parseRemote } from '../config/addresses.js'
import type { RefreshReport } from '../control/commands.js'
import { probing } from '../control/kernel/probing.js'
import { systemClock } from '../control/kernel/system-clock.js'
import { systemResolver } from '../control/kernel/system-resolver.js'
import { underlayTo } from '../control/kernel/way-to.js'
import type { TraceResult } from '../control/path-mtu/trace.js'
import { type TraceEvent, Tracer } from '../control/path-mtu/tracer.js'
import { discoveryOf } from '../control/peer/discovery.js'
import { Lookups } from '../control/peer/lookups.js'
import { familyOf } from '../control/peer/underlay.js'
import { encapFor } from '../encap/encap.js'
import { UserError, usageError } from '../errors.js'
import { AF_INET6 } from '../linux/constants.js'
import { Netlink } from '../linux/netlink.js'
import { stdoutColors } from './colors.js'
import { chosenDevice } from './device.js'
import { examples } from './examples.js'
import { endIfOutputFails } from './output.js'
import { table } from './table.js'

const EXAMPLES = `
Examples:
  udptun-fast mtu 198.51.100.2       what the path there carries, probe by probe; needs no tunnel
  udptun-fast mtu --refresh          makes the running tunnel look again, now
`

export function addMtu(program: Command): void {
  program
    .command('mtu')
    .summary('find out what a path carries')
    .description(
      'Finds the path MTU to a host, and shows each probe; or makes a running tunnel look for its own again. JSON when piped.',
    )
    .argument('[remote]', 'the other host: a name or an address')
    .option('--refresh', 'make the running tunnel look again')
    .option('--dev <name>', 'with --refresh, the device (default: the only one)')
    .option('--json', 'print JSON also on a terminal')
    .addHelpText('after', examples(EXAMPLES))
    .action(mtu)
}

interface Flags {
  refresh?: boolean
  dev?: string
  json?: boolean
}

async function mtu(remote: string | undefined, flags: Flags): Promise<void> {
  const json = flags.json === true || !process.stdout.isTTY
  endIfOutputFails()
  if (flags.refresh === true) {
    if (remote !== undefined)
      throw usageError(`"${remote}" and --refresh do not go together; give one of them`)
    return refresh(await chosenDevice('mtu --refresh --dev', undefined, flags.dev), json)
  }
  if (remote === undefined)
    throw usageError('say whose path: udptun-fast mtu <remote>, or --refresh for the running tunnel')
  if (flags.dev !== undefined) throw usageError('--dev goes only with --refresh; leave it out')
  await trace(remote, json)
}

async function refresh(device: string, json: boolean): Promise<void> {
  const report = (await ask(device, { command: 'mtu_refresh' })) as RefreshReport
  if (json) {
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    return
  }
  const rows = report.peers.map(({ name, path_mtu }) => [
    name,
    path_mtu === null ? '' : String(path_mtu.bytes),
    path_mtu === null ? 'not found' : path_mtu.how,
  ])
  process.stdout.write(`${table([['peer', 'path MTU', 'known'], ...rows])}\n`)
  process.stdout.write(`${stdoutColors.bold(report.device)}  MTU ${report.mtu_bytes}\n`)
}

async function trace(remote: string, json: boolean): Promise<void> {
  const { address, family, ceilingBytes, name } = await locate(remote)
  const estimateBytes = probing.kernelPathMtu(family, address)
  if (!json) {
    process.stdout.write(
      `${stdoutColors.bold(name)} ${stdoutColors.dim(address)} by ${stdoutColors.bold(ceilingBytes.device)}, whose MTU is ${ceilingBytes.bytes}\n`,
    )
  }
  const onEvent = (event: TraceEvent) =>
    process.stdout.write(`${json ? JSON.stringify(event) : line(event)}\n`)
  const tools = { clock: systemClock(), network: probing, random: Math.random }
  const options = { ...tools, family, address, ceilingBytes: ceilingBytes.bytes, onEvent }
  const result = await new Promise<TraceResult>((onEnd, onFault) => {
    new Tracer({ ...options, ...(estimateBytes === undefined ? {} : { estimateBytes }), onEnd, onFault })
  })
  const { mtuBytes, basis } = result
  const overlay = {
    tap: mtuBytes - encapFor('tap', false).overheadBytes(family, false),
    tun: mtuBytes - encapFor('tun', false).overheadBytes(family, false),
  }
  process.stdout.write(
    json
      ? `${JSON.stringify({ remote: address, path_mtu_bytes: mtuBytes, basis, overlay_mtu_bytes: overlay })}\n`
      : `${conclusion(result)}: a tunnel's device gets ${stdoutColors.bold(String(overlay.tap))} as tap, ${overlay.tun} as tun\n`,
  )
}

async function locate(remote: string) {
  let parsed: ReturnType<typeof parseRemote>
  try {
    parsed = parseRemote(remote)
  } catch (error) {
    throw usageError(`remote: ${(error as Error).message}`)
  }
  const [{ address }] = await discoveryOf(parsed, AF_INET6, new Lookups(systemClock(), systemResolver))
    .locate()
    .catch(({ code }: NodeJS.ErrnoException) => {
      throw new UserError(
        `the host name "${parsed.host}" does not resolve (${code}); check its spelling and this host's DNS`,
      )
    })
  using netlink = new Netlink()
  const underlay = underlayTo(netlink, address)
  if (underlay.interface === undefined)
    throw new UserError(`there is no route to ${address}; check this host's routes`)
  const ceilingBytes = { bytes: underlay.mtuBytes, device: underlay.interface }
  return { address, family: familyOf(address), ceilingBytes, name: parsed.host }
}

function line({ size_bytes, answer, from, mtu_bytes, error, took_ms }: TraceEvent): string {
  const size = String(size_bytes).padStart(5)
  const ms = stdoutColors.dim(`${took_ms.toFixed(1)} ms`)
  const says = from === null ? "this host's interface" : from
  switch (answer) {
    case 'arrived':
      return `${size}  ${stdoutColors.green('arrived')}  ${from} answers  ${ms}`
    case 'too_big':
      return `${size}  ${stdoutColors.yellow('too big')}  ${says} ${mtu_bytes === 0 ? 'does not say what' : `says that ${mtu_bytes}`} would pass  ${ms}`
    case 'refused':
      return `${size}  ${stdoutColors.red('refused')}  ${from} says ${error}  ${ms}`
    case 'unsent':
      return `${size}  ${stdoutColors.red('not sent')}  this host says ${error}`
    default:
      return `${size}  ${stdoutColors.dim('no answer')}`
  }
}

function conclusion({ mtuBytes, basis }: TraceResult): string {
  const bytes = stdoutColors.bold(stdoutColors.green(`path MTU ${mtuBytes}`))
  if (basis === 'reached') return bytes
  if (basis === 'told') return `${bytes}, as a router on the way says; the far end does not answer`
  return `${stdoutColors.yellow(`path MTU ${mtuBytes}`)} at the most, the interface's: nobody answers`
}
