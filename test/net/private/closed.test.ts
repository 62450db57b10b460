/** Somebody who has the line of an invitation, and does not join, carries nothing. */
import { join } from 'node:path'
import t from 'tap'
import { findInvitation } from '../../../src/invitation/mend.js'
import { formatKey } from '../../../src/key-text.js'
import { ok, PROGRAM, pings, run, startTunnel, until } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'

for (const mode of ['tap', 'tun'] as const)
  for (const used of [false, true])
    t.test(
      `a session by a line that is ${used ? 'used' : 'open'} lets nothing through: ${mode}`,
      async (t) => {
        using keys = new KeyFolder()
        using network = new Network(2)
        const [hubHost, thief] = network.hosts
        const device = `${mode}0`
        const { file } = keys.make('hub')
        const settings = [
          `mode: ${mode}`,
          'local: [10.9.0.1/24]',
          `private_key_file: ${file}`,
          'introduce: true',
        ]
        const hub = await startTunnel(hubHost, '--config', keys.write('office.yaml', settings.join('\n')))
        const line = (await ok(hubHost, process.execPath, PROGRAM, 'invite', 'alice')).trim()
        const directory = join(keys.path, 'alice')
        if (used) await run(thief, process.execPath, [PROGRAM, 'join', line, '--directory', directory])
        const invitation = findInvitation(line)
        if (typeof invitation === 'string') throw new Error(invitation)
        const stolen = await startTunnel(
          thief,
          '--config',
          keys.write(
            'stolen.yaml',
            [
              `mode: ${mode}`,
              'local: [10.9.0.2/24]',
              `private_key_file: ${keys.write('stolen.key', formatKey(invitation.privateKey))}`,
              `remote: ${network.underlay(0)}`,
              `public_key: ${formatKey(invitation.publicKey)}`,
              `preshared_key_file: ${keys.write('stolen.psk', formatKey(invitation.presharedKey))}`,
            ].join('\n'),
          ),
        )
        await until('there is a session', async () => {
          const { peers } = await stolen.status(device)
          return peers[0].privacy?.handshake_s != null
        })
        for (const to of [1, 2, 3]) t.notOk(await pings(thief, '10.9.0.1'), `ping ${to}`)
        await ok(hubHost, 'ping', '-c', '1', '-W', '1', '10.9.0.2').catch(() => '')
        const { drops, inbound } = await hub.status(device)
        t.ok(drops.not_allowed > 0, `${drops.not_allowed} frames were refused`)
        t.equal(inbound.frames, 0, 'none came out of the hub')
        t.equal((await stolen.status(device)).inbound.frames, 0, 'nor did the thief hear any')
        await Promise.all([hub, stolen].map((it) => it.stop()))
      },
    )
