import type { CID } from 'multiformats/cid'
import { sha256 } from '../crypto/hash.js'
import type { ConsentRecordBody } from '../protocol/bodies/record.js'
import { depositMessage } from '../protocol/signatures-of-others.js'

/**
 * The name of a deposit: the SHA-256 of what its receipt signs. So a record finds its own deposit and no other, also
 * where somebody writes another one's commitment into a record of his.
 */
export const depositIdOf = (
  genesis: CID,
  of: Pick<ConsentRecordBody, 'patient' | 'nonce' | 'commitment' | 'file'>,
): Uint8Array => sha256(depositMessage(genesis, of))
