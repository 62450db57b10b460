import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT, CHECKOUT_INSIDE, type Machine } from './machine.js'

/** Where the unit is put. */
export const UNIT_INSIDE = '/etc/systemd/system/udptun-fast@.service'

/** Puts the checkout's programs and its unit into a machine. */
export async function install(machine: Machine): Promise<void> {
  for (const [name, file] of [
    ['udptun-fast', 'main'],
    ['udptun-fast-wg', 'wg'],
  ])
    await machine.write(
      `/usr/local/bin/${name}`,
      `#!/bin/sh\nexec ${process.execPath} ${CHECKOUT_INSIDE}/dist/\${FROM:-program}/cli/${file}.js "$@"\n`,
      '0755',
    )
  const unit = join(CHECKOUT, 'packaging/systemd/udptun-fast@.service')
  await machine.write(UNIT_INSIDE, readFileSync(unit, 'utf8'))
  await machine.ok('systemctl', 'daemon-reload')
}
