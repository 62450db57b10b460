import t from 'tap'
import { parseTable, tableNamed } from '../../../src/config/route-tables.js'

t.test('a name is looked up as ip(8) does it', async (t) => {
  const folder = t.testdir({
    etc: {
      rt_tables:
        '#\n# reserved\n#\n255\tlocal\n0\tunspec\n\n  100 office # ours\n0x1F4 branch\nno number\n7 7up\n8 eight\n',
      'rt_tables.d': {
        'a.conf': '300 home\n301 office\n',
        'b.txt': '302 text\n',
        '.c.conf': '303 hidden\n',
      },
    },
    usr: {
      rt_tables: '400 vendor\n',
      'rt_tables.d': { 'a.conf': '401 replaced\n', 'd.conf': '402 more\n' },
    },
  })
  const directories = [`${folder}/etc`, `${folder}/none`, `${folder}/usr`]
  const names = {
    office: 100,
    branch: 500,
    '7up': 7,
    eight: 8,
    home: 300,
    more: 402,
    Office: undefined,
    text: undefined,
    hidden: undefined,
    vendor: undefined,
    replaced: undefined,
    number: undefined,
    '': undefined,
  }
  for (const [name, table] of Object.entries(names)) t.equal(tableNamed(name, directories), table, name)
  t.equal(tableNamed('vendor', [`${folder}/none`, `${folder}/usr`]), 400)
  t.equal(tableNamed('office', []), undefined)
})

t.test('a table by a number, or by a name that every host has', async (t) => {
  t.equal(parseTable('Auto'), 'auto')
  t.equal(parseTable('OFF'), 'off')
  t.equal(parseTable('main'), 254)
  t.equal(parseTable('Default'), 253)
  t.equal(parseTable('0x1f4'), 500)
  t.equal(parseTable('4294967295'), 4_294_967_295)
  for (const text of ['0', '4294967296', '-1', '1.5', 'no-such-name', 'unspec'])
    t.throws(() => parseTable(text), {
      message: /^"\S+" is not a table; use auto, .*\/etc\/iproute2\/rt_tables$/,
    })
})
