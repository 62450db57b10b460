import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as constants from '../../../src/linux/constants.js'
import * as errno from '../../../src/linux/errno.js'
import * as structs from '../../../src/linux/structs.js'
import * as ethernet from '../../../src/wire/ethernet.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES, UDP_HEADER_BYTES } from '../../../src/wire/ip.js'
import { IPV4 } from '../../../src/wire/ipv4.js'
import { IPV6 } from '../../../src/wire/ipv6.js'
import * as tcp from '../../../src/wire/tcp.js'
import { IPPROTO_UDP, UDP } from '../../../src/wire/udp.js'

const { STRUCTS } = structs
const { ETHERNET } = ethernet
const { TCP } = tcp

/** The headers of wire/, under the names they have in C. */
const HEADERS: Readonly<Record<string, structs.StructLayout>> = {
  ethhdr: {
    header: 'linux/if_ether.h',
    size: ethernet.ETHERNET_HEADER_BYTES,
    fields: { h_dest: ETHERNET.destination, h_source: ETHERNET.source, h_proto: ETHERNET.type },
  },
  iphdr: {
    header: 'linux/ip.h',
    size: IPV4_HEADER_BYTES,
    fields: {
      tos: IPV4.tos,
      tot_len: IPV4.totalLength,
      id: IPV4.id,
      frag_off: IPV4.flagsFragment,
      ttl: IPV4.ttl,
      protocol: IPV4.protocol,
      check: IPV4.checksum,
      saddr: IPV4.source,
      daddr: IPV4.destination,
    },
  },
  ipv6hdr: {
    header: 'linux/ipv6.h',
    size: IPV6_HEADER_BYTES,
    fields: {
      payload_len: IPV6.payloadLength,
      nexthdr: IPV6.nextHeader,
      hop_limit: IPV6.hopLimit,
      saddr: IPV6.source,
      daddr: IPV6.destination,
    },
  },
  tcphdr: {
    header: 'linux/tcp.h',
    size: TCP.options,
    fields: {
      source: TCP.ports,
      seq: TCP.sequence,
      ack_seq: TCP.acknowledgment,
      window: TCP.window,
      check: TCP.checksum,
      urg_ptr: TCP.urgent,
    },
  },
  udphdr: {
    header: 'linux/udp.h',
    size: UDP_HEADER_BYTES,
    fields: { source: UDP.ports, len: UDP.length, check: UDP.checksum },
  },
}

const LAYOUTS = { ...STRUCTS, ...HEADERS }

/** Constants of wire/, under the names they have in C. */
const WIRE: Readonly<Record<string, number>> = {
  ETH_P_IP: ethernet.ETHERTYPE_IPV4,
  ETH_P_IPV6: ethernet.ETHERTYPE_IPV6,
  ETH_P_8021Q: ethernet.ETHERTYPE_VLAN,
  ETH_P_8021AD: ethernet.ETHERTYPE_QINQ,
  TH_FIN: tcp.TCP_FIN,
  TH_SYN: tcp.TCP_SYN,
  TH_RST: tcp.TCP_RST,
  TH_PUSH: tcp.TCP_PSH,
  TH_ACK: tcp.TCP_ACK,
  TH_URG: tcp.TCP_URG,
  IPPROTO_TCP: tcp.IPPROTO_TCP,
  IPPROTO_UDP,
}

/** Where the C names of constants.ts and errno.ts are declared. */
const CONSTANTS: Readonly<Record<string, string>> = {
  'fcntl.h': 'O_RDONLY O_RDWR O_NONBLOCK O_CLOEXEC F_DUPFD_CLOEXEC',
  'sys/eventfd.h': 'EFD_NONBLOCK EFD_CLOEXEC',
  'sys/mman.h': 'MADV_DONTNEED MADV_DONTDUMP MLOCK_ONFAULT',
  'sys/resource.h': 'RLIMIT_CORE',
  'netdb.h': 'GAI_NOWAIT',
  'malloc.h': 'M_ARENA_MAX',
  'poll.h': 'POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL',
  'sys/socket.h': `AF_UNSPEC AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_NONBLOCK
    SOCK_CLOEXEC SOL_SOCKET SOL_RAW SO_ERROR SO_PASSCRED SO_PEERCRED SCM_CREDENTIALS SO_BINDTODEVICE SO_MARK SO_NETNS_COOKIE SO_ATTACH_FILTER SO_SNDBUF SO_RCVBUF SO_SNDBUFFORCE SO_RCVBUFFORCE SO_MEMINFO MSG_TRUNC
    MSG_DONTWAIT MSG_ERRQUEUE MSG_NOSIGNAL SOL_NETLINK`,
  'sys/file.h': 'LOCK_EX LOCK_NB',
  'linux/sock_diag.h': 'SK_MEMINFO_DROPS',
  'linux/sockios.h': 'SIOCOUTQ',
  'netinet/in.h': `IPPROTO_ICMP IPPROTO_ICMPV6 IPPROTO_TCP IPPROTO_UDP SOL_ICMPV6 SOL_IP IP_TOS IP_RECVTOS IP_PKTINFO IP_MTU_DISCOVER IP_FREEBIND IP_RECVERR IP_MTU IP_PMTUDISC_PROBE
    IP_PMTUDISC_DO IP_PMTUDISC_OMIT SOL_IPV6 IPV6_MTU_DISCOVER IPV6_RECVERR IPV6_MTU IPV6_V6ONLY IPV6_PMTUDISC_DONT
    IPV6_PMTUDISC_DO IPV6_PMTUDISC_PROBE IPV6_DONTFRAG IPV6_RECVPKTINFO IPV6_PKTINFO IPV6_RECVTCLASS IPV6_TCLASS`,
  'linux/icmp.h': 'ICMP_FILTER',
  'linux/icmpv6.h': 'ICMPV6_FILTER',
  'linux/bpf_common.h': 'BPF_LD BPF_LDX BPF_JMP BPF_RET BPF_H BPF_B BPF_ABS BPF_IND BPF_MSH BPF_JEQ BPF_JSET',
  'linux/bpf.h': `BPF_MAP_CREATE BPF_MAP_LOOKUP_ELEM BPF_MAP_UPDATE_ELEM BPF_MAP_DELETE_ELEM BPF_MAP_GET_NEXT_KEY BPF_PROG_LOAD BPF_PROG_TEST_RUN BPF_PROG_GET_NEXT_ID BPF_PROG_GET_FD_BY_ID BPF_OBJ_GET_INFO_BY_FD BPF_MAP_LOOKUP_AND_DELETE_ELEM BPF_LINK_CREATE BPF_ENABLE_STATS BPF_MAP_TYPE_HASH BPF_MAP_TYPE_ARRAY BPF_MAP_TYPE_PERCPU_ARRAY BPF_MAP_TYPE_LPM_TRIE BPF_MAP_TYPE_QUEUE BPF_F_NO_PREALLOC BPF_PROG_TYPE_SCHED_CLS BPF_STATS_RUN_TIME BPF_FUNC_map_lookup_elem BPF_FUNC_l3_csum_replace BPF_FUNC_skb_store_bytes BPF_FUNC_redirect BPF_FUNC_skb_load_bytes BPF_FUNC_skb_pull_data BPF_FUNC_skb_change_head BPF_FUNC_skb_adjust_room BPF_FUNC_map_push_elem BPF_FUNC_redirect_neigh BPF_FUNC_ktime_get_coarse_ns BPF_FUNC_csum_level BPF_FUNC_get_hash_recalc BPF_ADJ_ROOM_MAC BPF_F_ADJ_ROOM_FIXED_GSO BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 BPF_F_ADJ_ROOM_ENCAP_L4_UDP BPF_F_ADJ_ROOM_ENCAP_L2_ETH BPF_ADJ_ROOM_ENCAP_L2_SHIFT BPF_F_RECOMPUTE_CSUM BPF_F_INVALIDATE_HASH BPF_F_INGRESS`,
  'linux/pkt_cls.h': 'TC_ACT_OK TC_ACT_SHOT TC_ACT_REDIRECT',
  'linux/fib_rules.h':
    'FIB_RULE_INVERT FR_ACT_TO_TBL FRA_PRIORITY FRA_FWMARK FRA_SUPPRESS_PREFIXLEN FRA_TABLE FRA_FWMASK',
  'linux/errqueue.h': 'SO_EE_ORIGIN_LOCAL SO_EE_ORIGIN_ICMP SO_EE_ORIGIN_ICMP6',
  'linux/if_ether.h': 'ETH_P_IP ETH_P_IPV6 ETH_P_8021Q ETH_P_8021AD',
  'netinet/tcp.h': 'TH_FIN TH_SYN TH_RST TH_PUSH TH_ACK TH_URG',
  'netinet/udp.h': 'SOL_UDP',
  'linux/udp.h': 'UDP_NO_CHECK6_RX UDP_SEGMENT UDP_GRO',
  'linux/virtio_net.h': `VIRTIO_NET_HDR_F_NEEDS_CSUM VIRTIO_NET_HDR_GSO_NONE VIRTIO_NET_HDR_GSO_TCPV4
    VIRTIO_NET_HDR_GSO_TCPV6 VIRTIO_NET_HDR_GSO_UDP_L4 VIRTIO_NET_HDR_GSO_ECN`,
  'linux/if_tun.h': `TUNSETIFF TUNSETOFFLOAD TUNSETVNETHDRSZ IFF_TUN IFF_TAP IFF_NO_PI IFF_VNET_HDR IFF_MULTI_QUEUE TUN_F_CSUM
    TUN_F_TSO4 TUN_F_TSO6 TUN_F_TSO_ECN TUN_F_USO4 TUN_F_USO6`,
  'net/if.h': 'IFNAMSIZ IFF_UP',
  'linux/netlink.h': `NETLINK_ROUTE NETLINK_XFRM NETLINK_NETFILTER NETLINK_GET_STRICT_CHK NLMSG_ERROR NLMSG_DONE NLM_F_REQUEST NLM_F_ACK NLM_F_DUMP
    NLM_F_EXCL NLM_F_CREATE NLA_F_NESTED`,
  'linux/rtnetlink.h': `RTMGRP_LINK RTMGRP_IPV4_IFADDR RTMGRP_IPV4_ROUTE RTMGRP_IPV6_IFADDR RTMGRP_IPV6_ROUTE
    RTM_NEWLINK RTM_GETLINK RTM_NEWADDR RTM_DELADDR RTM_GETADDR RTM_NEWROUTE RTM_DELROUTE RTM_GETROUTE RTM_NEWRULE RTM_DELRULE RTM_GETRULE RTM_GETNEIGH RTM_GETQDISC RTM_GETTFILTER TCA_KIND TCA_STATS2
    RTA_DST RTA_SRC RTA_OIF RTA_GATEWAY RTA_PREFSRC RTA_TABLE RTA_MARK RTA_VIA RTA_IP_PROTO RTA_SPORT RTA_DPORT RT_TABLE_UNSPEC RT_TABLE_MAIN RTPROT_BOOT RTPROT_STATIC RT_SCOPE_UNIVERSE RT_SCOPE_LINK RTN_UNICAST RTN_LOCAL
    RTN_BROADCAST RTN_ANYCAST RTN_MULTICAST`,
  'linux/if_link.h': `IFLA_ADDRESS IFLA_IFNAME IFLA_MTU IFLA_LINK IFLA_MASTER IFLA_LINKINFO IFLA_STATS64 IFLA_NET_NS_FD
    IFLA_LINK_NETNSID IFLA_PERM_ADDRESS
    IFLA_INFO_KIND IFLA_INFO_DATA IFLA_VXLAN_GROUP IFLA_VXLAN_GROUP6 IFLA_GENEVE_REMOTE IFLA_GENEVE_REMOTE6
    IFLA_TUN_TYPE IFLA_TUN_MULTI_QUEUE IFLA_TUN_NUM_QUEUES`,
  'linux/if_tunnel.h': 'IFLA_GRE_REMOTE IFLA_IPTUN_REMOTE IFLA_VTI_REMOTE',
  'linux/capability.h': 'CAP_NET_ADMIN',
  'linux/xfrm.h':
    'XFRM_MSG_NEWPOLICY XFRM_MSG_GETPOLICY XFRM_POLICY_IN XFRM_POLICY_OUT XFRM_POLICY_FWD XFRMA_IF_ID',
  'linux/netfilter/nfnetlink.h': 'NFNETLINK_V0 NFNL_SUBSYS_CTNETLINK',
  'linux/netfilter/nfnetlink_conntrack.h': `IPCTNL_MSG_CT_GET IPCTNL_MSG_CT_DELETE CTA_TUPLE_ORIG CTA_STATUS CTA_TUPLE_IP
    CTA_TUPLE_PROTO CTA_IP_V4_SRC CTA_IP_V4_DST CTA_IP_V6_SRC CTA_IP_V6_DST CTA_PROTO_NUM CTA_PROTO_SRC_PORT
    CTA_PROTO_DST_PORT`,
  'linux/netfilter/nf_conntrack_common.h': 'IPS_NAT_MASK',
  'linux/neighbour.h': 'NDA_DST NDA_LLADDR NUD_REACHABLE NUD_STALE NUD_DELAY NUD_PROBE NUD_PERMANENT',
  'linux/gen_stats.h': 'TCA_STATS_QUEUE',
  'linux/pkt_sched.h': 'TC_H_ROOT TC_H_CLSACT TC_H_MIN_EGRESS',
  'linux/veth.h': 'VETH_INFO_PEER',
  'linux/if_addr.h': `IFA_ADDRESS IFA_LOCAL IFA_FLAGS IFA_F_SECONDARY IFA_F_NODAD IFA_F_OPTIMISTIC IFA_F_DADFAILED
    IFA_F_DEPRECATED IFA_F_TENTATIVE`,
  'sched.h': 'CLONE_NEWNET',
  'sys/prctl.h': 'PR_SET_PDEATHSIG PR_SET_DUMPABLE',
  'time.h': 'CLOCK_BOOTTIME',
  'errno.h': Object.keys(errno)
    .filter((name) => /^E[A-Z\d]+$/.test(name))
    .join(' '),
}

/** Macros of Linux 5.14 and 6.2, which older headers lack; musl has the former of its own. */
const NEW = new Set(['SO_NETNS_COOKIE', 'TUN_F_USO4', 'TUN_F_USO6', 'VIRTIO_NET_HDR_GSO_UDP_L4'])

/** Structures that the kernel appends to: at least as long as this program takes them to be. */
const GROWING = new Set(['rtnl_link_stats64', '__sk_buff'])

/** What only glibc has. */
const GLIBC = new Set(['gaicb', 'GAI_NOWAIT', 'M_ARENA_MAX'])

interface Compiler {
  readonly what: string
  /** The compiler, and what runs its programs here. */
  readonly command: readonly [string, ...string[]]
  readonly runner: readonly string[]
}

/** This machine's, and those of `test/others/fetch.sh`. musl-gcc does not look for the kernel's headers itself. */
const COMPILERS: readonly Compiler[] = [
  { what: 'this machine', command: ['cc'], runner: [] },
  {
    what: 'musl',
    command: ['musl-gcc', '-idirafter', '/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu'],
    runner: [],
  },
  { what: 'arm64', command: ['aarch64-linux-gnu-gcc', '-static'], runner: ['qemu-aarch64-static'] },
]

const OURS: Readonly<Record<string, unknown>> = { ...constants, ...errno, ...WIRE }

const names = (header: string) => (CONSTANTS[header] ?? '').split(/\s+/).filter((name) => name in OURS)

/**
 * One translation unit a header, so that those that cannot be included together need not be. Some lean on
 * what others declare: errqueue.h on `struct timespec`, if_tun.h on the macros that make an ioctl's number.
 */
function translationUnit(header: string, index: number): string {
  const structs = Object.entries(LAYOUTS).filter(([, it]) => it.header === header)
  const lines = structs.flatMap(([name, { fields }]) => [
    ...(GLIBC.has(name) ? ['#ifdef __GLIBC__'] : []),
    `  printf("sizeof ${name} %zu\\n", sizeof(struct ${name}));`,
    ...Object.keys(fields).map(
      (field) => `  printf("offsetof ${name}.${field} %zu\\n", offsetof(struct ${name}, ${field}));`,
    ),
    ...(GLIBC.has(name) ? ['#endif'] : []),
  ])
  const values = names(header).map((name) => {
    const line = `  printf("value ${name} %lld\\n", (long long) ${name});`
    return NEW.has(name) || GLIBC.has(name) ? `#ifdef ${name}\n${line}\n#endif` : line
  })
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
function askCompiler({ command, runner }: Compiler, directory: string): Map<string, number> {
  const headers = [
    ...new Set([...Object.values(LAYOUTS).map(({ header }) => header), ...Object.keys(CONSTANTS)]),
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
  const [cc, ...flags] = command
  execFileSync(cc, ['-O0', ...flags, '-o', program, main, ...sources], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const [first, ...rest] = [...runner, program]
  const answer = execFileSync(first, rest, { encoding: 'utf8' })
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

const isHere = (command: string | undefined) =>
  command === undefined || spawnSync(command, ['--version']).error === undefined

for (const compiler of COMPILERS) {
  const { what, command, runner } = compiler
  const there = isHere(command[0]) && isHere(runner[0])
  const isNeeded = process.env.CI === 'true' && command[0] === 'cc'
  const skip = there || isNeeded ? false : `there is no ${command[0]} here`

  t.test(`the C compiler of ${what} says the same`, { skip }, async (t) => {
    if (!there) throw new Error('there is no C compiler (cc), and CI must have one')
    const truth = askCompiler(compiler, t.testdir())
    const isOurs = (name: string) => what !== 'musl' || !GLIBC.has(name)

    t.test('of every structure and header: its size and the offset of every field', async (t) => {
      for (const [name, { size, fields }] of Object.entries(LAYOUTS)) {
        if (!isOurs(name)) continue
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
        if (typeof value !== 'number' || !isOurs(name)) continue
        const actual = truth.get(`value ${name}`)
        if (actual === undefined && NEW.has(name)) t.comment(`the headers here are too old for ${name}`)
        else t.equal(value, actual, name)
      }
    })
  })
}
