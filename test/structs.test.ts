import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as constants from '../src/linux/constants.js'
import * as errno from '../src/linux/errno.js'
import * as structs from '../src/linux/structs.js'

const { STRUCTS } = structs

/** Where the C names of constants.ts and errno.ts are declared. */
const CONSTANTS: Readonly<Record<string, string>> = {
  'fcntl.h': 'O_RDONLY O_RDWR O_NONBLOCK O_CLOEXEC',
  'sys/eventfd.h': 'EFD_NONBLOCK EFD_CLOEXEC',
  'poll.h': 'POLLIN POLLOUT POLLERR POLLHUP POLLNVAL',
  'sys/socket.h': `AF_UNSPEC AF_INET AF_INET6 AF_NETLINK SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_NONBLOCK
    SOCK_CLOEXEC SOL_SOCKET SO_SNDBUF SO_RCVBUF SO_SNDBUFFORCE SO_RCVBUFFORCE SO_MEMINFO MSG_TRUNC
    MSG_DONTWAIT MSG_ERRQUEUE`,
  'linux/sock_diag.h': 'SK_MEMINFO_DROPS',
  'netinet/in.h': `IPPROTO_ICMP SOL_IP IP_MTU_DISCOVER IP_RECVERR IP_PMTUDISC_PROBE SOL_IPV6 IPV6_MTU_DISCOVER
    IPV6_RECVERR IPV6_V6ONLY IPV6_PMTUDISC_PROBE`,
  'linux/errqueue.h': 'SO_EE_ORIGIN_LOCAL SO_EE_ORIGIN_ICMP SO_EE_ORIGIN_ICMP6',
  'linux/if_tun.h': 'TUNSETIFF IFF_TUN IFF_TAP IFF_NO_PI',
  'net/if.h': 'IFNAMSIZ IFF_UP',
  'linux/netlink.h': `NETLINK_ROUTE NLMSG_ERROR NLMSG_DONE NLM_F_REQUEST NLM_F_ACK NLM_F_DUMP NLM_F_EXCL
    NLM_F_CREATE`,
  'linux/rtnetlink.h': `RTM_NEWLINK RTM_DELLINK RTM_GETLINK RTM_NEWADDR RTM_GETADDR RTM_NEWROUTE RTM_GETROUTE
    RTA_DST RTA_OIF RTA_GATEWAY RT_TABLE_MAIN RTPROT_STATIC RT_SCOPE_UNIVERSE RTN_UNICAST`,
  'linux/if_link.h': `IFLA_ADDRESS IFLA_IFNAME IFLA_MTU IFLA_MASTER IFLA_LINKINFO IFLA_STATS64 IFLA_NET_NS_FD
    IFLA_INFO_KIND IFLA_INFO_DATA`,
  'linux/veth.h': 'VETH_INFO_PEER',
  'linux/if_addr.h': 'IFA_ADDRESS IFA_LOCAL IFA_FLAGS IFA_F_NODAD',
  'sched.h': 'CLONE_NEWNET',
  'sys/prctl.h': 'PR_SET_PDEATHSIG',
  'errno.h': Object.keys(errno)
    .filter((name) => /^E[A-Z]+$/.test(name))
    .join(' '),
}

/** Structures that the kernel appends to: at least as long as this program takes them to be. */
const GROWING = new Set(['rtnl_link_stats64'])

const OURS: Readonly<Record<string, unknown>> = { ...constants, ...errno }

const names = (header: string) => (CONSTANTS[header] ?? '').split(/\s+/).filter((name) => name in OURS)

/**
 * One translation unit a header, so that those that cannot be included together need not be. Some lean on
 * what others declare: errqueue.h on `struct timespec`, if_tun.h on the macros that make an ioctl's number.
 */
function translationUnit(header: string, index: number): string {
  const structs = Object.entries(STRUCTS).filter(([, it]) => it.header === header)
  const lines = structs.flatMap(([name, { fields }]) => [
    `  printf("sizeof ${name} %zu\\n", sizeof(struct ${name}));`,
    ...Object.keys(fields).map(
      (field) => `  printf("offsetof ${name}.${field} %zu\\n", offsetof(struct ${name}, ${field}));`,
    ),
  ])
  const values = names(header).map(
    (name) => `  printf("value ${name} %llu\\n", (unsigned long long) ${name});`,
  )
  return `#define _GNU_SOURCE
#include <time.h>
#include <sys/ioctl.h>
#include <${header}>
#include <stddef.h>
#include <stdio.h>
void probe_${index}(void) {
${[...lines, ...values].join('\n')}
}
`
}

/** What the compiler makes of every header: `sizeof pollfd`, `offsetof pollfd.fd`, `value POLLIN`. */
function askCompiler(directory: string): Map<string, number> {
  const headers = [
    ...new Set([...Object.values(STRUCTS).map(({ header }) => header), ...Object.keys(CONSTANTS)]),
  ]
  const sources = headers.map((header, index) => {
    const path = join(directory, `probe_${index}.c`)
    writeFileSync(path, translationUnit(header, index))
    return path
  })
  const main = join(directory, 'main.c')
  const probes = headers.map((_, index) => `probe_${index}`)
  writeFileSync(
    main,
    `${probes.map((probe) => `void ${probe}(void);`).join('\n')}
int main(void) { ${probes.map((probe) => `${probe}();`).join(' ')} return 0; }
`,
  )
  const program = join(directory, 'probe')
  execFileSync('cc', ['-O0', '-o', program, main, ...sources], { stdio: ['ignore', 'ignore', 'inherit'] })
  const answer = execFileSync(program, { encoding: 'utf8' })
  return new Map(
    answer
      .trimEnd()
      .split('\n')
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  )
}

t.test('nothing is left out: every constant has a header here, every structure is in STRUCTS', async (t) => {
  const listed = new Set(Object.values(CONSTANTS).flatMap((text) => text.split(/\s+/)))
  const numbers = Object.keys(OURS).filter((name) => typeof OURS[name] === 'number')
  t.ok(numbers.length > 90)
  t.same(
    numbers.filter((name) => !listed.has(name)),
    [],
  )
  const layouts = Object.entries(structs).filter(([, it]) => 'header' in it)
  t.same(Object.fromEntries(layouts), STRUCTS)
})

const compiler = spawnSync('cc', ['--version']).status === 0
const skip = compiler || process.env.CI === 'true' ? false : 'there is no C compiler (cc) here'

t.test('the C compiler says the same', { skip }, async (t) => {
  if (!compiler) throw new Error('there is no C compiler (cc), and CI must have one')
  const truth = askCompiler(t.testdir())

  t.test('of every structure: its size and the offset of every field', async (t) => {
    for (const [name, { size, fields }] of Object.entries(STRUCTS)) {
      const actual = truth.get(`sizeof ${name}`) ?? Number.NaN
      if (GROWING.has(name)) t.ok(actual >= size, `sizeof(struct ${name}) is at least ${size}`)
      else t.equal(size, actual, `sizeof(struct ${name})`)
      for (const [field, offset] of Object.entries(fields)) {
        t.equal(offset, truth.get(`offsetof ${name}.${field}`), `offsetof(struct ${name}, ${field})`)
      }
    }
  })

  t.test('of every constant: its value', async (t) => {
    for (const [name, value] of Object.entries(OURS)) {
      if (typeof value === 'number') t.equal(value, truth.get(`value ${name}`), name)
    }
  })
})
