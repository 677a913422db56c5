import t from 'tap'
import { chainCidAt } from '#emrchain/protocol/cid.js'
import { NO_END, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { possessionMessage } from '#emrchain/protocol/signatures-of-others.js'
import { createWorld, identityBody, sign } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'
import { type Answer, ask, get, postBytes, startQuietNode } from '../fixtures/start-node.js'

const world = createWorld('open')
world.grant('doctor reads', { until: NO_END, uses: 1 })
world.record('a record')
const text = (name: string): string => chainCidAt(world.id(name), 0).toString()
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** What the answers hold, as far as it is read here beside comparisons. */
interface Found {
  readonly key: string
  readonly classKeys: unknown[]
  readonly custodians: string[]
  readonly entries: { id: string; kind: string; result: { name: string }; next: string }[]
}

t.test('identities, decisions and history', async (t) => {
  const { url } = await startQuietNode(t)
  const send = ({ bytes }: { bytes: Uint8Array }): Promise<Answer> =>
    postBytes(`${url}/transactions`, 'application/vnd.ipld.dag-cbor', bytes)
  const read = async (path: string): Promise<Found> => {
    const { status, body } = await get(`${url}${path}`)
    t.equal(status, 200, path)
    return body as Found
  }
  for (const transaction of world.transactions) t.equal((await send(transaction)).status, 202)

  // What waits is judged as if it stood in the next block: nobody is known there yet.
  t.match(await read(`/transactions/${text('a record')}`), {
    state: 'pending',
    kind: 'record',
    result: { code: 1, name: 'unknown_author' },
  })
  t.equal((await get(`${url}/identities/${text('doctor')}`)).status, 404)
  await ask(`${url}/mine_block`, { method: 'POST' })

  const patient = await read(`/identities/${text('patient')}`)
  t.match(patient, {
    id: text('patient'),
    version: text('patient'),
    role: 'patient',
    administrator: false,
    key: hex(signerOf('patient').publicKey),
    recovery: null,
  })
  t.equal(patient.classKeys.length, 11)
  t.same([...patient.custodians].sort(), [text('node1'), text('node2'), text('node3')].sort())
  t.same(await read(`/identities?key=${patient.key}`), patient)
  t.match(await get(`${url}/identities?key=${'00'.repeat(32)}`), { status: 404, body: { code: 'identity_unknown' } })

  t.match(await read(`/transactions/${text('a record')}`), {
    state: 'confirmed',
    kind: 'record',
    body: { patient: text('patient'), class: 2, receipts: [{ node: /^bafy/ }, {}], commitment: /^03{1}/ },
    result: { code: 0, name: 'accepted' },
    standing: { of: 'record', state: 'current' },
  })
  t.match(await read(`/transactions/${text('doctor reads')}`), { standing: { of: 'grant', revoked: false, used: 0 } })

  const asked = `/decide?accessor=${text('doctor')}&record=${text('a record')}&action=READ&purpose=TREAT`
  t.match(await read(asked), { allowed: false, result: { code: 39, name: 'no_grant' } })
  t.match(await read(`${asked}&grant=${text('doctor reads')}`), { allowed: true, result: { code: 0 } })
  t.equal((await get(`${url}/decide?accessor=x&record=y&action=READ&purpose=TREAT`)).status, 400)
  t.equal((await get(`${url}${asked.replace('TREAT', 'TREATS')}`)).status, 400)

  const body = {
    record: world.id('a record'),
    grant: world.id('doctor reads'),
    certificate: null,
    action: 2,
    purpose: 1,
    commitment: new Uint8Array(32),
  }
  const access = sign('doctor', { kind: 'access', body })
  const again = sign('doctor', { kind: 'access', body: { ...body, commitment: new Uint8Array(32).fill(1) } })
  for (const one of [access, again]) t.equal((await send(one)).status, 202)
  await ask(`${url}/mine_block`, { method: 'POST' })
  t.match(await read(`/transactions/${text('doctor reads')}`), { standing: { used: 1 } })
  t.match(await read(`${asked}&grant=${text('doctor reads')}`), { result: { name: 'used_up' } })

  const { entries } = await read(`/history?about=${text('a record')}`)
  t.same(
    entries.map(({ id, kind, result }) => [id, kind, result.name]),
    [
      [again.id.toString(), 'access', 'used_up'],
      [access.id.toString(), 'access', 'accepted'],
    ],
    'refusals too',
  )
  const pages: string[] = []
  for (let before = ''; ; ) {
    const page = (await read(`/history?about=${text('patient')}&limit=1${before}`)).entries
    if (page.length === 0) break
    for (const { id } of page) pages.push(id)
    before = `&before=${page.at(-1)?.next}`
  }
  t.same(pages, [text('a record'), text('doctor reads')])
  t.same(
    (await read(`/history?author=${hex(signerOf('doctor').publicKey)}`)).entries.map(({ kind }) => kind),
    ['access', 'access', 'identity'],
  )
  t.equal((await get(`${url}/history`)).status, 400)
  t.equal((await get(`${url}/history?about=${text('patient')}&author=${patient.key}`)).status, 400)

  // A next version: the identity stays, its key changes.
  const owner = signerOf('doctor')
  const fresh = signerOf('doctor, later')
  const rotated = sign('doctor', {
    kind: 'identity',
    body: identityBody('doctor, later', roles.doctor, {
      previous: world.id('doctor'),
      keyProof: fresh.sign(possessionMessage(access.chain, owner.publicKey, fresh.publicKey)),
    }),
  })
  t.equal((await send(rotated)).status, 202)
  await ask(`${url}/mine_block`, { method: 'POST' })
  t.match(await read(`/identities/${text('doctor')}`), { version: rotated.id.toString(), key: hex(fresh.publicKey) })
  t.match(await read(`/identities?key=${hex(owner.publicKey)}`), { key: hex(fresh.publicKey) }, 'its key before')
})
