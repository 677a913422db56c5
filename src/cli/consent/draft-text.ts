import { wordsOf } from '../../client/consent/scope-text.js'
import type { DraftContents, DraftSigner } from '../../client/person/approve-draft.js'
import { capabilities, NO_END, revocationReasons } from '../../protocol/consent-vocabulary.js'
import { facts } from '../text.js'

/** All that a draft says, as a document. Times in ms since 1970; `until` is null without end. */
export function draftDocument({ draft, subject, certificate, author, approvals }: DraftContents) {
  const common = { kind: draft.kind, subject, author, approvals }
  if (draft.kind === 'certificate') {
    const { capabilities: can, from, until } = draft.body
    return { ...common, can: wordsOf(can, capabilities), from, until: until === NO_END ? null : until }
  }
  const [reason] = Object.entries(revocationReasons).find(([, code]) => code === draft.body.reason) ?? []
  return { ...common, certificate, reason }
}

/** The same for who has to decide whether to sign it. */
export function draftText(contents: DraftContents, nameOf: (id: string) => string): string {
  const signer = ({ id, key, administrator }: DraftSigner): string =>
    `${id === null ? `the key ${key}, which is nobody's` : nameOf(id)}${administrator ? '' : ' (NO ADMINISTRATOR)'}`
  const { subject, author, approvals } = contents
  const said = draftDocument(contents)
  const date = (time: number): string => new Date(time).toISOString()
  const terms: [string, string][] =
    'can' in said
      ? [
          ['certifies', `${nameOf(subject.id)} as ${subject.role}`],
          ...(said.can.length > 0 ? [['to', said.can.join(', ')] as [string, string]] : []),
          ['from', date(said.from)],
          ['until', said.until === null ? 'without end' : date(said.until)],
        ]
      : [
          ['ends', `the certificate ${said.certificate}`],
          ['of', `${nameOf(subject.id)} as ${subject.role}`],
          ['reason', said.reason ?? 'unknown'],
        ]
  return facts([
    ...terms,
    ...(nameOf(subject.id) === subject.id ? [] : [['id', subject.id] as [string, string]]),
    ['author', `${signer(author)}, who signs when it is sent`],
    ['approved by', approvals.length === 0 ? 'nobody yet' : approvals.map(signer).join(', ')],
  ])
}
