/** Real nodes that keep shares for a patient, over HTTP. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { sha256 } from '#emrchain/crypto/hash.js'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { nodeSealSecret } from '#emrchain/crypto/seed.js'
import { chainCidAt, parseChainId } from '#emrchain/protocol/cid.js'
import { NO_END, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { type KindOfRequest, signPersonRequest } from '#emrchain/protocol/person-request.js'
import { releaseCommitment } from '#emrchain/protocol/release.js'
import { sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { createWorld, filler, chain as genesis, identityBody, sign } from '../contract/consent-world.js'
import { signerOf } from '../fixtures/block-maker.js'
import { ask, folderOf, get, postBytes, startNode, type TestNode, until } from '../fixtures/start-node.js'

export const CBOR = 'application/vnd.ipld.dag-cbor'
export const digest = (text: string): Uint8Array => sha256(new TextEncoder().encode(text))
export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
export const textOf = (id: Uint8Array): string => chainCidAt(id, 0).toString()
export const never: AbortSignal = new AbortController().signal
export const kindsOf = (node: TestNode['node']): string[] => [...node.pendingTransactions()].map(({ kind }) => kind)
export const sameTip = (nodes: readonly TestNode[]): Promise<void> =>
  until(nodes, () => new Set(nodes.map(({ node }) => node.tip().header.id.toString())).size === 1)

/** Three custodians of a patient, a record that they keep the share of, and a doctor who may read it. */
export async function startCustodians(t: Test) {
  const secret = digest('X25519 of the doctor')
  const seal = await publicKeyOf(secret)
  const world = createWorld('open')
  const previous = world.id('doctor')
  world.add(
    'version',
    sign('doctor', { kind: 'identity', body: identityBody('doctor', roles.doctor, { seal, previous }) }),
  )
  const sealOf = (name: string) => publicKeyOf(nodeSealSecret(digest(name), genesis.bytes))
  const names = ['node1', 'node2', 'node3', 'node4']
  world.add('node4', sign('node4', { kind: 'identity', body: identityBody('node4', roles.node) }))
  for (const name of names) {
    const body = identityBody(name, roles.node, { seal: await sealOf(name), previous: world.id(name) })
    world.add(`version of ${name}`, sign(name, { kind: 'identity', body }))
  }
  const grant = world.grant('grant', { until: NO_END })

  const start = async (name: string, at: number, peer: string[] = []): Promise<TestNode> => {
    const data = folderOf(t, `node-${at}`, 'data')
    mkdirSync(data, { recursive: true, mode: 0o700 })
    writeFileSync(folderOf(t, `node-${at}`, 'data', 'node.key'), digest(name), { mode: 0o600 })
    return startNode(t, { peer })
  }
  const a = await start('node1', 1)
  const b = await start('node2', 2, [a.url])
  const c = await start('node3', 3, [a.url, b.url])
  const nodes = [a, b, c]
  const send = async ({ url }: TestNode, { bytes }: SignedTransaction): Promise<void> => {
    t.equal((await postBytes(`${url}/transactions`, CBOR, bytes)).status, 202)
  }
  const mine = async (): Promise<void> => {
    t.equal((await ask(`${a.url}/mine_block`, { method: 'POST' })).status, 200)
    await sameTip(nodes)
  }
  for (const transaction of world.transactions) await send(a, transaction)
  await mine()

  const request = (by: string, to: string, what: KindOfRequest): Uint8Array =>
    signPersonRequest(
      {
        ...{ chain: genesis, to: world.id(to), at: Date.now(), nonce: Uint8Array.from(randomBytes(16)) },
        ...what,
      },
      signerOf(by),
    )
  const { cid } = await a.node.createHash({ name: 'x.aes', source: Readable.from([Buffer.from('abc')]) }, never)
  const deposit = {
    ...{ patient: world.id('patient'), nonce: digest('nonce'), share: digest('S_off'), label: filler(8, 284) },
    ...{ commitment: sha256(digest('S_off')), file: cid.bytes },
  }
  const receipts = await Promise.all(
    nodes.map(async ({ url }, at) => {
      const name = names[at] ?? ''
      const sealed = await sealDeposit(genesis, deposit, { id: world.id(name), seal: await sealOf(name) })
      const body = request('patient', name, { kind: 'deposit', body: sealed })
      const answer = await postBytes(`${url}/shares`, CBOR, body)
      t.equal(answer.status, 200)
      t.match(await postBytes(`${url}/shares`, CBOR, body), { status: 401, body: { code: 'request_replayed' } })
      const { node, key, sig } = answer.body as { node: string; key: string; sig: string }
      return { node: parseChainId(node).bytes, key: hex(key), sig: hex(sig) }
    }),
  )
  receipts.sort((x, y) => Buffer.compare(x.node, y.node))
  const { commitment, nonce, file } = deposit
  const body = world.recordBody({ commitment, nonce, file, receipts })
  const record = sign('patient', { kind: 'record', body }, Date.now())
  await send(b, record)
  await until(a, () => [...a.node.pendingTransactions()].length > 0)
  await mine()
  t.match((await get(`${a.url}/transactions/${record.id}`)).body, { result: { code: 0 } })

  const salt = digest('salt')
  const access = (by: string, at = Date.now()): SignedTransaction =>
    sign(
      by,
      {
        kind: 'access',
        body: {
          ...{ record: record.id.bytes, grant, certificate: null, action: 2, purpose: 1 },
          commitment: releaseCommitment(genesis, { record: record.id.bytes, seal, salt }),
        },
      },
      at,
    )
  const release = (one: TestNode, to: string, { bytes }: SignedTransaction, path = record.id.toString()) =>
    postBytes(
      `${one.url}/shares/${path}/release`,
      CBOR,
      request('doctor', to, { kind: 'release', body: { access: bytes, salt } }),
    )
  return {
    ...{ world, a, b, c, nodes, start, send, mine, request, sealOf, cid, deposit, grant, secret },
    ...{ record, access, release },
  }
}
