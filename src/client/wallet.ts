import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { base64url } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import { generateSeed } from '../crypto/ed25519.js'
import { encryptedSize } from '../crypto/file-cipher.js'
import { openWithPassphrase, type SealOptions, sealWithPassphrase } from '../crypto/passphrase.js'
import { EmrError, type ErrorCode } from '../errors.js'
import { decodeCanonical, encodeCanonical, isBytes, isMapOf } from '../protocol/canonical.js'
import { parseChainId, parseFileCid } from '../protocol/cid.js'
import { type Static, type TSchema, Type, Value } from '../typebox.js'
import { ConsentKeysSchema } from './consent/consent-keys.js'

const VERSION = 1
const KEY_TEXT_PREFIX = 'emrchain-key:v1:'
/** Multicodec of the only blocks that have a CIDv0. */
const DAG_PB = 0x70

const Hex32 = Type.String({ pattern: '^[0-9a-f]{64}$' })
/** One line of text: no control characters, which could drive the terminal that shows it. */
const Label = Type.String({ pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$', maxLength: 1024 })
/** A name, never a path: it may come from somebody else and become a file here. */
const FileName = Type.String({ pattern: '^(?!\\.{1,2}$)[^/\\\\\\u0000-\\u001f\\u007f-\\u009f]+$', maxLength: 255 })
const FileCid = Type.Refine(Type.String(), (text) => holds(() => parseFileCid(text).toString() === text))
const GenesisId = Type.Refine(Type.String(), (text) => holds(() => parseChainId(text).toString() === text))
const PlainSize = Type.Refine(Type.Integer({ minimum: 0 }), (size) => holds(() => encryptedSize(size) > 0))
const Time = Type.Refine(Type.String(), (text) => holds(() => new Date(text).toISOString() === text))

const sharedFields = {
  cid: FileCid,
  key: Hex32,
  name: Label,
  fileName: FileName,
  size: PlainSize,
  network: GenesisId,
}
const SharedKeySchema = Type.Object(sharedFields, { additionalProperties: false })
const FileKeySchema = Type.Object({ ...sharedFields, addedAt: Time }, { additionalProperties: false })
/** One entry for each network; a wallet that has never met the consent contract has none. */
const Consent = Type.Refine(
  Type.Array(ConsentKeysSchema),
  (entries) => new Set(entries.map(({ network }) => network)).size === entries.length,
)
const WalletSchema = Type.Object(
  {
    version: Type.Literal(VERSION),
    seed: Hex32,
    files: Type.Immutable(Type.Array(FileKeySchema)),
    consent: Type.Optional(Type.Immutable(Consent)),
  },
  { additionalProperties: false },
)

/**
 * What opens one file, as it is handed to somebody else: the CID of the encrypted file, its 32-byte key in
 * hexadecimal digits, the name of the record, the name and the bytes of the file before encryption, and the genesis id
 * of the network that has the record. CIDs are in the one text form that `toString` gives them.
 */
export type SharedKey = Readonly<Static<typeof SharedKeySchema>>

/** A key as the wallet keeps it; `addedAt` as `Date.toISOString` writes it. */
export type FileKey = Readonly<Static<typeof FileKeySchema>>

/**
 * What a person holds: the seed of their Ed25519 key, the keys of their files, and their secrets under the consent
 * contract of each network. Secret as a whole.
 */
export type Wallet = Readonly<Static<typeof WalletSchema>>

/** A wallet with a fresh identity and no files. */
export const newWallet = (): Wallet => ({ version: VERSION, seed: bytesToHex(generateSeed()), files: [] })

/**
 * The wallet with this key as well, in the place of an older one for the same file on the same network.
 *
 * @throws EmrError `key_malformed`
 */
export function addFileKey(wallet: Wallet, entry: FileKey): Wallet {
  assertForm(FileKeySchema, entry, 'key_malformed')
  const same = spellings(entry.cid)
  const others = wallet.files.filter((file) => !(same.includes(file.cid) && file.network === entry.network))
  return { ...wallet, files: [...others, entry] }
}

/**
 * The newest key for a file, by the CID of the file in any form or else by the name of its record; on this network, if
 * one is given. A CID goes before a name, for a name may have been chosen by somebody else to look like a CID.
 *
 * @throws EmrError `key_missing`
 */
export function findFileKey(wallet: Wallet, nameOrCid: string, network?: string): FileKey {
  const files = wallet.files
    .filter((file) => network === undefined || file.network === network)
    .reverse()
    .sort((a, b) => (a.addedAt < b.addedAt ? 1 : a.addedAt > b.addedAt ? -1 : 0))
  const cids = spellings(nameOrCid)
  const name = nameOrCid.normalize()
  const found = files.find((file) => cids.includes(file.cid)) ?? files.find((file) => file.name.normalize() === name)
  if (!found) throw new EmrError('key_missing')
  return found
}

/**
 * The wallet as an age passphrase file with JSON inside, as it is stored on disk.
 *
 * @throws EmrError `wallet_malformed`, `passphrase_missing`
 */
export async function sealWallet(wallet: Wallet, passphrase: string, options?: SealOptions): Promise<Uint8Array> {
  // A wallet that could not be opened again must not replace one that can.
  assertForm(WalletSchema, wallet, 'wallet_malformed')
  return sealWithPassphrase(new TextEncoder().encode(JSON.stringify(wallet)), passphrase, options)
}

/** The wallet, if it is one that can be opened again. @throws EmrError `wallet_malformed` */
export function checkedWallet(wallet: Wallet): Wallet {
  assertForm(WalletSchema, wallet, 'wallet_malformed')
  return wallet
}

/** Opens what `sealWallet` made. @throws EmrError `passphrase_wrong`, `wallet_malformed` */
export async function openWallet(sealed: Uint8Array, passphrase: string): Promise<Wallet> {
  const wallet = parseJson(await openWithPassphrase(sealed, passphrase))
  assertVersion(wallet)
  assertForm(WalletSchema, wallet, 'wallet_malformed')
  return wallet
}

/**
 * One line of text with everything that is needed to open a file. Whoever reads it can read the file.
 *
 * @throws EmrError `key_malformed`
 */
export function exportKey(entry: SharedKey): string {
  const { cid, key, name, fileName, size, network } = entry
  const shared = { cid, key, name, fileName, size, network }
  assertForm(SharedKeySchema, shared, 'key_malformed')
  const links = { cid: parseFileCid(cid), network: parseChainId(network) }
  return KEY_TEXT_PREFIX + base64url.baseEncode(encodeCanonical({ ...shared, ...links, key: hexToBytes(key) }))
}

/** Reads what `exportKey` wrote, with or without space around it. @throws EmrError `key_malformed` */
export function importKey(text: string): SharedKey {
  const line = text.trim()
  if (!line.startsWith(KEY_TEXT_PREFIX)) {
    throw new EmrError('key_malformed', `It does not begin with "${KEY_TEXT_PREFIX}".`)
  }
  const shared = decodeShared(line.slice(KEY_TEXT_PREFIX.length))
  assertForm(SharedKeySchema, shared, 'key_malformed')
  // One key has one text: nothing can hide in another spelling of it.
  if (exportKey(shared) !== line) throw new EmrError('key_malformed', 'It is not written in the one form it has.')
  return shared
}

// Errors of the decoders quote what they read, which is secret here; none of them is passed on as a cause.

function decodeShared(encoded: string): unknown {
  try {
    const value = decodeCanonical(base64url.baseDecode(encoded))
    if (!isMapOf(value, Object.keys(sharedFields))) return undefined
    return {
      ...value,
      cid: CID.asCID(value.cid)?.toString(),
      network: CID.asCID(value.network)?.toString(),
      key: isBytes(value.key) ? bytesToHex(value.key) : undefined,
    }
  } catch {
    throw new EmrError('key_malformed', 'It was cut or changed.')
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new EmrError('wallet_malformed', 'It holds no JSON.')
  }
}

function assertVersion(wallet: unknown): void {
  if (typeof wallet !== 'object' || wallet === null || !('version' in wallet)) return
  if (typeof wallet.version === 'number' && wallet.version > VERSION) {
    throw new EmrError(
      'wallet_malformed',
      `It is of version ${wallet.version}; this emrchain reads version ${VERSION}.`,
    )
  }
}

/** Names the place and the rule of the first breach, never the value. */
function assertForm<Schema extends TSchema>(
  schema: Schema,
  value: unknown,
  code: ErrorCode,
): asserts value is Static<Schema> {
  if (Value.Check(schema, value)) return
  const [first] = Value.Errors(schema, value)
  throw new EmrError(code, first && `At "${first.instancePath}": ${first.keyword}.`)
}

/** The texts that a wallet may hold for the file that `text` is a CID of: as CIDv1 and, if it has one, as CIDv0. */
function spellings(text: string): readonly string[] {
  try {
    const cid = parseFileCid(text).toV1()
    return cid.code === DAG_PB ? [cid.toString(), cid.toV0().toString()] : [cid.toString()]
  } catch {
    return []
  }
}

/** Whether `condition` is true; a throw is a no. */
function holds(condition: () => boolean): boolean {
  try {
    return condition()
  } catch {
    return false
  }
}
