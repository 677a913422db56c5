import type { SignedTransaction } from '#emrchain/protocol/transaction.js'
import { type BlockMaker, signerOf } from '../test/fixtures/block-maker.js'
import { hashName } from './chain-tail.js'

export interface SignedRecords {
  /** What is submitted, in order. */
  readonly bodies: readonly Uint8Array[]
  /** Their ids, as `hashName` writes them. */
  readonly names: readonly string[]
  /** The first ones, read. */
  readonly sample: readonly SignedTransaction[]
}

/** Records with labels, all different, signed by so many authors in turn. */
export function signRecords(
  maker: BlockMaker,
  count: number,
  { authors, sample }: { authors: number; sample: number },
) {
  const signers = Array.from({ length: authors }, (_, at) => signerOf(`author-${at}`))
  const signed = { bodies: [] as Uint8Array[], names: [] as string[], sample: [] as SignedTransaction[] }
  const at = Date.now()
  for (let made = 0; made < count; made++) {
    const signer = signers[made % authors]
    if (!signer) throw new Error('There are no authors.')
    const user_id = `user-${made % authors}`
    const label = { user_id, EHR_name: `MRI-${made}`, file_name: `MRI-${made}.pdf`, size: made }
    const record = maker.record(`MRI-${made}`, { at, signer, label })
    signed.bodies.push(record.bytes)
    signed.names.push(nameOf(record))
    if (made < sample) signed.sample.push(record)
  }
  return signed satisfies SignedRecords
}

/** The id of a transaction, as `hashName` writes it. */
export const nameOf = ({ id }: SignedTransaction): string => hashName(id.multihash.digest)
