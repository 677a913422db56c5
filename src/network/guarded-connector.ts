import { type LookupAddress, lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { buildConnector } from 'undici'
import { EmrError } from '../errors.js'
import type { AddressPolicy } from './address-policy.js'

/** Finds all addresses of a name; `dns.lookup` with `all` fits. */
export type ResolveAll = (
  name: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void

export const resolveBySystem: ResolveAll = (name, done) => {
  systemLookup(name, { all: true }, (error, addresses) => done(error, addresses ?? []))
}

/**
 * Opens connections to allowed addresses and to no others. A literal address is checked before the connection,
 * since nothing is looked up for it. A name is resolved once; what is not allowed of the answer is left out,
 * and the connection goes to the very addresses that were checked.
 *
 * @param options `ca` stands in the place of the system's certificates; `timeout` is in ms
 *
 * The callback gets EmrError `peer_forbidden` where nothing is left.
 */
export function createGuardedConnector(
  policy: AddressPolicy,
  { timeout, ca, resolveAll = resolveBySystem }: { timeout: number; ca?: Buffer | undefined; resolveAll?: ResolveAll },
): buildConnector.connector {
  const lookup: LookupFunction = (name, options, callback) => {
    resolveAll(name, (error, found) => {
      if (error) return callback(error, [])
      const allowed = found.filter(({ address }) => policy.allowsAddress(address, name))
      const [first] = allowed
      if (!first) return callback(new EmrError('peer_forbidden'), [])
      if (options.all) callback(null, [...allowed])
      else callback(null, first.address, first.family)
    })
  }
  const connect = buildConnector({ timeout, lookup, ...(ca ? { ca } : {}) } as buildConnector.BuildOptions)

  return (options, callback) => {
    const host = options.hostname.replace(/^\[(.*)\]$/, '$1')
    const allowed = policy.allowsHost(host) && (isIP(host) === 0 || policy.allowsAddress(host, host))
    if (!allowed) callback(new EmrError('peer_forbidden'), null)
    else connect({ ...options, hostname: host }, callback)
  }
}
