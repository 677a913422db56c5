import type { CID } from 'multiformats/cid'
import { EmrError } from '../errors.js'
import type { Block } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { decodeBlocks, decodeCar } from '../protocol/car.js'
import { idKey } from '../protocol/cid.js'
import { decodeTransaction, type SignedTransaction } from '../protocol/transaction.js'

/**
 * The transactions of a CAR, each one that was asked for. Their ids are computed from their bytes.
 *
 * @throws EmrError `malformed_car`, those of transactions, `wrong_cid`, and `peer_misbehaved` for a CAR that
 * holds what nobody asked for, a thing twice, or nothing
 */
export function readGivenTransactions(car: Uint8Array, asked: readonly CID[]): SignedTransaction[] {
  const open = new Set(asked.map(idKey))
  const given = decodeCar(car).sections.map(({ cid, bytes }) => {
    const transaction = decodeTransaction(bytes)
    if (!equalBytes(transaction.id.bytes, cid.bytes))
      throw new EmrError('wrong_cid', undefined, { cid: cid.toString() })
    if (!open.delete(idKey(cid))) throw new EmrError('peer_misbehaved', 'It gave what nobody asked for.')
    return transaction
  })
  if (given.length === 0) throw new EmrError('peer_misbehaved', 'It gave nothing.')
  return given
}

/** The one block of a CAR. @throws EmrError `malformed_car`, those of blocks, `peer_misbehaved` for another block */
export function readGivenBlock(car: Uint8Array, id: CID): Block {
  const [block, ...more] = decodeBlocks(car)
  if (!block?.header.id.equals(id) || more.length > 0) throw new EmrError('peer_misbehaved', 'It gave another block.')
  return block
}
