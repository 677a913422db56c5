import { EmrError } from '../errors.js'
import { type SignedHeader, signedHeaderBytes } from '../protocol/block.js'
import { equalBytes } from '../protocol/canonical.js'
import { cidToHex } from '../protocol/cid.js'
import { compactToHex, compactToTarget } from '../protocol/compact-target.js'
import type { IdentifiedHeader } from '../protocol/header.js'
import type { NetworkParameters } from '../protocol/network-parameters.js'
import { MAX_TIME_AHEAD, type SignatureRules } from '../protocol/transaction.js'
import { expectedTarget } from './difficulty.js'

/** What a header is checked against. */
export interface HeaderContext {
  readonly network: NetworkParameters
  readonly rules: SignatureRules
  /** Clock of this node, in ms since 1970. */
  readonly now: number
}

/**
 * The rules for a header whose parent is known, cheap ones first (docs/protocol.md, "Rules for headers").
 * `header_time_too_late` is checked last: whoever gets it knows that only the clock speaks against the block.
 *
 * @throws EmrError with the code of the rule that is broken
 */
export function checkHeader(
  { header, signature }: SignedHeader,
  parent: IdentifiedHeader,
  context: HeaderContext,
): void {
  const { network, rules, now } = context
  if (header.version > network.version)
    throw new EmrError('unsupported_version', undefined, { version: header.version })
  if (header.version !== network.version)
    throw new EmrError('header_malformed', 'The version is not that of the network.')
  if (!equalBytes(header.parent.bytes, parent.id.bytes)) throw new EmrError('header_unknown_parent')
  if (header.height !== parent.height + 1) {
    throw new EmrError('header_wrong_height', undefined, { height: header.height, expected: parent.height + 1 })
  }
  const target = compactToTarget(header.target)
  const expected = expectedTarget(network, parent)
  if (header.target !== expected) {
    throw new EmrError('header_wrong_target', undefined, {
      target: compactToHex(header.target),
      expected: compactToHex(expected),
    })
  }
  if (header.time <= parent.time) throw new EmrError('header_time_too_early')
  if (BigInt(`0x${cidToHex(header.id)}`) > target) throw new EmrError('header_insufficient_work')
  if (!rules.isValidKey(header.miner)) throw new EmrError('header_bad_miner')
  if (!rules.verify(signature, signedHeaderBytes(header.id), header.miner)) throw new EmrError('header_bad_signature')
  if (header.time > now + MAX_TIME_AHEAD) {
    throw new EmrError('header_time_too_late', undefined, { time: header.time, now })
  }
}
