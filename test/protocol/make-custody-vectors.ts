import { concatBytes } from '@noble/hashes/utils.js'
import { createSigner, type Signer } from '#emrchain/crypto/ed25519.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { nodeSealSecret } from '#emrchain/crypto/seed.js'
import { depositIdOf } from '#emrchain/node/deposit-id.js'
import { decodeCanonical, encodeCanonical } from '#emrchain/protocol/canonical.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { encodeViewQuestion, signCustodianView } from '#emrchain/protocol/custodian-view.js'
import { signHandoverReceipt } from '#emrchain/protocol/handover.js'
import { type KindOfRequest, signPersonRequest } from '#emrchain/protocol/person-request.js'
import { releaseCommitment, signReleaseReceipt } from '#emrchain/protocol/release.js'
import { sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import { depositMessage } from '#emrchain/protocol/signatures-of-others.js'
import { signTransaction } from '#emrchain/protocol/transaction.js'
import { idOf, named } from '../crypto/make-secrets-vectors.js'

/** The seeds of who signs here, by name. */
export const seeds = {
  patient: named('patient'),
  doctor: named('doctor'),
  node: named('node'),
  former: named('former'),
}
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const chain = cidOf(named('genesis'))
const [record, patient, doctor, node] = ['record', 'patient', 'doctor', 'node'].map(idOf) as [
  Uint8Array,
  Uint8Array,
  Uint8Array,
  Uint8Array,
]
const at = 1_767_225_600_000
const nonceOf = (name: string): Uint8Array => named(name).slice(0, 16)

/** A signed map: what the page gives of it, and who signed. */
const signedVector = (name: keyof typeof seeds, text: string, bytes: Uint8Array) => {
  const { sig, ...rest } = decodeCanonical(bytes) as Record<string, unknown> & { sig: Uint8Array }
  const message = concatBytes(new TextEncoder().encode(text), encodeCanonical(rest))
  return { signer: name, text, bytes: hex(bytes), signed: hex(message), sig: hex(sig) }
}

/** Every message of custodians once, with random bytes that are not random. docs/protocol.md, "Custodians". */
export async function makeCustodyVectors() {
  const signers = Object.fromEntries(Object.entries(seeds).map(([name, seed]) => [name, createSigner(seed)])) as Record<
    keyof typeof seeds,
    Signer
  >
  const secret = nodeSealSecret(seeds.node, chain.bytes)
  const seal = await publicKeyOf(secret)
  const share = named('S_off')
  const of = {
    patient,
    nonce: named('nonce'),
    commitment: sha256(share),
    file: concatBytes(Uint8Array.of(0x12, 0x20), named('file')),
  }
  const label = concatBytes(named('label'), named('rest of the label'))
  const ephemeral = named('ephemeral')
  const deposit = await sealDeposit(chain, { ...of, share, label }, { id: node, seal }, ephemeral)

  const salt = named('salt')
  const doctorSeal = named('X25519 of the doctor')
  const commitment = releaseCommitment(chain, { record, seal: doctorSeal, salt })
  const access = signTransaction(
    {
      ...{ kind: 'access', chain, at },
      body: { record, grant: idOf('grant'), certificate: null, action: 2, purpose: 1, commitment },
    },
    signers.doctor,
  )
  const request = (name: keyof typeof seeds, what: KindOfRequest) =>
    signedVector(
      name,
      'emrchain/request/v1',
      signPersonRequest({ chain, to: node, at, nonce: nonceOf(what.kind), ...what }, signers[name]),
    )
  const { enc, sealed } = deposit
  const receipt = { chain, record, access: access.id.bytes, asker: doctor, custodian: node, at }
  const view = { chain, nonce: nonceOf('question'), tip: cidOf(named('tip')), at, withdrawals: ['a', 'b'].map(idOf) }
  view.withdrawals.sort(Buffer.compare)
  return {
    note: 'Bytes in hexadecimal digits. ephemeral is ikmE of RFC 9180; the key pair of a secret is DeriveKeyPair of it.',
    seeds: Object.fromEntries(Object.entries(seeds).map(([name, seed]) => [name, hex(seed)])),
    genesis: hex(chain.bytes),
    seal: { root: hex(seeds.node), secret: hex(secret), publicKey: hex(seal) },
    depositShare: {
      ...{ custodian: hex(node), patient: hex(patient), nonce: hex(of.nonce), file: hex(of.file) },
      ...{ commitment: hex(of.commitment), plaintext: hex(share), ephemeral: hex(ephemeral) },
      ...{ enc: hex(enc), ct: hex(sealed) },
    },
    depositReceipt: {
      ...{ signer: 'node', signed: hex(depositMessage(chain, of)), deposit: hex(depositIdOf(chain, of)) },
      sig: hex(signers.node.sign(depositMessage(chain, of))),
    },
    releaseCommitment: { record: hex(record), seal: hex(doctorSeal), salt: hex(salt), commitment: hex(commitment) },
    access: hex(access.bytes),
    viewQuestion: hex(encodeViewQuestion({ chain, record, patient, asker: doctor, nonce: view.nonce })),
    messages: {
      deposit: request('patient', { kind: 'deposit', body: deposit }),
      release: request('doctor', { kind: 'release', body: { access: access.bytes, salt } }),
      handover: request('former', { kind: 'handover', body: { record, enc, sealed, label } }),
      releaseReceipt: signedVector('node', 'emrchain/release-receipt/v1', signReleaseReceipt(receipt, signers.node)),
      handoverReceipt: signedVector(
        'node',
        'emrchain/handover-receipt/v1',
        signHandoverReceipt({ chain, record, nonce: nonceOf('handover'), at }, signers.node),
      ),
      view: signedVector('node', 'emrchain/view/v1', signCustodianView(view, signers.node)),
    },
  }
}
