/** Files for wg-quick(8) as people have them, to compare what `wg-quick up` makes of a host and what this program does. */
export interface UpFile {
  readonly what: string
  readonly text: string
  /** Why both do not do the same, although wg-quick takes the file, or what this program does where wg-quick fails. */
  readonly differs?: string
}

/** Keys in base64: this host's private one, and the public ones of two peers. */
export interface UpKeys {
  readonly own: string
  readonly a: string
  readonly b: string
  readonly psk: string
}

export function upCorpus({ own, a, b, psk }: UpKeys): UpFile[] {
  const head = `[Interface]\nPrivateKey = ${own}\n`
  const peer = (key: string, ...lines: string[]) => `[Peer]\nPublicKey = ${key}\n${lines.join('\n')}\n`
  const ordinary = `${head}Address = 10.66.0.2/24\nListenPort = 51999\n${peer(a, 'Endpoint = 192.0.2.9:51820', 'AllowedIPs = 10.66.0.0/24, 192.168.77.0/24', 'PersistentKeepalive = 25')}`
  const files: Readonly<Record<string, string | readonly [text: string, differs: string]>> = {
    'an ordinary file': ordinary,
    'inline comments and empty lines': `# office\n\n[Interface] # us\nPrivateKey = ${own} # secret\n\nAddress = 10.66.0.2/32 # /24 later\n\n\n[Peer] # them\nPublicKey = ${a}#\nAllowedIPs = 10.66.0.0/24, 10.67.0.0/16 # 10.68.0.0/16\nEndpoint = 192.0.2.9:51820 # home\n#AllowedIPs = 10.69.0.0/16\n`,
    'odd case and spaces': `  [INTERFACE]\nprivatekey=${own}\n\tADDRESS   =10.66.0.2/24 ,  fd66::2/64\n mtu = 1380\nTABLE = auto\n[peer]\npublickey =${a}\n  allowedips=  10.70.0.0 / 16,fd70::/ 48\nEndpoint=192.0.2.9:51820\n`,
    CRLF: ordinary.replaceAll('\n', '\r\n'),
    'a byte-order mark': `\ufeff${ordinary}`,
    'several lines of addresses and networks': `${head}Address = 10.66.0.2/24\nAddress = fd66::2/64, 10.67.0.2/32\n${peer(a, 'AllowedIPs = 10.66.0.0/24', 'AllowedIPs = 10.71.0.0/16, fd66::/64', 'AllowedIPs = fd72::/16')}`,
    'hosts without a mask, and host bits': `${head}Address = 10.66.0.2, fd66::2\n${peer(a, 'AllowedIPs = 10.66.0.1, fd66::1, 10.73.5.7/16')}`,
    'networks inside others, of two peers': `${head}Address = 10.66.0.2/24\n${peer(a, 'AllowedIPs = 10.0.0.0/8, 10.66.0.5/32, 172.16.1.0/24')}${peer(b, 'AllowedIPs = 10.1.0.0/16, 172.16.0.0/12, 10.66.0.0/16')}`,
    'a table': `${head}Address = 10.66.0.2/24, fd66::2/64\nTable = 1234\n${peer(a, 'AllowedIPs = 10.66.0.0/24, 0.0.0.0/0, ::/0, fd66::/64')}`,
    'the main table by its name': `${head}Address = 10.66.0.2/32\nTable = main\n${peer(a, 'AllowedIPs = 10.74.0.0/24')}`,
    'no table, and a mark': `${head}Address = 10.66.0.2/24\nTable = off\nFwMark = 0x77\n${peer(a, 'AllowedIPs = 0.0.0.0/0')}`,
    'a mark without a default route': `${head}Address = 10.66.0.2/24\nFwMark = 119\n${peer(a, 'AllowedIPs = 10.75.0.0/16')}`,
    'a default route': `${head}Address = 10.66.0.2/24\n${peer(a, 'AllowedIPs = 0.0.0.0/0', 'Endpoint = 192.0.2.9:51820', 'PersistentKeepalive = off')}`,
    'default routes of both families, and an IPv6 endpoint': `${head}Address = 10.66.0.2/24, fd66::2/64\n${peer(a, `PresharedKey = ${psk}`, 'AllowedIPs = 0.0.0.0/0, ::/0', 'Endpoint = [2001:db8::9]:51820')}`,
    'default routes of two peers, a mark, and a network': `${head}Address = 10.66.0.2/24, fd66::2/64\nFwMark = 0xca00\n${peer(a, 'AllowedIPs = 0.0.0.0/0, 10.76.0.0/16')}${peer(b, 'AllowedIPs = ::/0, fd77::/16')}`,
    'no peer': `${head}Address = 10.66.0.2/24\n`,
    'two halves, with the endpoint inside': [
      `${head}Address = 10.66.0.2/24\n${peer(a, 'AllowedIPs = 0.0.0.0/1, 128.0.0.0/1', 'Endpoint = 192.0.2.9:51820')}`,
      'the half with the endpoint goes by rules',
    ],
    'a network to which there is a route': [
      `${head}Address = 10.66.0.2/24\n${peer(a, 'AllowedIPs = 10.99.0.0/24')}`,
      'a warning, where wg-quick fails',
    ],
  }
  return Object.entries(files).map(([what, value]) =>
    typeof value === 'string' ? { what, text: value } : { what, text: value[0], differs: value[1] },
  )
}
