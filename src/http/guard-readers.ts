import type { FastifyInstance, FastifyRequest } from 'fastify'
import { EmrError } from '../errors.js'
import type { EmrNode } from '../node/emr-node.js'
import { type AccessRules, createOperatorCheck } from './access.js'

/**
 * Whether what a request asks for belongs to who signed it with this key, who may then read it before being certified.
 * Parameters have not been checked yet.
 */
export type IsOwn = (request: FastifyRequest, key: string) => boolean | Promise<boolean>

declare module 'fastify' {
  interface FastifyContextConfig {
    isOwn?: IsOwn
  }
  interface FastifyRequest {
    /** The key for which the request was let through; undefined where no key was asked for. */
    readsAs: string | undefined
  }
}

/**
 * Guards routes whose access is `reader`. In an open network they are public. In one with administrators they are for
 * who signs with a certified key, for whom it is their own, and for the operator: by the token, or unsigned from this
 * machine. Who signs is judged by the key, from wherever it calls.
 *
 * Requests fail with EmrError `reader_unsigned` or `reader_not_certified`. Called after `identifySenders`, whose
 * signatures it goes by.
 */
export function guardReaders(server: FastifyInstance, { readers }: Pick<EmrNode, 'readers'>, rules: AccessRules): void {
  server.decorateRequest('readsAs', undefined)
  if (readers.isOpen) return
  const { hasToken, isNear } = createOperatorCheck(rules)
  server.addHook('onRequest', async (request) => {
    const { access, isOwn } = request.routeOptions.config ?? {}
    if (access !== 'reader' || hasToken(request)) return
    if (!request.sender) {
      if (isNear(request)) return
      throw new EmrError('reader_unsigned')
    }
    const { key } = request.sender
    if (!readers.mayRead(key) && !(await isOwn?.(request, key))) throw notCertified(readers.ownerOf(key))
    request.readsAs = key
  })
}

/** Says to who proved a key whose it is, so that they know what is to be certified. */
function notCertified(owner: ReturnType<EmrNode['readers']['ownerOf']>): EmrError {
  if (!owner) return new EmrError('reader_not_certified', 'No identity on the chain has it.')
  const what = owner.isCurrent ? 'It is the key of' : 'It was replaced by another key of'
  return new EmrError('reader_not_certified', `${what} ${owner.identity}.`)
}

/** A parameter of a request that has not been checked; undefined where it is not one text. */
export function textIn(values: unknown, name: string): string | undefined {
  if (typeof values !== 'object' || values === null) return undefined
  const value: unknown = Reflect.get(values, name)
  return typeof value === 'string' ? value : undefined
}
