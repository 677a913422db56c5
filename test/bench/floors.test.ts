import t from 'tap'
import { figure } from '../../bench/figures.js'
import { judgeFloors } from '../../bench/floors.js'

const of = 'one thread, of the reference'
const pool = 'pool, of the reference: a second of processor time'
const prototype = 'mine_block, of the prototype: mean'

t.test('a ratio at its floor holds, one below has fallen', async (t) => {
  const both = (thread: number) => ({ signatures: [figure(of, 'times', [thread]), figure(pool, 'times', [2])] })
  t.strictSame(judgeFloors(both(1)).hold, true)
  const { lines, hold } = judgeFloors(both(0.99))
  t.equal(hold, false)
  t.strictSame(lines, [
    `FALLEN    signatures: ${of}: 0.99 times, floor 1`,
    `holds     signatures: ${pool}: 2 times, floor 0.9`,
  ])
  t.equal(judgeFloors(both(Number.NaN)).hold, false)
})

t.test('the median of the runs decides', async (t) => {
  const signatures = [figure(of, 'times', [0.1, 1.2, 1.3]), figure(pool, 'times', [0.1, 0.2, 5])]
  t.match(judgeFloors({ signatures }), { hold: false, lines: [/^holds/, /^FALLEN/] })
})

t.test('a ratio that is not there holds only where its reference could be missing', async (t) => {
  t.match(judgeFloors({ signatures: [figure(of, 'times', [2])] }), { hold: false, lines: [/^holds/, /^MISSING/] })
  const mining = [figure('fastest kernel, of createHash of the same 180 bytes', 'times', [30])]
  const { lines, hold } = judgeFloors({ mining })
  t.equal(hold, true)
  t.equal(lines.at(-1), `left out  mining: ${prototype}: needs Python 3 with Flask`)
  t.match(judgeFloors({ mining: [] }), { hold: false })
  t.strictSame(judgeFloors({ gossip: [] }), { lines: [], hold: true })
})
