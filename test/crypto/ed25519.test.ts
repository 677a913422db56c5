import { createHash } from 'node:crypto'
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import t from 'tap'
import { createSigner, generateSeed, isValidPublicKey, type Verify, verifyZip215 } from '#emrchain/crypto/ed25519.js'
import {
  createNativeSigner,
  createNativeVerify,
  createOpensslVerify,
  isValidPublicKeyNative,
  verifyNative,
} from '#emrchain/crypto/ed25519-node.js'
import { loadSodium } from '#emrchain/crypto/ed25519-sodium-node.js'
import { sha256 } from '#emrchain/crypto/hash.js'

const verifiers: [string, Verify][] = [
  ['portable', verifyZip215],
  ['native', verifyNative],
  ['OpenSSL first', createNativeVerify(createOpensslVerify())],
]
/** What is asked first. It may refuse too much, but never accept what ZIP-215 does not. */
const fast: [string, Verify][] = [['OpenSSL', createOpensslVerify()]]
const sodium = loadSodium()
if (sodium) fast.push(['libsodium', sodium.verify])
const utf8 = (text: string) => new TextEncoder().encode(text)

// RFC 8032, section 7.1: seed, public key, message, signature.
const rfc8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
] as const

/** The encodings of small-order points that are not canonical; with the 8 canonical ones, all 14 that ZIP-215 takes. */
const nonCanonicalSmallOrder = [
  `01${'00'.repeat(30)}80`,
  `ec${'ff'.repeat(31)}`,
  `ee${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(31)}`,
  `ed${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(31)}`,
]

t.test('SHA-256', async (t) => {
  t.equal(bytesToHex(sha256(utf8('abc'))), 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
  t.equal(bytesToHex(sha256(new Uint8Array(0))), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})

t.test('RFC 8032 test vectors', async (t) => {
  for (const [seed, publicKey, message, signature] of rfc8032) {
    for (const create of [createSigner, createNativeSigner]) {
      const signer = create(hexToBytes(seed))
      t.equal(bytesToHex(signer.publicKey), publicKey)
      t.equal(bytesToHex(signer.sign(hexToBytes(message))), signature)
    }
    for (const [name, verify] of [...verifiers, ...fast]) {
      t.ok(verify(hexToBytes(signature), hexToBytes(message), hexToBytes(publicKey)), name)
    }
    t.ok(isValidPublicKey(hexToBytes(publicKey)))
  }
})

t.test('native and portable signers give the same bytes', async (t) => {
  const seed = generateSeed()
  t.equal(seed.length, 32)
  t.not(bytesToHex(seed), bytesToHex(generateSeed()))
  const portable = createSigner(seed)
  const native = createNativeSigner(seed)
  t.same(native.publicKey, portable.publicKey)
  seed.fill(0)
  for (const size of [0, 1, 64, 180, 8192]) {
    const message = Uint8Array.from({ length: size }, (_, i) => i % 251)
    t.same(native.sign(message), portable.sign(message), `${size} bytes, and the seed was copied`)
  }
  for (const create of [createSigner, createNativeSigner]) {
    t.throws(() => create(new Uint8Array(31)), RangeError)
    t.throws(() => create(new Uint8Array(33)), RangeError)
  }
})

t.test('a signature fits its own message and key alone', async (t) => {
  const signer = createNativeSigner(generateSeed())
  const message = utf8('a record')
  const signature = signer.sign(message)
  const altered = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte))
  const l = 0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3edn
  const withLargeS = Uint8Array.from(signature)
  let s = BigInt(`0x${bytesToHex(signature.slice(32).reverse())}`) + l
  for (let i = 32; i < 64; i++, s >>= 8n) withLargeS[i] = Number(s & 0xffn)

  for (const [name, verify] of [...verifiers, ...fast]) {
    t.equal(verify(signature, message, signer.publicKey), true, name)
    for (const at of [0, 31, 32, 63]) t.equal(verify(altered(signature, at), message, signer.publicKey), false)
    t.equal(verify(signature, altered(message, 0), signer.publicKey), false)
    t.equal(verify(signature, message, altered(signer.publicKey, 5)), false)
    t.equal(verify(withLargeS, message, signer.publicKey), false, 'S + L is not a second signature')

    // Lengths: a throw inside is a no outside.
    const longKey = Uint8Array.of(...signer.publicKey, 0)
    t.equal(verify(signature, message, longKey), false, 'a byte behind the key')
    t.equal(verify(Uint8Array.of(...signature, 0), message, signer.publicKey), false, 'a byte behind the signature')
    t.equal(verify(signature.subarray(1), message, signer.publicKey), false)
    t.equal(verify(signature, message, signer.publicKey.subarray(1)), false)
    t.equal(verify(new Uint8Array(0), message, new Uint8Array(0)), false)
  }
})

t.test('ZIP-215: small-order keys and nonces in all their encodings', async (t) => {
  const encodings = [...ED25519_TORSION_SUBGROUP, ...nonCanonicalSmallOrder].map((hex) => hexToBytes(hex))
  t.equal(encodings.length, 14)
  const message = utf8('Zcash')
  for (const [name, verify] of verifiers) {
    let accepted = 0
    for (const publicKey of encodings) {
      for (const r of encodings) {
        const signature = new Uint8Array(64)
        signature.set(r)
        if (verify(signature, message, publicKey)) accepted++
      }
    }
    t.equal(accepted, 196, `${name} accepts all of them`)
  }
  const signature = new Uint8Array(64)
  signature.set(encodings[1] ?? [])
  signature[32] = 1
  for (const [name, verify] of verifiers) t.notOk(verify(signature, message, encodings[2] ?? signature), name)
})

t.test('ZIP-215: torsion in key and nonce, which fast libraries refuse in part', async (t) => {
  const order = ed25519.Point.Fn.ORDER
  const torsion = ED25519_TORSION_SUBGROUP.map((hex) => ed25519.Point.fromHex(hex))
  const message = utf8('torsion')
  const [a, r] = [0x1234567890abcdefn, 0xfedcba0987654321n]
  const refusals = new Map(fast.map(([name]) => [name, 0]))
  for (const ofKey of torsion) {
    for (const ofNonce of torsion) {
      const publicKey = ed25519.Point.BASE.multiply(a).add(ofKey).toBytes()
      const R = ed25519.Point.BASE.multiply(r).add(ofNonce).toBytes()
      const digest = createHash('sha512').update(R).update(publicKey).update(message).digest()
      const k = BigInt(`0x${bytesToHex(Uint8Array.from(digest).reverse())}`) % order
      let s = (r + k * a) % order
      const signature = Uint8Array.from([...R, ...new Uint8Array(32)])
      for (let i = 32; i < 64; i++, s >>= 8n) signature[i] = Number(s & 0xffn)

      for (const [name, verify] of fast) {
        if (!verify(signature, message, publicKey)) refusals.set(name, (refusals.get(name) ?? 0) + 1)
      }
      for (const [name, verify] of verifiers) {
        if (!verify(signature, message, publicKey)) t.fail(`${name} refuses ${bytesToHex(signature)}`)
      }
      signature[40] = (signature[40] ?? 0) ^ 1
      for (const [name, verify] of [...verifiers, ...fast]) {
        if (verify(signature, message, publicKey)) t.fail(`${name} accepts ${bytesToHex(signature)}`)
      }
    }
  }
  for (const [name, many] of refusals) t.ok(many > 0, `the set holds signatures for which ${name} is not enough`)
})

t.test('which keys may be registered', async (t) => {
  const isValid = (bytes: Uint8Array): boolean => {
    const answer = isValidPublicKey(bytes)
    t.equal(isValidPublicKeyNative(bytes), answer, `libsodium on ${bytesToHex(bytes)}`)
    return answer
  }
  const honest = ed25519.Point.fromBytes(createSigner(generateSeed()).publicKey)
  t.ok(isValid(honest.toBytes()))

  for (const hex of [...ED25519_TORSION_SUBGROUP, ...nonCanonicalSmallOrder]) {
    t.notOk(isValid(hexToBytes(hex)), `small order: ${hex}`)
  }
  for (const hex of ED25519_TORSION_SUBGROUP.slice(1)) {
    const mixed = honest.add(ed25519.Point.fromHex(hex))
    t.notOk(isValid(mixed.toBytes()), `torsion ${hex}`)
  }
  const unreduced = hexToBytes(`f0${'ff'.repeat(30)}7f`)
  t.equal(ed25519.Point.fromBytes(unreduced, true).y, 3n, 'y = p + 3 is a second spelling of y = 3')
  t.notOk(isValid(unreduced))
  const offCurve = hexToBytes(`02${'00'.repeat(31)}`)
  t.throws(() => ed25519.Point.fromBytes(offCurve, true))
  t.notOk(isValid(offCurve))
  t.notOk(isValid(honest.toBytes().subarray(1)), '31 bytes')
  t.notOk(isValid(Uint8Array.of(...honest.toBytes(), 0)), '33 bytes')
  t.notOk(isValid(new Uint8Array(0)))
  let good = 0
  for (let n = 0; n < 200; n++) if (isValid(sha256(utf8(`key ${n}`)))) good++
  t.ok(good > 5 && good < 50, 'of random bytes a half is on the curve, and of that an eighth is of prime order')
})

t.test('keys that fell out of the cache still verify', async (t) => {
  const verify = createOpensslVerify(2)
  const message = utf8('m')
  const signers = Array.from({ length: 5 }, () => createNativeSigner(generateSeed()))
  for (let round = 0; round < 3; round++) {
    for (const [i, signer] of signers.entries()) {
      const other = signers[(i + 1) % signers.length]
      t.ok(verify(signer.sign(message), message, signer.publicKey))
      t.notOk(other && verify(other.sign(message), message, signer.publicKey))
    }
  }
})
