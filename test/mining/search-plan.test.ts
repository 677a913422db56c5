import t from 'tap'
import { searchPlan } from '#emrchain/mining/search-plan.js'

t.test('what depends on the nonce, as the head comment of the plan says', async (t) => {
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at)
  const known = [16, 17, 18, 20, 22, 24]
  const scheduled = [...searchPlan.words.keys()].filter((word) => word >= 16)
  t.strictSame(
    scheduled,
    range(16, 63).filter((word) => !known.includes(word)),
  )
  const inPart = scheduled.filter((word) => searchPlan.words.get(word)?.constant !== undefined)
  t.strictSame(inPart, [19, 21, 23, ...range(25, 40)])
  const { terms } = searchPlan.words.get(19) ?? {}
  t.strictSame(terms, [{ word: 12, through: undefined }])
  t.equal(searchPlan.constants, 80)
})
