import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { consentRecord } from '#emrchain/client/consent/record.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import type { Fetch } from '#emrchain/client/node-request.js'
import { addConsentRecord } from '#emrchain/client/person/add-consent-record.js'
import { giveGrant } from '#emrchain/client/person/give-grant.js'
import { permissionOf } from '#emrchain/client/person/may-do.js'
import { readConsentRecord } from '#emrchain/client/person/read-consent-record.js'
import { registerIdentity } from '#emrchain/client/person/register-identity.js'
import { revoke } from '#emrchain/client/person/revoke.js'
import { commitmentOf, contentKey } from '#emrchain/crypto/content-key.js'
import { decodeFileCid } from '#emrchain/protocol/cid.js'
import { actions, purposes, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { bytesOf, gathered, personAt } from '../fixtures/person.js'
import { startRecordingProxy } from '../fixtures/recording-proxy.js'
import { agree, startNode, until } from '../fixtures/start-node.js'

/** A record under consent from its first byte to its erasure, with every byte between all programs looked at. */

t.setTimeout(600_000)
const { lab } = recordClasses
const MOST_FOR_CONSENT = 10_000
const LARGE = 200 * 1_000_000

/** A fetch that counts the bytes of bodies, both ways. */
function countedFetch(): { readonly fetch: Fetch; readonly bytes: number } {
  let bytes = 0
  return {
    get bytes() {
      return bytes
    },
    async fetch(address, request) {
      if (typeof request?.body === 'string' || request?.body instanceof Uint8Array) bytes += request.body.length
      const answer = await globalThis.fetch(address, request)
      const count = new TransformStream<Uint8Array, Uint8Array>({
        transform(piece, controller) {
          bytes += piece.length
          controller.enqueue(piece)
        },
      })
      return new Response(answer.body?.pipeThrough(count) ?? null, answer)
    },
  }
}

t.test('what crosses the network says nothing, and consent moves a few kilobytes', async (t) => {
  const ways = [await startRecordingProxy(t), await startRecordingProxy(t)] as const
  const a = await startNode(t, { publicUrl: ways[0].url, eraseAfter: 1 })
  ways[0].leadTo(a.url)
  const b = await startNode(t, { publicUrl: ways[1].url, peer: [ways[0].url], eraseAfter: 1 })
  ways[1].leadTo(b.url)
  const settled = () => until([a, b], () => agree(a, b) && [...b.node.pendingTransactions()].length === 0)
  /** The node that something was not handed in at has it, and mines it. */
  const mineAtOther = async (): Promise<void> => {
    await until(b, () => [...b.node.pendingTransactions()].length === 1)
    await doctor.client.mine()
    await settled()
  }
  const crossed = (): number => ways[0].crossed() + ways[1].crossed()

  const talk = countedFetch()
  const patient = await personAt(ways[0].url, { client: createNodeClient(ways[0].url, talk) })
  const doctor = await personAt(ways[1].url)
  const seedOf = ({ options }: typeof a): Uint8Array => Uint8Array.from(readFileSync(join(options.data, 'node.key')))
  const custodians: string[] = []
  for (const node of [a, b]) {
    const { id } = await registerIdentity(patient, { role: roles.node, nodeSeed: seedOf(node) })
    custodians.push(id)
  }
  await patient.client.mine()
  await settled()
  await registerIdentity(patient, { role: roles.patient, custodians })
  const { id: doctorId } = await registerIdentity(doctor, { role: roles.doctor })
  await until(a, () => [...a.node.pendingTransactions()].length === 2)
  await patient.client.mine()
  await settled()

  /** Records a file while every random number that is drawn is looked at. */
  for (const way of ways) way.keep(true)
  const drawn: Buffer[] = []
  const { getRandomValues } = globalThis.crypto
  globalThis.crypto.getRandomValues = (values) => {
    getRandomValues.call(globalThis.crypto, values)
    drawn.push(Buffer.from(Buffer.from(values.buffer, values.byteOffset, values.byteLength)))
    return values
  }
  const text = Buffer.from('Findings: the plain text of a report that nobody is to see. '.repeat(400))
  const name = 'Psychiatric report of Ann Example'
  const report = { bytes: bytesOf(text), size: text.length, fileName: 'ann-example.txt', name, class: lab }
  const recorded = await addConsentRecord(patient, report, { mine: true })
  globalThis.crypto.getRandomValues = getRandomValues
  t.match(recorded, { state: 'confirmed', result: { code: 0 }, custodians: 2, failures: [] })
  const { commitment } = consentRecord(await patient.client.signedTransaction(recorded.id)).body
  const shares = drawn.filter(({ length }) => length === 32)
  const at = shares.findIndex((share) => Buffer.compare(commitmentOf(share), commitment) === 0)
  const [chain, off] = [shares[at - 1], shares[at]]
  if (!chain || !off) throw new Error('The shares were not drawn one after the other.')
  await settled()

  const grant = { grantee: doctorId, classes: lab, actions: actions.READ, purposes: purposes.TREAT, from: 0 }
  await giveGrant(patient, grant, { mine: true })
  await settled()
  const opened = await readConsentRecord(doctor, recorded.id)
  t.same(await gathered(opened.contents()), text)
  t.match(opened.label, { name, fileName: 'ann-example.txt', size: text.length })
  await revoke(patient, 'all', { mine: true })
  await settled()
  await t.rejects(readConsentRecord(doctor, recorded.id, { grant: opened.grant }), { code: 'release_denied' })

  const wire = Buffer.concat(ways.flatMap((way) => way.kept()))
  for (const way of ways) way.keep(false)
  t.ok(wire.includes('POST /shares') && wire.includes('POST /transactions'), 'the recorder hears')
  const secrets = {
    S_chain: chain,
    S_off: off,
    'key of the file': Buffer.from(contentKey({ chain, off })),
    'plain text': Buffer.from('the plain text of a report'),
    'name of the record': Buffer.from(name),
    'name of the file': Buffer.from('ann-example'),
  }
  for (const [what, secret] of Object.entries(secrets)) {
    const forms = [secret, Buffer.from(secret.toString('hex')), Buffer.from(secret.toString('base64').slice(0, -4))]
    t.ok(secret.length >= 11 && forms.every((form) => !wire.includes(form)), what)
  }

  // A large one: consent to it is as cheap as to a small one, and its file stays as it is.
  const piece = Buffer.alloc(1_000_000, 'x')
  const pieces = Array.from({ length: LARGE / piece.length }, () => piece)
  const study = { bytes: bytesOf(...pieces), size: LARGE, fileName: 'study.dcm', name: 'Study', class: lab }
  const large = await addConsentRecord(patient, study, { mine: true })
  await settled()
  t.ok(crossed() > LARGE)
  const one = { ...grant, classes: 0, records: [large.id] }
  const may = { accessor: doctorId, action: 'READ', purpose: 'TREAT' }
  const [whole, own] = [crossed(), talk.bytes]
  const given = await giveGrant(patient, one)
  await mineAtOther()
  const [wholeGrant, ownGrant] = [crossed() - whole, talk.bytes - own]
  t.ok((await permissionOf(doctor, large.id, may)).allowed)
  const [wholeBefore, ownBefore] = [crossed(), talk.bytes]
  await revoke(patient, { grant: given.id })
  await mineAtOther()
  const [wholeEnd, ownEnd] = [crossed() - wholeBefore, talk.bytes - ownBefore]
  t.comment(
    `of a record of ${LARGE} bytes: the patient's program sends and gets ${ownGrant} bytes to grant, ${ownEnd} to revoke;`,
  )
  t.comment(`with all headers, two blocks and what the nodes tell each other ${wholeGrant} and ${wholeEnd}`)
  t.ok(ownGrant + ownEnd < MOST_FOR_CONSENT, `${ownGrant + ownEnd} bytes`)
  const { body } = consentRecord(await patient.client.signedTransaction(large.id))
  t.equal(decodeFileCid(body.file).toString(), large.cid)
  t.notOk((await permissionOf(doctor, large.id, may)).allowed)
})
