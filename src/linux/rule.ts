import {
  AF_INET,
  AF_INET6,
  FIB_RULE_INVERT,
  FR_ACT_TO_TBL,
  FRA_FWMARK,
  FRA_FWMASK,
  FRA_PRIORITY,
  FRA_SUPPRESS_PREFIXLEN,
  FRA_TABLE,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  RTM_DELRULE,
  RTM_GETRULE,
  RTM_NEWRULE,
} from './constants.js'
import { type Attribute, decodeAttributes, type Netlink, u32 } from './netlink.js'
import { fib_rule_hdr } from './structs.js'

/** A rule that says which table of routes is looked at (ip-rule(8)). */
export interface Rule {
  readonly family: 'ipv4' | 'ipv6'
  /** The least number is first. */
  readonly priority: number
  readonly table: number
  /** The rule is for packets without this mark; undefined for all packets. */
  readonly notMark?: number
  /** Routes with a prefix of this length, or shorter, do not count. */
  readonly suppressPrefixLength?: number
}

const ANY_BIT = 0xffff_ffff

function headerOf(family: Rule['family']): Buffer {
  const header = Buffer.alloc(fib_rule_hdr.size)
  header.writeUInt8(family === 'ipv4' ? AF_INET : AF_INET6, fib_rule_hdr.family)
  return header
}

/** As ip-rule(8) writes it. */
function requestOf(rule: Rule): [Buffer, Attribute[]] {
  const { family, priority, table, notMark, suppressPrefixLength } = rule
  const header = headerOf(family)
  header.writeUInt8(FR_ACT_TO_TBL, fib_rule_hdr.action)
  header.writeUInt32LE(notMark === undefined ? 0 : FIB_RULE_INVERT, fib_rule_hdr.flags)
  const attributes: Attribute[] = [
    [FRA_PRIORITY, u32(priority)],
    [FRA_TABLE, u32(table)],
  ]
  if (notMark !== undefined) attributes.push([FRA_FWMARK, u32(notMark)], [FRA_FWMASK, u32(ANY_BIT)])
  if (suppressPrefixLength !== undefined) attributes.push([FRA_SUPPRESS_PREFIXLEN, u32(suppressPrefixLength)])
  return [header, attributes]
}

/** @throws KernelError (EEXIST if there is such a rule) */
export function addRule(netlink: Netlink, rule: Rule): void {
  netlink.request('RTM_NEWRULE', RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, ...requestOf(rule))
}

/** @throws KernelError (ENOENT if there is no such rule) */
export function removeRule(netlink: Netlink, rule: Rule): void {
  netlink.request('RTM_DELRULE', RTM_DELRULE, 0, ...requestOf(rule))
}

/** The priorities of all rules, the first one first. @throws KernelError */
export function rulePriorities(netlink: Netlink, family: Rule['family']): number[] {
  return netlink
    .request('RTM_GETRULE', RTM_GETRULE, NLM_F_DUMP, headerOf(family), [])
    .map(({ body }) => decodeAttributes(body.subarray(fib_rule_hdr.size)).get(FRA_PRIORITY))
    .map((priority) => priority?.readUInt32LE() ?? 0)
}
