/** All checks, in the order in which they are run: the files of `checks/`. */
export const CHECKS: readonly string[] = [
  ...['plain', 'offloads', 'pmtu', 'datapath'],
  ...[
    'wireguard',
    'wireguard-mesh',
    'wireguard-rekey',
    'wireguard-120s',
    'ipsec',
    'ipsec-ike',
    'netem',
    'netem-loss',
    'ecn',
  ],
]
