import type { Host } from '../../../src/lab/host.js'
import { KernelError } from '../../../src/linux/errno.js'
import { getLink } from '../../../src/linux/interface.js'
import { bpf, lastErrno } from '../../../src/linux/libc.js'

const BPF_PROG_QUERY = 16

/** How many programs run on an interface of a host. @param where such as `BPF_TCX_INGRESS` @throws KernelError */
export function attachedTo(host: Host, device: string, where: number): number {
  const { index } = host.netlink((netlink) => getLink(netlink, device))
  // union bpf_attr, `query`: target_ifindex, attach_type, query_flags, attach_flags, prog_ids (64 bits), count
  const attributes = new Uint8Array(64)
  const view = new DataView(attributes.buffer)
  view.setUint32(0, index, true)
  view.setUint32(4, where, true)
  const result = host.run(() => bpf(BPF_PROG_QUERY, attributes, attributes.length))
  if (result < 0) throw new KernelError('bpf(query)', lastErrno())
  return view.getUint32(24, true)
}
