import t from 'tap'
import { CONGESTED, ECN, ECN_MASK, innerEcn, marksInner, outerDsMask } from '../../../src/wire/ecn.js'

const { notEct, ect0, ect1, ce } = ECN

/** RFC 6040, figure 4: for each arriving inner header, what leaves for the outer headers in {@link OUTER}. */
const OUTER = [notEct, ect0, ect1, ce]
const FIGURE_4: readonly (readonly [inner: number, outgoing: readonly number[]])[] = [
  [notEct, [notEct, notEct, notEct, CONGESTED]],
  [ect0, [ect0, ect0, ect1, ce]],
  [ect1, [ect1, ect1, ect1, ce]],
  [ce, [ce, ce, ce, ce]],
]

t.test('every combination of inner and outer ECN is decided as in RFC 6040', async (t) => {
  for (const [inner, outgoing] of FIGURE_4)
    t.same(
      OUTER.map((outer) => innerEcn(inner, outer)),
      outgoing,
      `inner ${inner}`,
    )
  t.same([...OUTER].sort(), [0, 1, 2, 3], 'the code points are those of RFC 3168')
})

t.test('what needs no look at the packet changes none', async (t) => {
  for (let outer = 0; outer < 256; outer++) {
    const changes = [0, 1, 2, 3].some((inner) => innerEcn(inner, outer & ECN_MASK) !== inner)
    t.equal(marksInner(outer), changes, `${outer}`)
  }
})

t.test('the outer header takes the ECN, and the DSCP only if asked to', async (t) => {
  t.equal(outerDsMask('off'), 0x03)
  t.equal(outerDsMask('inherit'), 0xff)
})
