import { randomBytes } from 'node:crypto'
import type { CID } from 'multiformats/cid'
import { identityOf } from '../contract/rows.js'
import { EmrError } from '../errors.js'
import { equalBytes } from '../protocol/canonical.js'
import { chainCidAt } from '../protocol/cid.js'
import { decodeCustodianView, encodeViewQuestion } from '../protocol/custodian-view.js'
import type { SignatureRules } from '../protocol/transaction.js'
import type { CustodyChain, KnownNode, OtherNodes } from './custody-dependencies.js'
import type { Concern } from './pending-withdrawals.js'

/** How long a custodian tries to agree with the others, pauses between two rounds, and waits for one answer, in ms. */
export const AGREEMENT = { within: 30_000, pause: 500, answer: 5_000 } as const

export interface AgreementDependencies {
  readonly genesis: CID
  readonly chain: Pick<CustodyChain, 'contractState' | 'tip' | 'isKnown'>
  readonly others: Pick<OtherNodes, 'askView'>
  readonly rules: SignatureRules
  now(): number
  /** Waits so many ms. */
  pause(ms: number): Promise<void>
  ownId(): Uint8Array | undefined
}

/**
 * Resolves when more than half of the patient's current custodians, this one counted, have the same tip as this node
 * and know of no pending withdrawal of consent that this node does not know. So a custodian that was cut off gives
 * nothing out under consent that was revoked meanwhile.
 *
 * @throws EmrError `custodians_disagree` after 30 s without
 */
export function createCustodianAgreement(dependencies: AgreementDependencies) {
  const { genesis, chain, others, rules, now, pause, ownId } = dependencies

  async function agrees(node: KnownNode, concern: Concern, signal: AbortSignal): Promise<boolean> {
    const nonce = Uint8Array.from(randomBytes(16))
    const before = chain.tip().id
    const answer = await others.askView(node, encodeViewQuestion({ chain: genesis, nonce, ...concern }), signal)
    const { fields: view, claim } = decodeCustodianView(answer)
    if (!view.chain.equals(genesis) || !equalBytes(view.nonce, nonce) || !equalBytes(view.key, node.key)) return false
    if (!rules.verify(claim.signature, claim.message, claim.key)) return false
    // This node may have moved while it waited.
    if (!view.tip.equals(before) && !view.tip.equals(chain.tip().id)) return false
    return view.withdrawals.every((id) => chain.isKnown(chainCidAt(id, 0)))
  }

  /** One round: resolves when enough agree, or all have answered. */
  function round(nodes: readonly KnownNode[], needed: number, concern: Concern): Promise<boolean> {
    const controller = new AbortController()
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(AGREEMENT.answer)])
    return new Promise<boolean>((resolve) => {
      let agreeing = 0
      let left = nodes.length
      if (needed <= 0) return resolve(true)
      if (left < needed) return resolve(false)
      for (const node of nodes) {
        agrees(node, concern, signal)
          .catch(() => false)
          .then((yes) => {
            left--
            if (yes) agreeing++
            if (agreeing >= needed) resolve(true)
            else if (agreeing + left < needed) resolve(false)
          })
      }
    }).finally(() => controller.abort())
  }

  return async (concern: Concern): Promise<void> => {
    const until = now() + AGREEMENT.within
    for (;;) {
      const state = chain.contractState()
      const custodians = identityOf(state, concern.patient)?.custodians ?? []
      const own = ownId()
      const nodes = custodians.flatMap((id) => {
        const identity = own && equalBytes(id, own) ? undefined : identityOf(state, id)
        return identity ? [{ id: Uint8Array.from(id), key: Uint8Array.from(identity.key) }] : []
      })
      const isOne = own !== undefined && custodians.some((id) => equalBytes(id, own))
      const needed = Math.floor(custodians.length / 2) + 1 - (isOne ? 1 : 0)
      if (await round(nodes, needed, concern)) return
      if (now() >= until) throw new EmrError('custodians_disagree')
      await pause(AGREEMENT.pause)
    }
  }
}
