import { wordsOf } from '../../client/consent/scope-text.js'
import type { Amendment, AmendmentSigner } from '../../client/person/approve-amendment.js'
import { recordClasses } from '../../protocol/consent-vocabulary.js'
import { facts } from '../text.js'

/** All that an amendment says, as a document. */
export function amendmentDocument({ draft, patient, supersedes, cid, class: one, author, approval }: Amendment) {
  const recordClass = wordsOf(one, recordClasses).join()
  return { kind: draft.kind, patient, supersedes, cid, class: recordClass, author, approval }
}

/** The same for who has to decide whether to sign it. */
export function amendmentText(amendment: Amendment, nameOf: (id: string) => string): string {
  const signer = ({ id, key, role }: AmendmentSigner): string =>
    id === null ? `the key ${key}, which is nobody's` : `${nameOf(id)}, ${role?.replaceAll('_', ' ')}`
  const { patient, supersedes, cid, class: recordClass, author, approval } = amendmentDocument(amendment)
  const isDoctor = approval === null || approval.role === 'doctor'
  return facts([
    ['amends', `the record ${supersedes}, of class ${recordClass}`],
    ['of', nameOf(patient)],
    ...(nameOf(patient) === patient ? [] : [['id', patient] as [string, string]]),
    ['by the file', `${cid}, which is encrypted: have the author show you what is in it`],
    ['author', `${signer(author)}, who signs when it is sent`],
    ['approved by', approval === null ? 'nobody yet' : `${signer(approval)}${isDoctor ? '' : ' (NO DOCTOR)'}`],
  ])
}
