/**
 * Byte layouts of the kernel's structures on 64-bit Linux, under their C names: the size of each, and the
 * offset of every field that this program uses. A test has the C compiler confirm each number.
 */

export interface StructLayout {
  /** The header that declares it. */
  readonly header: string
  /** `sizeof`, in bytes. */
  readonly size: number
  /** `offsetof` of each field, in bytes. */
  readonly fields: Readonly<Record<string, number>>
}

function layout<F extends Record<string, number>>(header: string, size: number, fields: F) {
  return { header, size, fields, ...fields } as const
}

export const pollfd = layout('poll.h', 8, { fd: 0, events: 4, revents: 6 })

export const timespec = layout('time.h', 16, { tv_sec: 0, tv_nsec: 8 })

export const iovec = layout('sys/uio.h', 16, { iov_base: 0, iov_len: 8 })

export const msghdr = layout('sys/socket.h', 56, {
  msg_name: 0,
  msg_namelen: 8,
  msg_iov: 16,
  msg_iovlen: 24,
  msg_control: 32,
  msg_controllen: 40,
  msg_flags: 48,
})

export const mmsghdr = layout('sys/socket.h', 64, { msg_hdr: 0, msg_len: 56 })

export const cmsghdr = layout('sys/socket.h', 16, { cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 })

export const sockaddr_in = layout('netinet/in.h', 16, { sin_family: 0, sin_port: 2, sin_addr: 4 })

export const sockaddr_in6 = layout('netinet/in.h', 28, {
  sin6_family: 0,
  sin6_port: 2,
  sin6_flowinfo: 4,
  sin6_addr: 8,
  sin6_scope_id: 24,
})

export const sockaddr_un = layout('sys/un.h', 110, { sun_family: 0, sun_path: 2 })

export const ucred = layout('sys/socket.h', 12, { pid: 0, uid: 4, gid: 8 })

export const in_pktinfo = layout('netinet/in.h', 12, { ipi_ifindex: 0, ipi_spec_dst: 4, ipi_addr: 8 })

export const in6_pktinfo = layout('netinet/in.h', 20, { ipi6_addr: 0, ipi6_ifindex: 16 })

export const addrinfo = layout('netdb.h', 48, {
  ai_flags: 0,
  ai_family: 4,
  ai_socktype: 8,
  ai_protocol: 12,
  ai_addrlen: 16,
  ai_addr: 24,
  ai_canonname: 32,
  ai_next: 40,
})

/** What getaddrinfo_a(3) works on. */
export const gaicb = layout('netdb.h', 56, { ar_name: 0, ar_service: 8, ar_request: 16, ar_result: 24 })

export const sock_extended_err = layout('linux/errqueue.h', 16, {
  ee_errno: 0,
  ee_origin: 4,
  ee_type: 5,
  ee_code: 6,
  ee_info: 8,
})

export const sock_filter = layout('linux/filter.h', 8, { code: 0, jt: 2, jf: 3, k: 4 })

export const sock_fprog = layout('linux/filter.h', 16, { len: 0, filter: 8 })

/** What a program of type `BPF_PROG_TYPE_SCHED_CLS` is given. */
export const __sk_buff = layout('linux/bpf.h', 192, {
  len: 0,
  pkt_type: 4,
  mark: 8,
  vlan_present: 20,
  ifindex: 40,
  data: 76,
  data_end: 80,
  gso_segs: 164,
  gso_size: 176,
})

export const ifreq = layout('net/if.h', 40, { ifr_name: 0, ifr_flags: 16 })

/** The short form, without `num_buffers`, in native byte order. */
export const virtio_net_hdr = layout('linux/virtio_net.h', 10, {
  flags: 0,
  gso_type: 1,
  hdr_len: 2,
  gso_size: 4,
  csum_start: 6,
  csum_offset: 8,
})

export const sockaddr_nl = layout('linux/netlink.h', 12, { nl_family: 0, nl_groups: 8 })

export const sockaddr_ll = layout('linux/if_packet.h', 20, {
  sll_family: 0,
  sll_protocol: 2,
  sll_ifindex: 4,
  sll_pkttype: 10,
})

export const nlmsghdr = layout('linux/netlink.h', 16, {
  nlmsg_len: 0,
  nlmsg_type: 4,
  nlmsg_flags: 6,
  nlmsg_seq: 8,
  nlmsg_pid: 12,
})

export const nlmsgerr = layout('linux/netlink.h', 20, { error: 0 })

export const rtattr = layout('linux/rtnetlink.h', 4, { rta_len: 0, rta_type: 2 })

export const ifinfomsg = layout('linux/rtnetlink.h', 16, {
  ifi_family: 0,
  ifi_type: 2,
  ifi_index: 4,
  ifi_flags: 8,
  ifi_change: 12,
})

export const ifaddrmsg = layout('linux/if_addr.h', 8, {
  ifa_family: 0,
  ifa_prefixlen: 1,
  ifa_flags: 2,
  ifa_scope: 3,
  ifa_index: 4,
})

export const rtmsg = layout('linux/rtnetlink.h', 12, {
  rtm_family: 0,
  rtm_dst_len: 1,
  rtm_src_len: 2,
  rtm_tos: 3,
  rtm_table: 4,
  rtm_protocol: 5,
  rtm_scope: 6,
  rtm_type: 7,
  rtm_flags: 8,
})

export const fib_rule_hdr = layout('linux/fib_rules.h', 12, {
  family: 0,
  table: 4,
  action: 7,
  flags: 8,
})

/** It asks for a policy. Of a dump, the kernel ignores it. */
export const xfrm_userpolicy_id = layout('linux/xfrm.h', 64, { index: 56, dir: 60 })

/** What somebody's policy is for. Addresses have 16 bytes, of which IPv4 uses the first four; ports are big-endian. */
export const xfrm_selector = layout('linux/xfrm.h', 56, {
  daddr: 0,
  saddr: 16,
  dport: 32,
  dport_mask: 34,
  sport: 36,
  sport_mask: 38,
  family: 40,
  prefixlen_d: 42,
  prefixlen_s: 43,
  proto: 44,
  ifindex: 48,
  user: 52,
})

export const xfrm_userpolicy_info = layout('linux/xfrm.h', 168, { sel: 0, index: 156, dir: 160, action: 161 })

/** The number at its end is big-endian. */
export const nfgenmsg = layout('linux/netfilter/nfnetlink.h', 4, { nfgen_family: 0, version: 1, res_id: 2 })

export const ndmsg = layout('linux/neighbour.h', 12, {
  ndm_family: 0,
  ndm_ifindex: 4,
  ndm_state: 8,
  ndm_flags: 10,
  ndm_type: 11,
})

export const tcmsg = layout('linux/rtnetlink.h', 20, {
  tcm_family: 0,
  tcm_ifindex: 4,
  tcm_handle: 8,
  tcm_parent: 12,
  tcm_info: 16,
})

export const gnet_stats_queue = layout('linux/gen_stats.h', 20, {
  qlen: 0,
  backlog: 4,
  drops: 8,
  requeues: 12,
  overlimits: 16,
})

export const rtnl_link_stats64 = layout('linux/if_link.h', 200, {
  rx_packets: 0,
  tx_packets: 8,
  rx_bytes: 16,
  tx_bytes: 24,
  rx_errors: 32,
  tx_errors: 40,
  rx_dropped: 48,
  tx_dropped: 56,
})

/** All of them, for the test that asks the compiler. `rtnl_link_stats64` grows at its end with newer kernels. */
export const STRUCTS: Readonly<Record<string, StructLayout>> = {
  pollfd,
  timespec,
  iovec,
  msghdr,
  mmsghdr,
  cmsghdr,
  sockaddr_in,
  sockaddr_in6,
  sockaddr_un,
  ucred,
  in_pktinfo,
  in6_pktinfo,
  addrinfo,
  gaicb,
  sock_extended_err,
  sock_filter,
  sock_fprog,
  __sk_buff,
  ifreq,
  virtio_net_hdr,
  sockaddr_nl,
  sockaddr_ll,
  nlmsghdr,
  nlmsgerr,
  rtattr,
  ifinfomsg,
  ifaddrmsg,
  rtmsg,
  fib_rule_hdr,
  xfrm_userpolicy_id,
  xfrm_selector,
  xfrm_userpolicy_info,
  nfgenmsg,
  ndmsg,
  tcmsg,
  gnet_stats_queue,
  rtnl_link_stats64,
}
