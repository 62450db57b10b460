/** Files for wg-quick(8), to compare what wg(8) makes of them and what this program does. */
export interface WgFile {
  readonly what: string
  readonly text: string
  /** Why this program refuses the file although wg takes it. */
  readonly differs?: string
}

/** Keys of a corpus, in base64. */
export interface CorpusKeys {
  readonly own: string
  /** Public keys. */
  readonly self: string
  readonly a: string
  readonly b: string
  readonly psk: string
}

const ZEROS = `${'A'.repeat(43)}=`

export function corpus({ own, self, a, b, psk }: CorpusKeys): WgFile[] {
  const head = `[Interface]\nPrivateKey = ${own}\n`
  const peer = (key: string, ...lines: string[]) => `[Peer]\nPublicKey = ${key}\n${lines.join('\n')}\n`
  /** A file with these lines in `[Interface]`, and one peer. */
  const outer = (...lines: string[]) => `${head}${lines.join('\n')}\n${peer(a)}`
  /** A file with these lines in its one `[Peer]`. */
  const inner = (...lines: string[]) => `${head}${peer(a, ...lines)}`
  const list = (text: string) => inner(`AllowedIPs = ${text}`)
  const endpoint = (text: string) => inner(`Endpoint = ${text}`)
  const keepalive = (text: string) => inner(`PersistentKeepalive = ${text}`)
  const nobody = 'no host can have this address'
  const services = 'ports are numbers here'
  const takenAndRefused: Readonly<Record<string, string | readonly [text: string, differs: string]>> = {
    'the least': inner(),
    'an ordinary file': `${head}Address = 10.66.0.2/32\nListenPort = 51820\nDNS = 192.0.2.53\n${peer(a, `PresharedKey = ${psk}`, 'Endpoint = 192.0.2.1:51820', 'AllowedIPs = 10.66.0.0/24, 192.168.77.0/24', 'PersistentKeepalive = 25')}`,
    'a full tunnel': inner('AllowedIPs = 0.0.0.0/0, ::/0', 'Endpoint = 192.0.2.1:51820'),
    'two peers': `${head}${peer(a, 'AllowedIPs = 10.1.0.0/16')}${peer(b, 'AllowedIPs = 10.2.0.0/16')}`,
    'no peer': head,
    'an empty file': ['\n', 'a tunnel needs a key'],
    'no private key': [`[Interface]\nListenPort = 7\n${peer(a)}`, 'a tunnel needs a key'],
    'a private key of zeros': [`[Interface]\nPrivateKey = ${ZEROS}\n${peer(a)}`, 'a tunnel needs a key'],
    'the peer before the interface': `${peer(a, 'AllowedIPs = 10.1.0.0/16')}${head}`,
    'the interface in two parts': `${head}${peer(a)}[Interface]\nListenPort = 777\n`,
    'no public key': `${head}[Peer]\nAllowedIPs = 10.1.0.0/16\n`,
    'an empty peer': `${head}[Peer]\n`,
    'a short key': `${head}${peer(a.slice(1))}`,
    'a key with bits that mean nothing': `${head}${peer(`${a.slice(0, 42)}B=`)}`,
    'a short preshared key': inner(`PresharedKey = ${psk.slice(1)}`),
    'a preshared key of zeros': inner(`PresharedKey = ${ZEROS}`),
    'an unknown key': outer('Listen = 7'),
    'an unknown key of a peer': inner('AllowedIP = 10.1.0.0/16'),
    'a key in the wrong section': outer('AllowedIPs = 10.1.0.0/16'),
    "the interface's key at a peer": inner('ListenPort = 7'),
    'an address at a peer': inner('Address = 10.9.0.1/24'),
    'a hook at a peer': inner('PostUp = true'),
    'an unknown section': `${head}[Friend]\nPublicKey = ${a}\n`,
    'an empty unknown section': `${head}[Friend]\n${peer(a)}`,
    'a key before any section': `PrivateKey = ${own}\n${inner()}`,
    'half a heading': `${head}[Peer\nPublicKey = ${a}\n`,
    'no equals sign': outer('ListenPort 7'),
    'nothing before the equals sign': outer('= 7'),
    'a port': outer('ListenPort = 51821'),
    'port 0': outer('ListenPort = 0'),
    'a port with zeros before it': outer('ListenPort = 00080'),
    'a port twice': outer('ListenPort = 7001', 'ListenPort = 7002'),
    'an empty port': outer('ListenPort ='),
    'a port that is no number': outer('ListenPort = seven'),
    'a negative port': outer('ListenPort = -1x'),
    'a service as a port': [outer('ListenPort = domain'), services],
    'a port that is too large': [outer('ListenPort = 99999'), 'wg takes another port then'],
    'a mark': outer('FwMark = 0xca6c'),
    'a decimal mark': outer('FwMark = 51820'),
    'no mark': outer('FwMark = off'),
    'a mark that is too large': outer('FwMark = 0x1ffffffff'),
    'a mark that is no number': outer('FwMark = on'),
    'to be saved': outer('SaveConfig = true'),
    'not to be saved': outer('SaveConfig = FALSE'),
    'perhaps to be saved': outer('SaveConfig = yes'),
    'a table': outer('Table = 1234'),
    'no table': outer('Table = off'),
    'an empty table': outer('Table ='),
    'name servers': outer('DNS = 192.0.2.53, example.net'),
    'an MTU': outer('MTU = 1380'),
    'an empty MTU': outer('MTU ='),
    'an MTU that is no number': outer('MTU = auto'),
    hooks: outer('PostUp = true', 'PreDown = true # and a comment', 'postdown = true'),
    'an IPv4 and an IPv6 address': outer('Address = 10.9.0.1/24, fd00:9::1/64'),
    'addresses on several lines': outer('Address = 10.9.0.1/24', 'address = 10.9.1.1/24'),
    'addresses with spaces between': outer('Address = 10.9.0.1/24 10.9.1.1/24'),
    'addresses without a mask': outer('Address = 10.9.0.1,fd00:9::1'),
    'an address and a comma': outer('Address = 10.9.0.1/24,'),
    'an empty address': outer('Address ='),
    'an address twice': outer('Address = 10.9.0.1/24', 'Address = 10.9.0.1/24'),
    'an address that is none': outer('Address = 10.9.0.256/24'),
    'a mask that is too long': outer('Address = 10.9.0.1/33'),
    'a name as an address': outer('Address = localhost/24'),
    'a loopback address': [outer('Address = 127.0.0.2/8'), nobody],
    CRLF: outer('ListenPort = 51822', 'Address = 10.9.0.1/24').replaceAll('\n', '\r\n'),
    'a byte-order mark': `\ufeff${inner()}`,
    comments: `# one\n${head}ListenPort = 7003 # two\n#ListenPort = 7\n[Peer]#three\nPublicKey = ${a}# four\n`,
    'a semicolon is no comment': outer('; ListenPort = 7'),
    'odd case': `[INTERFACE]\nprivatekey=${own}\nLISTENPORT=7004\n[peer]\npublicKEY=${a}\nallowedips=10.1.0.0/16\n`,
    'odd spaces': `\n\n  [Interface]  \n\tPrivateKey\t=\t${own}\t\n\n[ Peer ]\nPublic Key = ${a}\nAllowedIPs = 10.1.0.0 / 16 ,  10.2.0.0/1 6\n\n`,
    'spaces within keys': `[Interface]\nPrivateKey = ${own.slice(0, 20)} ${own.slice(20)}\n[Peer]\nPublicKey = ${a.slice(0, 5)}\t${a.slice(5)}\n`,
    'spaces within a key of wg-quick': outer('Post Up = true'),
    quotes: inner('AllowedIPs = "10.1.0.0/16"'),
    'no end of line': `${head}[Peer]\nPublicKey = ${a}`,
    'allowed hosts without a mask': list('10.1.0.1, fd00::1'),
    'allowed networks on several lines': inner(
      'AllowedIPs = 10.1.0.0/16',
      'AllowedIPs = 10.2.0.0/16, fd00::/8',
    ),
    'an allowed network with host bits': list('10.1.2.3/16, fd00::9/64'),
    'an allowed network twice': list('10.1.0.0/16, 10.1.0.0/16, 10.1.9.9/16'),
    'an allowed network of nothing': inner('AllowedIPs ='),
    'an allowed network and a comma': list('10.1.0.0/16,'),
    'two commas': list('10.1.0.0/16,,10.2.0.0/16'),
    'allowed networks with spaces between': list('10.1.0.0/16 10.2.0.0/16'),
    'a mask that is empty': list('10.1.0.0/'),
    'an allowed mask that is too long': list('10.1.0.0/33'),
    'an allowed IPv6 mask that is too long': list('fd00::/129'),
    'two masks': list('10.1.0.0/16/16'),
    'a dotted mask': list('10.1.0.0/255.255.0.0'),
    'a short IPv4 address': list('10.1/16'),
    'an IPv4 address with zeros before a number': list('010.1.0.0/16'),
    'an IPv4 address in hex': list('0x0a010000/16'),
    'an IPv4 address in IPv6': list('::ffff:10.1.0.1/128'),
    'an allowed zone': list('fe80::1%lo/64'),
    'an allowed name': list('localhost'),
    'a network at two peers': `${head}${peer(a, 'AllowedIPs = 10.1.0.0/16, 10.2.0.0/16')}${peer(b, 'AllowedIPs = 10.2.9.9/16')}`,
    'a network at two peers, and back': `${head}${peer(a, 'AllowedIPs = 10.1.0.0/16')}${peer(b, 'AllowedIPs = 10.1.0.0/16')}${peer(a, 'AllowedIPs = 10.1.0.0/16')}`,
    'a public key at two peers': `${head}${peer(a, 'Endpoint = 192.0.2.1:7', `PresharedKey = ${psk}`, 'PersistentKeepalive = 9', 'AllowedIPs = 10.1.0.0/16')}${peer(a, 'AllowedIPs = 10.2.0.0/16')}`,
    'a public key at two peers, all else in the second': `${head}${peer(a, 'AllowedIPs = 10.1.0.0/16')}${peer(a, 'Endpoint = 192.0.2.1:7', `PresharedKey = ${psk}`, 'PersistentKeepalive = 9')}`,
    'a preshared key, and then zeros': `${head}${peer(a, `PresharedKey = ${psk}`)}${peer(a, `PresharedKey = ${ZEROS}`)}`,
    'two public keys at one peer': inner(`PublicKey = ${b}`),
    'two private keys': `[Interface]\nPrivateKey = ${psk}\nPrivateKey = ${own}\n${peer(a)}`,
    'all else twice': inner(
      'Endpoint = 192.0.2.1:7',
      'Endpoint = 192.0.2.1:8',
      'PersistentKeepalive = 7',
      'PersistentKeepalive = 8',
      `PresharedKey = ${own}`,
      `PresharedKey = ${psk}`,
    ),
    'this host as the only peer': `${head}${peer(self, 'AllowedIPs = 10.1.0.0/16')}`,
    'this host among the peers': `${head}${peer(a, 'AllowedIPs = 10.1.0.0/16')}${peer(self, 'AllowedIPs = 10.1.0.0/16')}`,
    'an endpoint at two peers': `${head}${peer(a, 'Endpoint = 192.0.2.1:7')}${peer(b, 'Endpoint = 192.0.2.1:7')}`,
    'an endpoint without a port': endpoint('192.0.2.1'),
    'an endpoint with an empty port': endpoint('192.0.2.1:'),
    'an endpoint with a port alone': endpoint(':51820'),
    'an empty endpoint': endpoint(''),
    'an IPv6 endpoint': endpoint('[2001:db8::1]:51820'),
    'an IPv6 endpoint without brackets': endpoint('2001:db8::1:51820'),
    'an IPv6 endpoint without a port': endpoint('[2001:db8::1]'),
    'an IPv6 endpoint with an empty port': endpoint('[2001:db8::1]:'),
    'an IPv6 endpoint with half a bracket': endpoint('[2001:db8::1:51820'),
    'an endpoint with a zone': endpoint('[fe80::1%lo]:51820'),
    'an endpoint by name': endpoint('localhost:51820'),
    'an endpoint by name in brackets': endpoint('[localhost]:51820'),
    'an endpoint with spaces': endpoint('192.0.2.1 : 51820'),
    'an endpoint that is none': endpoint('a..b:51820'),
    'an endpoint with a port that is no number': endpoint('192.0.2.1:x9'),
    'an endpoint with a service': [endpoint('192.0.2.1:domain'), services],
    'an endpoint with port 0': [endpoint('192.0.2.1:0'), 'nobody has port 0'],
    'a multicast endpoint': [endpoint('224.0.0.1:51820'), nobody],
    'a broadcast endpoint': [endpoint('255.255.255.255:51820'), nobody],
    'an endpoint of this host, whatever it is': [endpoint('0.0.0.0:51820'), nobody],
    'an endpoint in the overlay': [
      `${head}Address = 10.9.0.1/24\n${peer(a, 'Endpoint = 10.9.0.2:7')}`,
      "the tunnel's own datagrams would go into the tunnel",
    ],
    'a keepalive': keepalive('25'),
    'no keepalive': keepalive('off'),
    'no keepalive, in capitals': keepalive('OFF'),
    'a keepalive of 0': keepalive('0'),
    'the longest keepalive': keepalive('65535'),
    'a longer keepalive': keepalive('65536'),
    'a negative keepalive': keepalive('-1'),
    'a keepalive with a unit': keepalive('25s'),
    'an empty keepalive': keepalive(''),
  }
  return Object.entries(takenAndRefused).map(([what, value]) =>
    typeof value === 'string' ? { what, text: value } : { what, text: value[0], differs: value[1] },
  )
}
