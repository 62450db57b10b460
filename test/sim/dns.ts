import type { ServiceRecord } from '../../src/control/platform.js'
import type { SimTime } from './clock.js'
import { isIpv6 } from './network.js'

/** What the name servers say of a name. */
export interface SimName {
  readonly addresses?: readonly string[]
  /** Of a service. */
  readonly services?: readonly ServiceRecord[]
  /** The error instead: `ENOTFOUND`, or `EAI_AGAIN` while no server answers. */
  readonly code?: string
  readonly delayMs?: number
}

/** Names of a simulated network. They may change at any time. */
export class SimDns {
  readonly #time: SimTime
  readonly #names = new Map<string, SimName>()
  /** How often each name was asked for. */
  readonly asked = new Map<string, number>()

  constructor(time: SimTime) {
    this.#time = time
  }

  set(name: string, says: SimName): void {
    this.#names.set(name, says)
  }

  async services(name: string): Promise<readonly ServiceRecord[]> {
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1)
    await this.#time.sleep(this.#names.get(name)?.delayMs ?? 10)
    const { services, code = 'ENOTFOUND' } = this.#names.get(name) ?? {}
    if (services !== undefined) return services
    throw Object.assign(new Error(`querySrv ${code} ${name}`), { code })
  }

  /** The answer is the one that holds when it comes. @throws the resolver's error, with its `code` */
  async lookup(name: string, ipv4Only: boolean): Promise<readonly string[]> {
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1)
    await this.#time.sleep(this.#names.get(name)?.delayMs ?? 10)
    const { addresses = [], code } = this.#names.get(name) ?? {}
    const usable = addresses.filter((address) => !(ipv4Only && isIpv6(address)))
    if (code === undefined && usable.length > 0) return usable
    throw Object.assign(new Error(`getaddrinfo ${code ?? 'ENOTFOUND'} ${name}`), {
      code: code ?? 'ENOTFOUND',
    })
  }
}
