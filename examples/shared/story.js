// How an example tells its story: it prints steps in plain words, checks each claim that it makes, and cleans up.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isEmrError } from '#emrchain/errors.js'

/**
 * Where an example plays: a folder of its own, and what is to be ended when it is over.
 *
 * @typedef {object} Stage
 * @property {string} folder removed at the end
 * @property {AbortSignal} signal aborted by Ctrl-C
 * @property {(end: () => Promise<void>) => void} atEnd the last one that was given is ended first
 */

let claims = 0

/** @param {string} text what happens now */
export const step = (text) => console.log(`\n${text}`)

/** @param {string} text a remark */
export const tell = (text) => console.log(`      ${text}`)

/**
 * A claim of the example. It has to hold.
 *
 * @param {string} claim
 * @param {boolean} holds
 * @param {string} [found] what was found instead
 */
export function check(claim, holds, found) {
  if (!holds) throw new Error(`This does not hold: ${claim}${found === undefined ? '' : `\n      Found: ${found}`}`)
  claims++
  console.log(`  ok  ${claim}`)
}

/**
 * A transaction is on the chain and has effect there.
 *
 * @param {string} claim
 * @param {import('#emrchain/client/person/person-session.js').SentTransaction} sent
 */
export const counts = (claim, { state, result }) =>
  check(claim, state === 'confirmed' && result.code === 0, `${state}, ${result.name}: ${result.sentence}`)

/**
 * The same of several that were sent one after the other, and mined together.
 *
 * @param {string} claim
 * @param {Pick<import('#emrchain/client/node-client.js').NodeClient, 'transaction'>} client
 * @param {readonly { readonly id: string }[]} sent
 */
export async function allCount(claim, client, sent) {
  const found = await Promise.all(sent.map(({ id }) => client.transaction(id)))
  const without = found.find(({ state, result }) => state !== 'confirmed' || result.code !== 0)
  check(claim, without === undefined, without && `${without.kind}: ${without.state}, ${without.result.name}`)
}

/**
 * A transaction is on the chain for all to see, and changes nothing.
 *
 * @param {string} claim
 * @param {import('#emrchain/client/person/person-session.js').SentTransaction} sent
 * @param {import('#emrchain/contract/result-codes.js').ResultName} reason
 */
export function changesNothing(claim, { state, result }, reason) {
  check(claim, state === 'confirmed' && result.name === reason, `${state}, ${result.name}: ${result.sentence}`)
  tell(`The chain says ${result.name}: ${result.sentence}`)
}

/**
 * Something is refused, and for this reason.
 *
 * @param {string} claim
 * @param {Promise<unknown>} attempt
 * @param {import('#emrchain/errors.js').ErrorCode} code
 * @param {string} [detail] a part of the message
 */
export async function refused(claim, attempt, code, detail = '') {
  const outcome = await attempt.then(
    () => undefined,
    (/** @type {unknown} */ error) => error,
  )
  if (outcome === undefined) check(claim, false, 'It was not refused.')
  else if (!isEmrError(outcome)) throw outcome
  else {
    const isThis = outcome.code === code && outcome.message.includes(detail)
    check(claim, isThis, `${outcome.code}: ${outcome.message}`)
    tell(`The answer is ${outcome.code}: ${outcome.message}`)
  }
}

/**
 * Plays an example from the start to the end. The exit code is 0 only if everything is as it says.
 *
 * @param {string} title
 * @param {(stage: Stage) => Promise<void>} act
 */
export async function play(title, act) {
  const interruption = new AbortController()
  const interrupt = () => interruption.abort()
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, interrupt)
  const folder = await mkdtemp(join(tmpdir(), 'emrchain-example-'))
  /** @type {(() => Promise<void>)[]} */
  const ends = [() => rm(folder, { recursive: true, force: true })]
  console.log(title)
  try {
    await act({ folder, signal: interruption.signal, atEnd: (end) => ends.unshift(end) })
    console.log(`\n${title}: all ${claims} claims hold.`)
  } catch (error) {
    process.exitCode = interruption.signal.aborted ? 130 : 1
    const text = error instanceof Error ? error.message : String(error)
    console.log(`\n${title}: ${interruption.signal.aborted ? 'interrupted.' : `NOT as said.\n  ${text}`}`)
    if (!interruption.signal.aborted && isEmrError(error)) console.log(error.stack)
  }
  for (const end of ends) await end()
  for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, interrupt)
}
