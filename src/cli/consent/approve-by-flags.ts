import type { Draft } from '../../client/consent/draft.js'
import { readAmendment, sendAmendment, signAmendment } from '../../client/person/approve-amendment.js'
import { approveDraft, readDraft, sendDraft } from '../../client/person/approve-draft.js'
import type { PersonSession, SendOptions, SentTransaction } from '../../client/person/person-session.js'
import { amendmentDocument, amendmentText } from './amendment-text.js'
import { draftDocument, draftText } from './draft-text.js'

/** A draft that somebody looks at, signs or sends. */
export interface OpenDraft {
  readonly document: object
  text(nameOf: (id: string) => string): string
  /** The same with the signature of this person. */
  sign(): Promise<Draft>
  send(options: SendOptions): Promise<SentTransaction>
}

/** What is in a draft: of administrators, or an amendment. @throws EmrError those of `readDraft` and `readAmendment` */
export async function openDraft(session: PersonSession, draft: Draft): Promise<OpenDraft> {
  if (draft.kind === 'record') {
    const amendment = await readAmendment(session, draft)
    return {
      document: amendmentDocument(amendment),
      text: (nameOf) => amendmentText(amendment, nameOf),
      sign: () => signAmendment(session, amendment),
      send: (options) => sendAmendment(session, amendment, options),
    }
  }
  const contents = await readDraft(session, draft)
  return {
    document: draftDocument(contents),
    text: (nameOf) => draftText(contents, nameOf),
    sign: () => approveDraft(session, contents),
    send: (options) => sendDraft(session, contents, options),
  }
}
