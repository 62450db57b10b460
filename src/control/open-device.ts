import { vxlanOf } from '../config/vxlan.js'
import { outerDsMask } from '../wire/ecn.js'
import type { Device } from './device.js'
import { enableOffloads } from './offload.js'
import type { Parts, PartsOptions } from './parts.js'
import type { Resources } from './resources.js'

/** Makes the device, tells the workers what they must know, and starts them. @throws UserError */
export async function openDevice(
  { settings, platform }: PartsOptions,
  { addresses, channel, datapath, device, peerRows, peers, privateSide, tables }: Parts,
  resources: Resources,
): Promise<Device> {
  const opened = device.open(platform)
  addresses.setOwnMac(opened.mac)
  peers.configure()
  datapath.open(opened)
  enableOffloads(tables.offloads, opened, platform.socket, settings.offload === 'auto')
  resources.defer(() => platform.workers.stop())
  await platform.workers.start({
    mode: settings.mode,
    dsMask: outerDsMask(settings.tos),
    relay: settings.relay,
    vxlan: vxlanOf(settings),
    keys: privateSide?.ownKey.handshakeKeys,
    warmUp: settings.warm_up === 'auto',
  })
  resources.defer(() => peerRows.close())
  resources.defer(() => channel.close())
  return opened
}
