import { EventEmitter, once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { isEmrError } from '#emrchain/errors.js'
import { createTransactionAnnouncer, DEFAULT_ANNOUNCER_LIMITS } from '#emrchain/network/transaction-announcer.js'

/** An announcer whose announcements wait until the test answers them, one after another. */
function setUp(limits: Partial<typeof DEFAULT_ANNOUNCER_LIMITS> = {}) {
  const sent: (readonly string[])[] = []
  const failures: unknown[] = []
  const answers: (() => void)[] = []
  const events = new EventEmitter()
  const announcer = createTransactionAnnouncer(
    (_, ids) => {
      sent.push(ids)
      events.emit('sent')
      return new Promise((answer) => answers.push(answer))
    },
    (_, error) => failures.push(isEmrError(error) ? error.code : error),
    { ...DEFAULT_ANNOUNCER_LIMITS, gap: 3_600_000, ...limits },
  )
  return {
    sent,
    failures,
    tell: (...ids: string[]) => Promise.all(ids.map((id) => announcer.tell('peer', id))),
    has: (id: string) => announcer.has('peer', id),
    next: () => once(events, 'sent'),
    answer: () => answers.shift()?.(),
  }
}

t.test('what comes while the peer has not answered goes together', async (t) => {
  const { sent, tell, has, next, answer } = setUp()
  const first = next()
  const told = tell('a', 'b')
  await first
  t.same(sent, [['a', 'b']], 'at once, and what came in one go')
  const [later, known] = [tell('c', 'd', 'd'), tell('e')]
  has('e')
  await known
  const second = next()
  answer()
  await Promise.all([told, second])
  t.same(sent.slice(1), [['c', 'd']], 'each once, but for what the peer told of itself')
  answer()
  await later
  const third = next()
  void tell('f')
  await third
  t.same(sent.slice(2), [['f']])
})

t.test('a peer that is slow is told of more beside it, of many at once and of few after a while', async (t) => {
  const many = setUp({ many: 3, atOnce: 2 })
  for (const ids of [['a'], ['b', 'c', 'd']]) {
    const next = many.next()
    void many.tell(...ids)
    await next
  }
  void many.tell('e', 'f', 'g')
  const last = many.next()
  t.same(many.sent, [['a'], ['b', 'c', 'd']], 'no more than two at a time')
  many.answer()
  await last
  t.same(many.sent.slice(2), [['e', 'f', 'g']])

  const few = setUp({ gap: 1 })
  for (const id of ['a', 'b']) {
    const next = few.next()
    void few.tell(id)
    await next
  }
  t.same(few.sent, [['a'], ['b']])
})

t.test('of what is too much for a peer it is not told', async (t) => {
  const { sent, failures, tell, next, answer } = setUp({ waiting: 2 })
  const first = next()
  void tell('a')
  await first
  const told = tell('b', 'c')
  await tell('d')
  t.same(failures, ['peer_timeout'])
  const second = next()
  answer()
  await second
  answer()
  await told
  t.same(sent, [['a'], ['b', 'c']])
})

t.test('a peer that is told again and again is told less often, and of more at a time', async (t) => {
  const { sent, tell, next, answer } = setUp({ burst: 2, gap: 50 })
  for (const id of ['a', 'b']) {
    const begun = next()
    const told = tell(id)
    await begun
    answer()
    await told
  }
  const begun = next()
  void tell('c')
  await setImmediate()
  void tell('d')
  t.same(sent, [['a'], ['b']])
  await begun
  t.same(sent.slice(2), [['c', 'd']])
})
