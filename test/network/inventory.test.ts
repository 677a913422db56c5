import t from 'tap'
import { createInventory } from '#emrchain/network/inventory.js'

t.test('of each peer the newest are remembered, of the peers those heard of last', async (t) => {
  const inventory = createInventory({ ids: 16, peers: 8 })
  const ids = Array.from({ length: 17 }, (_, at) => `id ${at}`)
  for (const id of ids) inventory.add('peer 0', id)
  t.same(
    ids.filter((id) => inventory.has('peer 0', id)),
    ids.slice(3),
    'an eighth of the room is made at once',
  )
  inventory.remove('peer 0', 'id 16')
  t.notOk(inventory.has('peer 0', 'id 16'))
  for (let at = 1; at < 8; at++) inventory.add(`peer ${at}`, 'id')
  inventory.add('peer 0', 'id')
  inventory.add('peer 8', 'id')
  t.same(
    Array.from({ length: 9 }, (_, at) => inventory.has(`peer ${at}`, 'id')),
    [true, false, false, true, true, true, true, true, true],
  )
})
