/**
 * Numbers of the kernel's interface, with the names and headers of the kernel. They are of the Linux uapi,
 * 64-bit, in the generic numbering that x86-64 and arm64 share.
 */

// <fcntl.h>, <sys/file.h>, <sys/eventfd.h>
export const O_RDONLY = 0o0
export const O_RDWR = 0o2
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000
export const F_DUPFD_CLOEXEC = 1030
export const LOCK_EX = 2
export const LOCK_NB = 4
export const EFD_NONBLOCK = O_NONBLOCK
export const EFD_CLOEXEC = O_CLOEXEC

// <sys/mman.h>
export const MADV_DONTNEED = 4
export const MADV_DONTDUMP = 16
export const MLOCK_ONFAULT = 1

// glibc's <malloc.h>
export const M_ARENA_MAX = -8

// <sys/resource.h>
export const RLIMIT_CORE = 4

// <poll.h>
export const POLLIN = 0x1
export const POLLPRI = 0x2
export const POLLOUT = 0x4
export const POLLERR = 0x8
export const POLLHUP = 0x10
export const POLLNVAL = 0x20

// <netdb.h>
export const GAI_NOWAIT = 1

// <sys/socket.h>
export const AF_UNSPEC = 0
export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const AF_PACKET = 17
export const AF_NETLINK = 16
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = O_NONBLOCK
export const SOCK_CLOEXEC = O_CLOEXEC
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_PASSCRED = 16
export const SO_PEERCRED = 17
export const SO_BINDTODEVICE = 25
export const SO_MARK = 36
export const SO_NETNS_COOKIE = 71
export const SO_ERROR = 4
export const SO_ATTACH_FILTER = 26
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const SO_MEMINFO = 55
/** Index of the drop count in the array of u32 that `SO_MEMINFO` returns (<linux/sock_diag.h>). */
export const SK_MEMINFO_DROPS = 8
// <linux/sockios.h>: bytes that wait in the send buffer (udp(7)).
export const SIOCOUTQ = 0x5411
export const SCM_CREDENTIALS = 2
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const MSG_ERRQUEUE = 0x2000
export const MSG_NOSIGNAL = 0x4000

// <linux/in.h>, <linux/in6.h>
export const SOL_IP = 0
export const IP_TOS = 1
export const IP_PKTINFO = 8
export const IP_MTU_DISCOVER = 10
export const IP_RECVERR = 11
export const IP_RECVTOS = 13
export const IP_FREEBIND = 15
export const IP_MTU = 14
export const IP_PMTUDISC_DO = 2
export const IP_PMTUDISC_PROBE = 3
export const IP_PMTUDISC_OMIT = 5
export const SOL_IPV6 = 41
export const IPV6_MTU_DISCOVER = 23
export const IPV6_MTU = 24
export const IPV6_RECVERR = 25
export const IPV6_V6ONLY = 26
export const IPV6_RECVPKTINFO = 49
export const IPV6_PKTINFO = 50
export const IPV6_PMTUDISC_DONT = 0
export const IPV6_PMTUDISC_DO = 2
export const IPV6_PMTUDISC_PROBE = 3
export const IPV6_DONTFRAG = 62
export const IPV6_RECVTCLASS = 66
export const IPV6_TCLASS = 67

// <linux/in.h>, <linux/icmp.h>, <linux/icmpv6.h>
export const SOL_RAW = 255
export const ICMP_FILTER = 1
export const SOL_ICMPV6 = 58
export const ICMPV6_FILTER = 1

// <linux/bpf_common.h>
export const BPF_LD = 0x00
export const BPF_LDX = 0x01
export const BPF_JMP = 0x05
export const BPF_RET = 0x06
export const BPF_H = 0x08
export const BPF_B = 0x10
export const BPF_ABS = 0x20
export const BPF_IND = 0x40
export const BPF_MSH = 0xa0
export const BPF_JEQ = 0x10
export const BPF_JSET = 0x40

// <linux/bpf.h>
export const BPF_MAP_CREATE = 0
export const BPF_MAP_LOOKUP_ELEM = 1
export const BPF_MAP_UPDATE_ELEM = 2
export const BPF_MAP_DELETE_ELEM = 3
export const BPF_MAP_GET_NEXT_KEY = 4
export const BPF_PROG_LOAD = 5
export const BPF_PROG_TEST_RUN = 10
export const BPF_PROG_GET_NEXT_ID = 11
export const BPF_PROG_GET_FD_BY_ID = 13
export const BPF_OBJ_GET_INFO_BY_FD = 15
export const BPF_MAP_LOOKUP_AND_DELETE_ELEM = 21
export const BPF_LINK_CREATE = 28
export const BPF_ENABLE_STATS = 32
export const BPF_MAP_TYPE_HASH = 1
export const BPF_MAP_TYPE_ARRAY = 2
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6
export const BPF_MAP_TYPE_LPM_TRIE = 11
export const BPF_MAP_TYPE_QUEUE = 22
export const BPF_F_NO_PREALLOC = 1
export const BPF_PROG_TYPE_SCHED_CLS = 3
export const BPF_STATS_RUN_TIME = 0
export const BPF_FUNC_map_lookup_elem = 1
export const BPF_FUNC_l3_csum_replace = 10
export const BPF_FUNC_skb_store_bytes = 9
export const BPF_FUNC_redirect = 23
export const BPF_FUNC_skb_load_bytes = 26
export const BPF_FUNC_get_hash_recalc = 34
export const BPF_FUNC_skb_pull_data = 39
export const BPF_FUNC_skb_change_head = 43
export const BPF_FUNC_skb_adjust_room = 50
export const BPF_FUNC_map_push_elem = 87
export const BPF_FUNC_csum_level = 135
export const BPF_FUNC_redirect_neigh = 152
export const BPF_FUNC_ktime_get_coarse_ns = 160
export const BPF_ADJ_ROOM_MAC = 1
export const BPF_F_ADJ_ROOM_FIXED_GSO = 0x01
export const BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 = 0x02
export const BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 = 0x04
export const BPF_F_ADJ_ROOM_ENCAP_L4_UDP = 0x10
export const BPF_F_ADJ_ROOM_ENCAP_L2_ETH = 0x40
export const BPF_ADJ_ROOM_ENCAP_L2_SHIFT = 56
export const BPF_F_RECOMPUTE_CSUM = 1
export const BPF_F_INVALIDATE_HASH = 2
export const BPF_F_INGRESS = 1

// <linux/pkt_cls.h>
export const TC_ACT_OK = 0
export const TC_ACT_SHOT = 2
export const TC_ACT_REDIRECT = 7

// <linux/errqueue.h>
export const SO_EE_ORIGIN_LOCAL = 1
export const SO_EE_ORIGIN_ICMP = 2
export const SO_EE_ORIGIN_ICMP6 = 3

// <linux/if_tun.h>, <linux/if.h>
export const TUNSETIFF = 0x400454ca
export const IFF_TUN = 0x0001
export const IFF_TAP = 0x0002
export const IFF_NO_PI = 0x1000
export const IFF_VNET_HDR = 0x4000
export const IFF_MULTI_QUEUE = 0x0100
export const TUNSETOFFLOAD = 0x400454d0
export const TUNSETVNETHDRSZ = 0x400454d8
export const TUN_F_CSUM = 0x01
export const TUN_F_TSO4 = 0x02
export const TUN_F_TSO6 = 0x04
export const TUN_F_TSO_ECN = 0x08
export const TUN_F_USO4 = 0x20
export const TUN_F_USO6 = 0x40
export const IFNAMSIZ = 16
export const IFF_UP = 0x1

// <linux/virtio_net.h>
export const VIRTIO_NET_HDR_F_NEEDS_CSUM = 1
export const VIRTIO_NET_HDR_GSO_NONE = 0
export const VIRTIO_NET_HDR_GSO_TCPV4 = 1
export const VIRTIO_NET_HDR_GSO_TCPV6 = 4
export const VIRTIO_NET_HDR_GSO_UDP_L4 = 5
export const VIRTIO_NET_HDR_GSO_ECN = 0x80

// <linux/udp.h>
export const SOL_UDP = 17
export const UDP_SEGMENT = 103
export const UDP_NO_CHECK6_RX = 102
export const UDP_GRO = 104

// <linux/netlink.h>, <linux/rtnetlink.h>, <linux/if_link.h>, <linux/if_addr.h>
export const NETLINK_ROUTE = 0
export const NETLINK_XFRM = 6
export const NETLINK_NETFILTER = 12
export const SOL_NETLINK = 270
export const NETLINK_GET_STRICT_CHK = 12
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
export const NLM_F_DUMP = 0x300
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLA_F_NESTED = 0x8000
export const RTMGRP_LINK = 0x1
export const RTMGRP_IPV4_IFADDR = 0x10
export const RTMGRP_IPV4_ROUTE = 0x40
export const RTMGRP_IPV6_IFADDR = 0x100
export const RTMGRP_IPV6_ROUTE = 0x400
export const RTM_NEWLINK = 16
export const RTM_GETLINK = 18
export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
export const RTM_GETADDR = 22
export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
export const RTM_GETROUTE = 26
export const RTM_NEWRULE = 32
export const RTM_DELRULE = 33
export const RTM_GETRULE = 34
export const RTM_GETQDISC = 38
export const RTM_GETTFILTER = 46
export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
export const IFLA_LINK = 5
export const IFLA_MASTER = 10
export const IFLA_LINKINFO = 18
export const IFLA_LINK_NETNSID = 37
export const IFLA_PERM_ADDRESS = 54
export const IFLA_STATS64 = 23
export const IFLA_NET_NS_FD = 28
export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
export const VETH_INFO_PEER = 1
// <linux/if_link.h>, <linux/if_tunnel.h>: where a tunnel sends to.
export const IFLA_VXLAN_GROUP = 2
export const IFLA_VXLAN_GROUP6 = 16
export const IFLA_GENEVE_REMOTE = 2
export const IFLA_GENEVE_REMOTE6 = 7
export const IFLA_GRE_REMOTE = 7
export const IFLA_IPTUN_REMOTE = 3
export const IFLA_VTI_REMOTE = 5
export const IFLA_TUN_TYPE = 3
export const IFLA_TUN_MULTI_QUEUE = 7
export const IFLA_TUN_NUM_QUEUES = 8
export const IFA_ADDRESS = 1
export const IFA_LOCAL = 2
export const IFA_FLAGS = 8
export const IFA_F_SECONDARY = 0x01
export const IFA_F_NODAD = 0x02
export const IFA_F_OPTIMISTIC = 0x04
export const IFA_F_DADFAILED = 0x08
export const IFA_F_DEPRECATED = 0x20
export const IFA_F_TENTATIVE = 0x40
export const RTA_DST = 1
export const RTA_SRC = 2
export const RTA_OIF = 4
export const RTA_GATEWAY = 5
export const RTA_PREFSRC = 7
export const RTA_TABLE = 15
export const RTA_MARK = 16
export const RTA_VIA = 18
export const RTA_IP_PROTO = 27
export const RTA_SPORT = 28
export const RTA_DPORT = 29
export const RTM_GETNEIGH = 30
export const RT_TABLE_MAIN = 254
export const RT_TABLE_UNSPEC = 0
export const RTPROT_BOOT = 3
export const RTPROT_STATIC = 4
export const RT_SCOPE_UNIVERSE = 0
export const RT_SCOPE_LINK = 253
export const RTN_UNICAST = 1
export const RTN_LOCAL = 2
export const RTN_BROADCAST = 3
export const RTN_ANYCAST = 4
export const RTN_MULTICAST = 5

// <linux/fib_rules.h>
export const FIB_RULE_INVERT = 0x2
export const FR_ACT_TO_TBL = 1
export const FRA_PRIORITY = 6
export const FRA_FWMARK = 10
export const FRA_SUPPRESS_PREFIXLEN = 14
export const FRA_TABLE = 15
export const FRA_FWMASK = 16

// <linux/rtnetlink.h>
export const TCA_KIND = 1
export const TCA_STATS2 = 7

// <linux/xfrm.h>
export const XFRM_MSG_NEWPOLICY = 0x13
export const XFRM_MSG_GETPOLICY = 0x15
export const XFRM_POLICY_IN = 0
export const XFRM_POLICY_OUT = 1
export const XFRM_POLICY_FWD = 2
export const XFRMA_IF_ID = 31

// <linux/netfilter/nfnetlink.h>, <linux/netfilter/nfnetlink_conntrack.h>, <linux/netfilter/nf_conntrack_common.h>
export const NFNETLINK_V0 = 0
export const NFNL_SUBSYS_CTNETLINK = 1
export const IPCTNL_MSG_CT_GET = 1
export const IPCTNL_MSG_CT_DELETE = 2
export const CTA_TUPLE_ORIG = 1
export const CTA_STATUS = 3
export const CTA_TUPLE_IP = 1
export const CTA_TUPLE_PROTO = 2
export const CTA_IP_V4_SRC = 1
export const CTA_IP_V4_DST = 2
export const CTA_IP_V6_SRC = 3
export const CTA_IP_V6_DST = 4
export const CTA_PROTO_NUM = 1
export const CTA_PROTO_SRC_PORT = 2
export const CTA_PROTO_DST_PORT = 3
export const IPS_NAT_MASK = 0x30

// <linux/neighbour.h>
export const NDA_DST = 1
export const NDA_LLADDR = 2
export const NUD_REACHABLE = 0x02
export const NUD_STALE = 0x04
export const NUD_DELAY = 0x08
export const NUD_PROBE = 0x10
export const NUD_PERMANENT = 0x80

// <linux/gen_stats.h>, <linux/pkt_sched.h>
export const TCA_STATS_QUEUE = 3
export const TC_H_ROOT = 0xffff_ffff
export const TC_H_CLSACT = 0xffff_fff1
export const TC_H_MIN_EGRESS = 0xfff3

// <linux/sched.h>, <linux/prctl.h>
export const CLONE_NEWNET = 0x40000000
export const PR_SET_PDEATHSIG = 1
export const PR_SET_DUMPABLE = 4

// <linux/time.h>
export const CLOCK_BOOTTIME = 7

/** <linux/capability.h> */
export const CAP_NET_ADMIN = 12
