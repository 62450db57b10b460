/** Keys in wrong places, for every input of the program, and a check of which parts of a key come out again. */

const RUN = 8

/** The parts of `key` that appear in `text`: runs of eight characters. */
export function runsIn(text: string, key: string): string[] {
  const runs = Array.from({ length: key.length - RUN + 1 }, (_, at) => key.slice(at, at + RUN))
  const lower = text.toLowerCase()
  return runs.filter((it) => lower.includes(it.toLowerCase()))
}

/** The same key in the forms in which people may write it, also with mistakes. */
export const FORMS: Readonly<Record<string, (key: Buffer) => string>> = {
  whole: (key) => key.toString('base64'),
  'without its end': (key) => key.toString('base64').slice(0, 43),
  'without its first characters': (key) => key.toString('base64').slice(3),
  'with a character too many': (key) => `${key.toString('base64').slice(0, 43)}A=`,
  'in hex': (key) => key.toString('hex'),
}

const START = ['start', '10.9.0.1', '198.51.100.2']

/** Arguments that contain a key. */
export const ARGUMENTS: Readonly<Record<string, (key: string) => readonly string[]>> = {
  'in place of the name of a private key file': (key) => [...START, '--private-key-file', key],
  'glued to that flag': (key) => [...START, `--private-key-file=${key}`],
  'there with a line behind it': (key) => [...START, '--private-key-file', `${key}\n`],
  'there with text behind it': (key) => [...START, '--private-key-file', `${key} # mine`],
  'there in two parts': (key) => [...START, '--private-key-file', `${key.slice(0, 20)} ${key.slice(20)}`],
  'there in half': (key) => [...START, '--private-key-file', key.slice(0, 20)],
  'there in a folder': (key) => [...START, '--private-key-file', `/etc/${key}`],
  'in place of the name of a preshared key file': (key) => [...START, '--preshared-key-file', key],
  'in place of a public key, and with more': (key) => [...START, '--peer-key', `${key}x`],
  'in place of the remote': (key) => ['start', '10.9.0.1', key],
  'in place of the remote, with a port': (key) => ['start', '10.9.0.1', `${key}:5149`],
  'in place of a port': (key) => ['start', '10.9.0.1', `host-b:${key}`],
  'as the only argument': (key) => ['start', key],
  'in place of an overlay address': (key) => ['start', key, '198.51.100.2'],
  'in place of a prefix length': (key) => ['start', `10.9.0.1/${key}`, '198.51.100.2'],
  'in place of a peer': (key) => ['start', '10.9.0.1', '--peer', 'host-b', '--peer', key],
  'in place of where to listen': (key) => [...START, '--listen', key],
  'in place of a device': (key) => [...START, '--dev', key],
  'in place of a MAC': (key) => [...START, '--mac', key],
  'in place of an MTU': (key) => [...START, '--mtu', key],
  'in place of a table': (key) => [...START, '--mode', 'tun', '--table', key],
  'in place of a mark': (key) => [...START, '--fwmark', key],
  'in place of a name server': (key) => [...START, '--dns', `192.0.2.53,${key}`],
  'in place of the time of a look': (key) => [...START, '--mtu-refresh', key],
  'in place of a time': (key) => [...START, '--persistent-keepalive', key],
  'in place of a mode': (key) => [...START, '--mode', key],
  'in place of a log level': (key) => [...START, '--log-level', key],
  'in place of offloads': (key) => [...START, '--offload', key],
  'as a flag': (key) => [...START, `--${key}`],
  'as a short flag': (key) => [...START, `-${key}`],
  'as a command': (key) => [key],
  'as what help is wanted of': (key) => ['help', key],
  'in place of a configuration file': (key) => ['start', '--config', key],
  'in place of a file for wg-quick': (key) => ['start', '--wireguard', key],
  'behind keygen': (key) => ['keygen', key],
  'behind pubkey': (key) => ['pubkey', key],
  'behind status': (key) => ['status', key],
  'as the device of status': (key) => ['status', '--dev', key],
  'as the device to reload': (key) => ['reload', '--dev', key],
  'in place of whose path to look at': (key) => ['mtu', key],
  'with a new look at paths': (key) => ['mtu', '--refresh', key],
  'as how long a demo lasts': (key) => ['demo', '--seconds', key],
}

const FILE = 'local: [10.9.0.1]\nremote: host-b\n'
const PEER = 'local: [10.9.0.1]\npeers:\n  - endpoint: host-b\n    '
const parts = (key: string) => `${key.slice(0, 20)}\n    ${key.slice(20)}`

/** YAML that contains a key. */
export const YAML: Readonly<Record<string, (key: string) => string>> = {
  bare: (key) => `${FILE}private_key_file: ${key}\n`,
  quoted: (key) => `${FILE}private_key_file: "${key}"\n`,
  'quoted once': (key) => `${FILE}private_key_file: '${key}'\n`,
  'with a line behind it': (key) => `${FILE}private_key_file: "${key}\\n"\n`,
  'with text behind it': (key) => `${FILE}private_key_file: ${key} mine\n`,
  'over two lines': (key) => `${FILE}private_key_file:\n    ${parts(key)}\n`,
  folded: (key) => `${FILE}private_key_file: >\n    ${parts(key)}\n`,
  literal: (key) => `${FILE}private_key_file: |\n    ${parts(key)}\n`,
  'in the head of a block': (key) => `${FILE}private_key_file: |${key}\n    x\n`,
  'in a list': (key) => `${FILE}private_key_file: [${key}]\n`,
  'in a list below': (key) => `${FILE}private_key_file:\n  - ${key}\n`,
  'in a list that is not closed': (key) => `${FILE}private_key_file: [${key}\n`,
  'in a map': (key) => `${FILE}private_key_file: {key: ${key}}\n`,
  'as the key of a map': (key) => `${FILE}private_key_file: {${key}: 1}\n`,
  'as the key of a map below': (key) => `${FILE}private_key_file:\n  ${key}: 1\n`,
  'as an alias': (key) => `${FILE}private_key_file: *${key}\n`,
  'as an anchor': (key) => `${FILE}private_key_file: &${key}\n`,
  'as an anchor of itself': (key) => `${FILE}private_key_file: &a ${key}\nremote: *a\n`,
  'as a tag': (key) => `${FILE}private_key_file: !${key} x\n`,
  'as a tag of a library': (key) => `${FILE}private_key_file: !!${key} x\n`,
  'as a tag in brackets': (key) => `${FILE}private_key_file: !<${key}> x\n`,
  'as a handle of tags': (key) => `${FILE}private_key_file: !${key}!x x\n`,
  'as a tag of a map': (key) => `${FILE}private_key_file: !${key} {a: 1}\n`,
  'as a directive': (key) => `%${key}\n---\n${FILE}mtu: 1\n`,
  'as a version': (key) => `%YAML ${key}\n---\n${FILE}`,
  'behind a sign that YAML keeps': (key) => `${FILE}private_key_file: @${key}\n`,
  'behind an escape': (key) => `${FILE}private_key_file: "\\${key}"\n`,
  'in a quote that is not closed': (key) => `${FILE}private_key_file: "${key}\n`,
  'with a colon before it': (key) => `${FILE}private_key_file: : ${key}\n`,
  'with a tab before it': (key) => `${FILE}\tprivate_key_file: ${key}\n`,
  'on a line of its own': (key) => `${FILE}${key}\n`,
  'on a line of its own, first': (key) => `${key}\n${FILE}`,
  'as all there is': (key) => `${key}\n`,
  'as a setting': (key) => `${FILE}${key}: 1\n`,
  'as a setting with a question mark': (key) => `${FILE}? ${key}\n: 1\n`,
  'as a setting in quotes and parts': (key) => `${FILE}? "${key.slice(0, 20)} ${key.slice(20)}"\n: 1\n`,
  'as a setting that is a list': (key) => `${FILE}? [${key}]\n: 1\n`,
  'as a setting that is a map': (key) => `${FILE}? {${key}: 1}\n: 1\n`,
  'as a setting twice': (key) => `${FILE}${key}: 1\n${key}: 2\n`,
  'of a setting that is misspelt': (key) => `${FILE}private-key-file: ${key}\n`,
  'of a setting that is glued to it': (key) => `${FILE}private_key_file${key}: 1\n`,
  'of a setting of WireGuard': (key) => `${FILE}PrivateKey: ${key}\n`,
  'in place of a preshared key file': (key) => `${PEER}preshared_key_file: ${key}\n`,
  'in a list in its place': (key) => `${PEER}preshared_key_file: [${key}]\n`,
  'in a map in its place': (key) => `${PEER}preshared_key_file: {${key}: 1}\n`,
  'of a misspelt setting of a peer': (key) => `${PEER}presharedkey: ${key}\n`,
  'as a setting of a peer': (key) => `${PEER}${key}: 1\n`,
  'as a name of a peer': (key) => `${PEER}name: ${key}\n`,
  'as a name of a peer, in a list': (key) => `${PEER}name: [${key}]\n`,
  'as an address of a peer': (key) => `${PEER}addresses: [${key}]\n`,
  'as a MAC of a peer': (key) => `${PEER}macs: [${key}]\n`,
  'as a prefix of a peer': (key) => `${PEER}prefixes: [${key}]\n`,
  'as a public key, and more': (key) => `${PEER}public_key: ${key}x\n`,
  'as a public key twice': (key) =>
    `local: [10.9.0.1]\npeers: [{endpoint: b, public_key: ${key}}, {endpoint: c, public_key: ${key}}]\n`,
  'as an endpoint': (key) => `local: [10.9.0.1]\npeers: [{endpoint: ${key}}]\n`,
  'as a peer': (key) => `local: [10.9.0.1]\npeers: [${key}, ${key}]\n`,
  'as a peer in a list': (key) => `local: [10.9.0.1]\npeers: [[${key}]]\n`,
  'as all peers': (key) => `local: [10.9.0.1]\npeers: ${key}\n`,
  'in all peers as a map': (key) => `local: [10.9.0.1]\npeers: {preshared_key_file: ${key}}\n`,
  'as the remote': (key) => `local: [10.9.0.1]\nremote: ${key}\n`,
  'as the remote in parts': (key) => `local: [10.9.0.1]\nremote:\n    ${parts(key)}\n`,
  'as the remote in lines': (key) => `local: [10.9.0.1]\nremote: |\n    ${parts(key)}\n`,
  'in a list as the remote': (key) => `local: [10.9.0.1]\nremote: [${key}]\n`,
  'as an overlay address': (key) => `local: [${key}]\nremote: host-b\n`,
  'as a mode': (key) => `${FILE}mode: ${key}\n`,
  'as a switch': (key) => `${FILE}relay: ${key}\n`,
}

const INTERFACE = '[Interface]\nAddress = 10.9.0.1/24\n'

/** Files for wg-quick(8) that contain a key. */
export const WG_QUICK: Readonly<Record<string, (key: string) => string>> = {
  'with a character more': (key) => `${INTERFACE}PrivateKey = ${key}x\n`,
  'with text behind it': (key) => `${INTERFACE}PrivateKey = ${key} mine\n`,
  'in quotes': (key) => `${INTERFACE}PrivateKey = "${key}"\n`,
  'in two parts': (key) => `${INTERFACE}PrivateKey = ${parts(key)}\n`,
  'on a line of its own': (key) => `${INTERFACE}${key}\n`,
  'on the first line': (key) => `${key}\n${INTERFACE}`,
  'on the line below': (key) => `${INTERFACE}PrivateKey =\n${key}\n`,
  'with a colon': (key) => `${INTERFACE}PrivateKey: ${key}\n`,
  'without anything between': (key) => `${INTERFACE}PrivateKey ${key}\n`,
  'glued to its name': (key) => `${INTERFACE}PrivateKey${key}\n`,
  'glued to its name, with a value': (key) => `${INTERFACE}PrivateKey${key} = 1\n`,
  'under a misspelt name': (key) => `${INTERFACE}PrivatKey = ${key}\n`,
  'in the wrong section': (key) => `${INTERFACE}[Peer]\nPrivateKey = ${key}\n`,
  'as a section': (key) => `[${key}]\n${INTERFACE}`,
  'as a half section': (key) => `[${key.slice(0, 20)}]\n${INTERFACE}`,
  'twice, with another': (key) => `${INTERFACE}PrivateKey = ${key}\nPrivateKey = ${key}x\n`,
  'as an address': (key) => `[Interface]\nAddress = ${key}\n`,
  'as a port': (key) => `${INTERFACE}ListenPort = ${key}\n`,
  'as an MTU': (key) => `${INTERFACE}MTU = ${key}\n`,
  'as a name server': (key) => `${INTERFACE}DNS = ${key}\n`,
  'in a command': (key) => `${INTERFACE}PostUp = wg set wg0 private-key ${key}\n`,
  'as a public key, and more': (key) => `${INTERFACE}[Peer]\nPublicKey = ${key}x\nAllowedIPs = 0.0.0.0/0\n`,
  'as a preshared key, and more': (key) => `${INTERFACE}[Peer]\nPresharedKey = ${key}x\n`,
  'as an endpoint': (key) => `${INTERFACE}[Peer]\nEndpoint = ${key}\nAllowedIPs = 0.0.0.0/0\n`,
  'as what is allowed': (key) => `${INTERFACE}[Peer]\nAllowedIPs = ${key}\n`,
}
