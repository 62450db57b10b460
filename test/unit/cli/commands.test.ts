import { Command } from 'commander'
import t from 'tap'
import { COMMANDS } from '../../../src/cli/commands.js'
import { allCommands } from '../../../src/cli/complete.js'

t.test('every flag and every argument of every command is described', async (t) => {
  const program = new Command()
  for (const load of Object.values(COMMANDS)) (await load())(program)
  t.same(program.commands.map((command) => command.name()).sort(), Object.keys(COMMANDS).sort())
  const parts = allCommands(program).flatMap(([name, command]) => [
    ...command.options.map(({ flags, description }) => ({ part: `${name} ${flags}`, description })),
    ...command.registeredArguments.map((it) => ({
      part: `${name} ${it.name()}`,
      description: it.description,
    })),
  ])
  t.ok(parts.length > 30)
  t.same(
    parts.filter(({ description }) => description.length < 10).map(({ part }) => part),
    [],
  )
})

t.test('reload says what SIGHUP does to a tunnel without a file', async (t) => {
  const program = new Command()
  ;(await COMMANDS.reload())(program)
  t.match(
    program.commands[0].description(),
    /SIGHUP does the same\. .* without a file .* SIGHUP ends the tunnel\.$/,
  )
})

t.test('every command about a running tunnel takes its device in the same way', async (t) => {
  for (const name of ['status', 'peers', 'top', 'fdb', 'reload', 'doctor', 'report']) {
    const program = new Command()
    ;(await COMMANDS[name]())(program)
    const [command] = program.commands
    t.equal(command.registeredArguments[0]?.name(), 'device', name)
    t.ok(
      command.options.some(({ long }) => long === '--dev'),
      name,
    )
  }
})
