import { readFileSync } from 'node:fs'
import t from 'tap'
import { cleanMappings, freeFilePages } from '../../../src/linux/file-pages.js'

const NODE = '/usr/bin/node'

const mapping = (range: string, rights: string, path: string, { anonymousKb = 0, swapKb = 0 } = {}) =>
  `${range} ${rights} 00000000 fe:00 260689   ${path}\nSize: 4 kB\nRss: 4 kB\nAnonymous: ${anonymousKb} kB\nSwap: ${swapKb} kB\nSwapPss: 0 kB\nVmFlags: rd mr mw me\n`

t.test('only what nothing has written to, and what the file of Node.js has, is given back', async (t) => {
  const text = [
    mapping('00400000-00401000', 'r--p', NODE),
    mapping('00401000-00409000', 'r-xp', NODE),
    mapping('00409000-0040a000', 'r--p', NODE, { anonymousKb: 8 }),
    mapping('0040a000-0040b000', 'r--p', NODE, { swapKb: 4 }),
    mapping('0040b000-0040c000', 'rw-p', NODE),
    mapping('7f0000000000-7f0000001000', 'r-xp', ''),
    mapping('7f0000001000-7f0000002000', 'r--s', NODE),
    mapping('7f0000002000-7f0000003000', '---p', NODE),
    mapping('7f0000003000-7f0000005000', 'r-xp', `${NODE} (deleted)`),
    mapping('7f0000005000-7f0000006000', 'r-xp', '/usr/lib/x86_64-linux-gnu/libc.so.6'),
    mapping('7f0000006000-7f0000007000', 'r-xp', '/usr/lib/x86_64-linux-gnu/libnode.so.115'),
    mapping('7fff00000000-7fff00001000', 'r-xp', '[vdso]'),
  ].join('')
  t.same(
    cleanMappings(text, NODE).map(({ start, bytes }) => [start, bytes]),
    [
      [0x400000n, 0x1000],
      [0x401000n, 0x8000],
      [0x7f0000003000n, 0x2000],
      [0x7f0000006000n, 0x1000],
    ],
  )
  t.same(cleanMappings('', NODE), [])
  t.same(cleanMappings(text.replaceAll(/^Swap: .*\n/gm, ''), NODE), [], 'a kernel that tells of no swap')
})

t.test('this process gives back the pages of its file, and goes on', async (t) => {
  const fileKb = () => Number(/^RssFile:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1])
  const before = fileKb()
  freeFilePages()
  const after = fileKb()
  t.comment(`${before} kB before, ${after} kB after`)
  t.ok(after < 0.6 * before, 'less than six tenths of them are left')
})
