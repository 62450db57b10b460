import { readFileSync } from 'node:fs'
import t from 'tap'
import { cleanFileMappings, freeFilePages } from '../../../src/linux/file-pages.js'

const smaps = (range: string, rights: string, path: string, anonymousKb: number) =>
  `${range} ${rights} 00000000 fe:00 260689   ${path}\nSize: 4 kB\nRss: 4 kB\nAnonymous: ${anonymousKb} kB\nVmFlags: rd mr mw me\n`

t.test('only what nothing has written to, and what a file has, is given back', async (t) => {
  const text = [
    smaps('00400000-00401000', 'r--p', '/usr/bin/node', 0),
    smaps('00401000-00409000', 'r-xp', '/usr/bin/node', 0),
    smaps('00409000-0040a000', 'r--p', '/usr/bin/node', 8),
    smaps('0040a000-0040b000', 'rw-p', '/usr/bin/node', 0),
    smaps('7f0000000000-7f0000001000', 'r-xp', '', 0),
    smaps('7f0000001000-7f0000002000', 'r--s', '/dev/shm/shared', 0),
    smaps('7f0000002000-7f0000003000', '---p', '/usr/lib/libm.so.6', 0),
    smaps('7f0000003000-7f0000005000', 'r-xp', '/opt/my node/libc (deleted)', 0),
    smaps('7fff00000000-7fff00001000', 'r-xp', '[vdso]', 0),
  ].join('')
  t.same(cleanFileMappings(text), [
    { start: 0x400000n, bytes: 0x1000 },
    { start: 0x401000n, bytes: 0x8000 },
    { start: 0x7f0000003000n, bytes: 0x2000 },
  ])
  t.same(cleanFileMappings(''), [])
})

t.test('this process gives back the pages of its files, and goes on', async (t) => {
  const fileKb = () => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1])
  const before = fileKb()
  freeFilePages()
  const after = fileKb()
  t.comment(`${before} kB before, ${after} kB after`)
  t.ok(after < 0.6 * before, 'less than six tenths of them are left')
})
