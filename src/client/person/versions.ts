import { EmrError } from '../../errors.js'
import { chainCidAt } from '../../protocol/cid.js'
import type { IdentityTransaction as Version } from '../consent/identity.js'
import type { Asking } from './person-session.js'

/** The newest version of an identity that is on the chain. @throws EmrError `identity_unknown`, `node_unexpected` */
export async function newestVersionOf(asking: Pick<Asking, 'client' | 'signal'>, id: string): Promise<Version> {
  const { version } = await asking.client.identity(id, { signal: asking.signal })
  return versionAt(asking, version)
}

/** This version of an identity and all before it, newest first. @throws EmrError `node_unexpected` */
export async function* versionsFrom(
  asking: Pick<Asking, 'client' | 'signal'>,
  newest: Version,
): AsyncGenerator<Version, void, undefined> {
  for (let version = newest; ; ) {
    yield version
    const { previous } = version.body
    if (!previous) return
    version = await versionAt(asking, chainCidAt(previous, 0).toString())
  }
}

async function versionAt({ client, signal }: Pick<Asking, 'client' | 'signal'>, id: string): Promise<Version> {
  const found = await client.signedTransaction(id, { signal })
  if (found.kind !== 'identity') throw new EmrError('node_unexpected', 'It names another transaction as the version.')
  return { ...found, kind: found.kind, body: found.body }
}
