import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import type { MachineDescription } from './results.js'

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

/** The machine on which the figures were measured. */
export function describeMachine(): MachineDescription {
  return {
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(readText('/etc/os-release'))?.[1] ?? 'Linux',
    kernel: release(),
    architecture: arch(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    virtual: /^flags\s*:.*\bhypervisor\b/m.test(readText('/proc/cpuinfo')),
    node: process.version,
    tcpCongestionControl: readText('/proc/sys/net/ipv4/tcp_congestion_control') || 'unknown',
    loadAverage: loadavg()[0],
  }
}
