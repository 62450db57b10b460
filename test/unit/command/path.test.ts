import { chownSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isOwn, places, socketName } from '../../../src/command/path.js'

t.test('the directories for sockets, each once and only absolute ones', async (t) => {
  const directories = (env: NodeJS.ProcessEnv) => places(env).map(({ directory }) => directory)
  t.same(directories({}), ['/run/udptun-fast'])
  t.same(directories({ RUNTIME_DIRECTORY: '', XDG_RUNTIME_DIR: '' }), ['/run/udptun-fast'])
  t.same(directories({ RUNTIME_DIRECTORY: '/run/udptun-fast:/run/b', XDG_RUNTIME_DIR: '/run/user/7' }), [
    '/run/udptun-fast',
    '/run/b',
    '/run/user/7/udptun-fast',
  ])
  t.same(directories({ RUNTIME_DIRECTORY: 'b', XDG_RUNTIME_DIR: 'c' }), ['/run/udptun-fast'])
})

t.test(
  'the name of a socket has the namespace of the device, and that of the tunnel if it is another one',
  async (t) => {
    t.match(socketName({ name: 'a-b.c', index: 7 }), /^\d+-7-a-b\.c\.sock$/)
    t.match(socketName({ name: 'tap0', index: 7, elsewhere: 4026 }), /^4026@\d+-7-tap0\.sock$/)
  },
)

t.test('a directory is its owner, if there is none yet that of the one above', async (t) => {
  const directory = t.testdir()
  t.ok(isOwn(join(directory, 'none', 'there')))
  chownSync(directory, 65_534, 65_534)
  t.notOk(isOwn(directory))
  t.notOk(isOwn(join(directory, 'none')))
})
