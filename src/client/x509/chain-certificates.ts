import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { CID } from 'multiformats/cid'
import { EmrError, isEmrError } from '../../errors.js'
import { equalBytes } from '../../protocol/canonical.js'
import { chainCidAt, parseChainId } from '../../protocol/cid.js'
import { type Role, roleNamed } from '../../protocol/consent-vocabulary.js'
import { Type, Value } from '../../typebox.js'
import { type CertificateNow, certificateNow } from '../consent/person.js'
import type { BlockPlace, HistoryEntry } from '../node-answers.js'
import type { NodeClient } from '../node-client.js'
import type { CertificateSource, CertifiedIdentity, ChainCertificate } from './certificate-source.js'

type Asked = Pick<NodeClient, 'identity' | 'identityOfKey' | 'history' | 'transaction' | 'signedTransaction'>

const RevocationBody = Type.Object({ certificate: Type.String(), reason: Type.Integer() })

/** Certificates and identities as the chain of a node has them now. */
export function createCertificateSource(node: Asked, genesis: CID, signal?: AbortSignal): CertificateSource {
  async function identity(id: CID): Promise<CertifiedIdentity | undefined> {
    const now = await node.identity(id.toString(), { signal }).catch((error: unknown) => {
      if (isEmrError(error, 'identity_unknown')) return undefined
      throw error
    })
    return now && { role: roleOf(now.role), key: hexToBytes(now.key), formerKeys: await formerKeys(now.version) }
  }

  /** Back from the newest version: each key that the version after it replaced. */
  async function formerKeys(newest: string): Promise<CertifiedIdentity['formerKeys']> {
    const found: { key: Uint8Array; replacedAt: number }[] = []
    let version = await node.signedTransaction(newest, { signal })
    while (version.kind === 'identity' && version.body.previous) {
      const before = await node.signedTransaction(chainCidAt(version.body.previous, 0).toString(), { signal })
      if (before.kind !== 'identity') throw new EmrError('node_unexpected', 'A version that is none.')
      const { block } = await node.transaction(version.id.toString(), { signal })
      if (block && !equalBytes(before.body.key, version.body.key)) {
        found.push({ key: before.body.key, replacedAt: timeOf(block) })
      }
      version = before
    }
    return found
  }

  async function revocationOf(certificate: string): Promise<ChainCertificate['revoked']> {
    for await (const { kind, result, body, block } of node.history({ about: certificate }, { signal })) {
      if (kind !== 'certificate_revocation' || result.code !== 0 || !Value.Check(RevocationBody, body)) continue
      if (body.certificate === certificate) return { reason: body.reason, at: timeOf(block) }
    }
    throw new EmrError('node_unexpected', 'A certificate is revoked, and by nobody.')
  }

  async function chainCertificate(now: CertificateNow, author: string): Promise<ChainCertificate> {
    const { id: issuer } = await node.identityOfKey(author, { signal })
    const { id, subject, role, capabilities, from, until, under, revoked } = now
    return {
      ...{ id: parseChainId(id), subject: parseChainId(subject), role: role as Role, capabilities, from, until },
      issuer: parseChainId(issuer),
      under: under === null ? null : parseChainId(under),
      revoked: revoked ? await revocationOf(id) : null,
    }
  }

  /** What this identity signed, newest first, by each of its keys. */
  async function* signedBy(id: CID): AsyncGenerator<HistoryEntry, void, undefined> {
    const now = await identity(id)
    for (const key of now ? [now.key, ...now.formerKeys.map(({ key }) => key)] : []) {
      yield* node.history({ author: bytesToHex(key) }, { signal })
    }
  }

  return {
    genesis,
    identity,
    async certificate(id) {
      const answer = await node.transaction(id.toString(), { signal }).catch((error: unknown) => {
        if (isEmrError(error, 'transaction_unknown')) return undefined
        throw error
      })
      const now = answer?.state === 'confirmed' ? certificateNow({ ...answer, id: id.toString() }) : undefined
      return now && chainCertificate(now, answer?.transaction.signer ?? '')
    },
    async certificatesOf(issuer) {
      const found: ChainCertificate[] = []
      for await (const entry of signedBy(issuer)) {
        const now = certificateNow(entry)
        if (now) found.push(await chainCertificate(now, entry.author))
      }
      return found.reverse()
    },
  }
}

function roleOf(name: string): Role {
  const role = roleNamed(name)
  if (role === undefined) throw new EmrError('node_unexpected', `It knows a role ${name}.`)
  return role
}

/** The time of a block, which the paper's calls write with microseconds, in ms. */
const timeOf = ({ timestamp }: BlockPlace): number => Date.parse(`${timestamp.slice(0, 23).replace(' ', 'T')}Z`)
