import type { CID } from 'multiformats/cid'
import { identityOfKey } from '../contract/actor.js'
import { identityOf, recordOf } from '../contract/rows.js'
import { assertShare } from '../crypto/content-key.js'
import { openDepositShare } from '../crypto/deposit-seal.js'
import type { Signer } from '../crypto/ed25519.js'
import { publicKeyOf, type Sealed } from '../crypto/hpke.js'
import { EmrError, isEmrError } from '../errors.js'
import type { Shares } from '../ledger/shares.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { roles } from '../protocol/consent-vocabulary.js'
import { signHandoverReceipt } from '../protocol/handover.js'
import type { DepositBody, PersonRequest } from '../protocol/person-request.js'
import { depositMessage } from '../protocol/signatures-of-others.js'
import { assertCustodianOf, wasCustodianOf } from './assert-custodian-of.js'
import type { CustodyChain } from './custody-dependencies.js'
import { depositIdOf } from './deposit-id.js'
import { recordBody } from './records-of.js'

export interface ShareKeeperDependencies {
  readonly genesis: CID
  readonly signer: Signer
  /** Opens what is sealed to this node (`nodeSealSecret`). */
  readonly sealSecret: Uint8Array
  readonly chain: Pick<CustodyChain, 'contractState' | 'tip' | 'transaction'>
  readonly shares: Pick<Shares, 'get' | 'put' | 'count' | 'waitingOf' | 'erasures'>
  now(): number
  /** `record_erased`, with what is known of it. */
  erased(record: Uint8Array): Promise<EmrError>
}

export interface KeeperLimits {
  /** Deposits in all. */
  readonly maxShares: number
  /** Deposits of one author that came within a day and wait for their records. */
  readonly maxWaiting: number
}

/** That a custodian keeps a share: what a record carries in `receipts`. */
export interface DepositReceipt {
  readonly node: Uint8Array
  readonly key: Uint8Array
  readonly sig: Uint8Array
}

/** What names a deposit. */
type DepositOf = Pick<DepositBody, 'patient' | 'nonce' | 'commitment' | 'file'>
type DepositRequest = PersonRequest & { readonly kind: 'deposit' }
type Handover = PersonRequest & { readonly kind: 'handover' }

const DAY = 24 * 3_600_000

/** X25519 key of a version of an identity; undefined where it is not on the chain. */
export async function sealKeyOf(
  chain: Pick<CustodyChain, 'transaction'>,
  version: Uint8Array,
): Promise<Uint8Array | undefined> {
  const standing = await chain.transaction(chainCidAt(version, 0))
  return standing?.transaction.kind === 'identity' ? standing.transaction.body.seal : undefined
}

/** Takes shares in. */
export function createShareKeeper(dependencies: ShareKeeperDependencies, limits: KeeperLimits) {
  const { genesis, signer, sealSecret, chain, shares, now, erased } = dependencies

  /** @throws EmrError `share_unopened`, `share_wrong` */
  async function openShare(of: DepositOf, sealed: Sealed, own: Uint8Array): Promise<Uint8Array> {
    try {
      const place = { genesis: genesis.bytes, custodian: own, ...of }
      const share = await openDepositShare(sealSecret, sealed, place)
      assertShare(share, of.commitment)
      return share
    } catch (error) {
      if (!isEmrError(error, 'seal_wrong')) throw error
      const version = identityOf(chain.contractState(), own)?.version
      const registered = version && (await sealKeyOf(chain, version))
      const isOwn = registered && equalBytes(registered, await publicKeyOf(sealSecret))
      throw new EmrError('share_unopened', isOwn ? undefined : 'The identity of this node names another key.')
    }
  }

  const receiptOf = (of: DepositOf, node: Uint8Array): DepositReceipt => ({
    ...{ node, key: signer.publicKey, sig: signer.sign(depositMessage(genesis, of)) },
  })

  return {
    /** Keeps the share of a request that has been checked. */
    async deposit({ body, from, to }: DepositRequest): Promise<DepositReceipt> {
      assertCustodianOf(chain, body.patient, to, now())
      const { enc, sealed, label, ...of } = body
      const share = await openShare(of, { enc, ct: sealed }, to)
      const id = depositIdOf(genesis, of)
      const record = shares.erasures.recordOf(id)
      if (record) throw await erased(record)
      const kept = shares.get(id)
      if (kept) {
        if (equalBytes(kept.label, label)) return receiptOf(of, to)
        const author = identityOfKey(chain.contractState(), from)
        if (!author || !equalBytes(author.id, of.patient)) throw new EmrError('share_differs')
      } else {
        if (shares.count() >= limits.maxShares) throw new EmrError('custody_full')
        if (shares.waitingOf(from, now() - DAY) >= limits.maxWaiting) throw new EmrError('custody_author_full')
      }
      await shares.put(id, { ...of, share, label, author: kept?.author ?? from, at: kept?.at ?? now() })
      return receiptOf(of, to)
    },

    /** Keeps what another custodian hands over, and signs for it. What is kept already stays as it is. */
    async takeOver({ body: { record, enc, sealed, label }, from, to, nonce }: Handover): Promise<Uint8Array> {
      const { patient, nonce: ofRecord, commitment, file } = await recordBody(chain, record)
      const row = recordOf(chain.contractState(), record)
      if (row?.state === 2) throw await erased(record)
      if (!row) throw new EmrError('record_unknown')
      assertCustodianOf(chain, patient, to, now())
      const sender = identityOfKey(chain.contractState(), from)
      const isNode = sender?.identity.role === roles.node
      if (!isNode || !(await wasCustodianOf(chain, patient, Uint8Array.from(sender.id))))
        throw new EmrError('not_custodian', 'The sender never was one.')
      const of = { patient, nonce: ofRecord, commitment, file }
      const share = await openShare(of, { enc, ct: sealed }, to)
      const id = depositIdOf(genesis, of)
      if (shares.erasures.recordOf(id)) throw await erased(record)
      if (!shares.get(id)) {
        if (shares.count() >= limits.maxShares) throw new EmrError('custody_full')
        await shares.put(id, { ...of, share, label, author: from, at: now() }, { claimed: true })
      }
      return signHandoverReceipt({ chain: genesis, record, nonce, at: now() }, signer)
    },
  }
}
