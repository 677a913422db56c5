import { Type, Value } from '../../typebox.js'
import type { HistoryEntry } from '../node-answers.js'
import type { NodeClient } from '../node-client.js'

/** A certificate as the chain of a node has it now. Ids as text. */
export interface CertificateNow {
  readonly id: string
  readonly subject: string
  readonly role: number
  readonly capabilities: number
  /** In force from this time on, in ms, to just before `until`. */
  readonly from: number
  readonly until: number
  readonly under: string | null
  readonly revoked: boolean
}

const CertificateBody = Type.Object({
  subject: Type.String(),
  role: Type.Integer(),
  capabilities: Type.Integer(),
  from: Type.Integer(),
  until: Type.Integer(),
  under: Type.Union([Type.String(), Type.Null()]),
})

/** The certificate of an entry of a history; undefined of what is none, or had no effect. */
export function certificateNow({
  id,
  kind,
  result,
  body,
  standing,
}: Pick<HistoryEntry, 'id' | 'kind' | 'result' | 'body' | 'standing'>): CertificateNow | undefined {
  if (kind !== 'certificate' || result.code !== 0 || !Value.Check(CertificateBody, body)) return undefined
  const { subject, role, capabilities, from, until, under } = body
  return { id, subject, role, capabilities, from, until, under, revoked: standing?.revoked === true }
}

/** Whether it is in force by itself; whether that of its issuer is too only the contract says. */
const isInForce = ({ revoked, from, until }: CertificateNow, time: number): boolean =>
  !revoked && time >= from && time < until

/** The certificates of an identity, newest first, those included that have ended. */
export async function* certificatesOf(
  node: Pick<NodeClient, 'history'>,
  subject: string,
  signal?: AbortSignal,
): AsyncGenerator<CertificateNow, void, undefined> {
  for await (const entry of node.history({ about: subject, kind: 'certificate' }, { signal })) {
    const certificate = certificateNow(entry)
    if (certificate?.subject === subject) yield certificate
  }
}

/**
 * The newest certificate of an identity that is in force at a time; null where it has none. Whether that of its issuer
 * is in force too only the contract says.
 */
export async function certificateInForce(
  node: Pick<NodeClient, 'history'>,
  subject: string,
  time: number,
  signal?: AbortSignal,
): Promise<CertificateNow | null> {
  for await (const certificate of certificatesOf(node, subject, signal)) {
    if (isInForce(certificate, time)) return certificate
  }
  return null
}

/** Whether a certificate that is in force by itself lets an identity do this, one of `capabilities`. */
export async function isCertifiedTo(
  node: Pick<NodeClient, 'history'>,
  { subject, capability, time }: { readonly subject: string; readonly capability: number; readonly time: number },
  signal?: AbortSignal,
): Promise<boolean> {
  for await (const certificate of certificatesOf(node, subject, signal)) {
    if ((certificate.capabilities & capability) !== 0 && isInForce(certificate, time)) return true
  }
  return false
}
