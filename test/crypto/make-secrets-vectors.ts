import { concatBytes } from '@noble/hashes/utils.js'
import { commitmentOf, contentKey, labelKey } from '#emrchain/crypto/content-key.js'
import { sealGrantSecrets } from '#emrchain/crypto/grant-seal.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { publicKeyOf, type Sealed } from '#emrchain/crypto/hpke.js'
import { sealLabel } from '#emrchain/crypto/label-seal.js'
import { sealMemberShare } from '#emrchain/crypto/member-seal.js'
import { sealRecordShare } from '#emrchain/crypto/record-seal.js'
import { encodeCanonical } from '#emrchain/protocol/canonical.js'
import { sealRelease } from '#emrchain/protocol/sealed-release.js'

/** 32 bytes that are the same in every run. */
export const named = (name: string): Uint8Array => sha256(new TextEncoder().encode(name))
/** An id of the form that the chain has. */
export const idOf = (name: string): Uint8Array => concatBytes(Uint8Array.of(1, 0x71, 0x12, 32), named(name))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const sealedHex = ({ enc, ct }: Sealed) => ({ enc: hex(enc), ct: hex(ct) })

export const genesis = idOf('genesis')
export const shares = { chain: named('S_chain'), off: named('S_off') }
export const recordPlace = {
  genesis,
  patient: idOf('patient'),
  class: 4,
  epoch: 2,
  author: named('author'),
  nonce: named('nonce'),
  file: concatBytes(Uint8Array.of(0x12, 0x20), named('file')),
}
export const grantPlace = {
  genesis,
  patient: idOf('patient'),
  grantee: idOf('doctor'),
  records: [idOf('record 1'), idOf('record 2')],
  keys: [
    { class: 4, epoch: 1 },
    { class: 1024, epoch: 70_000 },
  ],
}
export const grantSecrets = ['S_chain 1', 'S_chain 2', 'class key 1', 'class key 2'].map(named)
export const labelPlace = { genesis, nonce: recordPlace.nonce }
export const labelText = '{"name":"MRI","fileName":"MRI Röntgen.dcm","size":524288}'
export const releasePlace = {
  genesis,
  record: idOf('record 1'),
  access: idOf('access'),
  custodian: idOf('node'),
}

export const memberPlace = {
  genesis,
  record: idOf('record 1'),
  grant: idOf('grant'),
  member: idOf('doctor'),
}

/** Every sealed format once, with random bytes that are not random. docs/protocol.md, "Sealed secrets". */
export async function makeSecretsVectors() {
  const label = sealLabel(shares.chain, labelText, labelPlace, named('iv').slice(0, 12))
  const [classSecret, doctorSecret] = [named('class secret'), named('doctor secret')]
  const [classKey, doctorKey] = [await publicKeyOf(classSecret), await publicKeyOf(doctorSecret)]
  const ephemeral = named('ephemeral')
  return {
    note: 'Bytes in hexadecimal digits. ephemeral is ikmE of RFC 9180; secrets are ikmR: the key pair is DeriveKeyPair of them.',
    ephemeral: hex(ephemeral),
    genesis: hex(genesis),
    shares: {
      chain: hex(shares.chain),
      off: hex(shares.off),
      contentKey: hex(contentKey(shares)),
      labelKey: hex(labelKey(shares.chain)),
      commitment: hex(commitmentOf(shares.off)),
    },
    record: {
      secret: hex(classSecret),
      publicKey: hex(classKey),
      patient: hex(recordPlace.patient),
      class: recordPlace.class,
      epoch: recordPlace.epoch,
      author: hex(recordPlace.author),
      nonce: hex(recordPlace.nonce),
      file: hex(recordPlace.file),
      plaintext: hex(shares.chain),
      ...sealedHex(await sealRecordShare(classKey, shares.chain, recordPlace, ephemeral)),
    },
    grant: {
      secret: hex(doctorSecret),
      publicKey: hex(doctorKey),
      patient: hex(grantPlace.patient),
      grantee: hex(grantPlace.grantee),
      records: grantPlace.records.map(hex),
      keys: grantPlace.keys,
      plaintext: grantSecrets.map(hex).join(''),
      ...sealedHex(await sealGrantSecrets(doctorKey, grantSecrets, grantPlace, ephemeral)),
    },
    label: { chain: hex(shares.chain), nonce: hex(labelPlace.nonce), text: labelText, sealed: hex(label) },
    release: {
      secret: hex(doctorSecret),
      publicKey: hex(doctorKey),
      record: hex(releasePlace.record),
      access: hex(releasePlace.access),
      custodian: hex(releasePlace.custodian),
      plaintext: hex(encodeCanonical({ share: shares.off, label })),
      ...sealedHex(await sealRelease(doctorKey, { share: shares.off, label }, releasePlace, ephemeral)),
    },
    member: {
      secret: hex(doctorSecret),
      publicKey: hex(doctorKey),
      record: hex(memberPlace.record),
      grant: hex(memberPlace.grant),
      member: hex(memberPlace.member),
      plaintext: hex(shares.chain),
      sealed: hex(await sealMemberShare(doctorKey, shares.chain, memberPlace, ephemeral)),
    },
  }
}
