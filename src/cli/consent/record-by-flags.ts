import { stat } from 'node:fs/promises'
import { basename, join, parse } from 'node:path'
import {
  addConsentRecord,
  draftConsentRecord,
  type RecordedFile,
  type StoredFile,
} from '../../client/person/add-consent-record.js'
import { readConsentRecord } from '../../client/person/read-consent-record.js'
import { encryptedSize } from '../../crypto/file-cipher.js'
import { EmrError } from '../../errors.js'
import { confidentiality, purposes, recordClasses, sensitivities } from '../../protocol/consent-vocabulary.js'
import type { Globals } from '../globals.js'
import { showProgress } from '../progress.js'
import { openRegularFile } from '../regular-file.js'
import { assertFree, writeOutput } from '../write-output.js'
import { writeDraft } from './draft-file.js'
import { readMemberShare } from './member-share-file.js'
import { openConsentSession } from './session.js'
import { bitsOf, oneOf } from './words.js'

export interface RecordFlags {
  readonly name: string
  readonly class: string
  readonly patient?: string
  readonly for?: string
  readonly grant?: string
  readonly confidentiality: string
  readonly sensitive?: string[]
  readonly supersedes?: string
  readonly draft?: string
  readonly mine?: true
}

/**
 * Puts a file under consent; with `draft` all but that, for a doctor to approve.
 *
 * @throws EmrError `usage`, `contact_unknown`, and those of `addConsentRecord`
 */
export async function recordByFlags(
  path: string,
  flags: RecordFlags,
  globals: Globals,
): Promise<RecordedFile | (StoredFile & { readonly draft: string })> {
  if (flags.draft !== undefined) {
    if (flags.mine) throw new EmrError('usage', 'A draft is in no block; --mine goes with "approve --send".')
    if (flags.supersedes === undefined)
      throw new EmrError('usage', 'Only what replaces a record is approved: --supersedes.')
    await assertFree(flags.draft)
  }
  const facts = {
    ...{ name: flags.name, grant: flags.grant, supersedes: flags.supersedes },
    class: oneOf('--class', flags.class, recordClasses),
    confidentiality: oneOf('--confidentiality', flags.confidentiality, confidentiality),
    sensitivity: bitsOf('--sensitive', flags.sensitive ?? [], sensitivities),
    purpose: flags.for === undefined ? undefined : oneOf('--for', flags.for, purposes),
  }
  const file = await openRegularFile(path)
  try {
    const session = await openConsentSession(globals)
    const patient = flags.patient === undefined ? undefined : session.contacts.idOf(flags.patient)
    const fileName = basename(path)
    const progress = await showProgress(fileName, encryptedSize(file.size))
    const whole = { ...facts, patient, fileName, bytes: file.bytes, size: file.size }
    const { onProgress } = progress
    if (flags.draft === undefined) {
      return await addConsentRecord(session, whole, { mine: flags.mine, onProgress }).finally(progress.stop)
    }
    const { draft, ...stored } = await draftConsentRecord(session, whole, { onProgress }).finally(progress.stop)
    await writeDraft(flags.draft, draft)
    return { ...stored, draft: flags.draft }
  } finally {
    await file.close()
  }
}

export interface ReadFlags {
  readonly output: string
  readonly for?: string
  readonly grant?: string
  readonly share?: string
  readonly mine?: true
  readonly force?: true
}

export interface ReadFile {
  readonly record: string
  readonly name: string
  readonly path: string
  readonly size: number
  /** The access that is on the chain for it. */
  readonly access: string
  readonly grant: string | null
}

/** Reads a record into a file. @throws EmrError `usage`, `output_exists`, and those of `readConsentRecord` */
export async function readByFlags(id: string, flags: ReadFlags, globals: Globals): Promise<ReadFile> {
  const isFolder = await stat(flags.output).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isFolder) await assertFree(flags.output, flags)
  const purpose = flags.for === undefined ? undefined : oneOf('--for', flags.for, purposes)
  const member = flags.share === undefined ? undefined : await readMemberShare(flags.share, id)
  const session = await openConsentSession(globals)
  const { grant = member?.grant } = flags
  const onWaiting = async (): Promise<void> => {
    if (!flags.mine)
      process.stderr.write(
        'The grant counts its uses, and this one counts now: it has to be in a block first. Waiting for it.\n',
      )
    else await session.client.mine({ signal: session.signal })
  }
  const reading = { purpose, grant, memberShare: member?.share, onWaiting }
  const opened = await readConsentRecord(session, id, reading)
  const { label } = opened
  const path = isFolder ? await freePath(flags.output, label?.fileName ?? `${id}.bin`, flags) : flags.output
  const progress = await showProgress(label?.fileName ?? opened.cid, encryptedSize(label?.size ?? 0))
  const size = await writeOutput(path, opened.contents(progress.onProgress), flags).finally(progress.stop)
  const name = label?.name ?? 'a record without a label'
  return { record: id, name, path, size, access: opened.access, grant: opened.grant }
}

/**
 * Where a file of this name goes in a folder. What is there is left as it is: the share is given out by now, and an access
 * that may be the last one must not be for nothing.
 */
async function freePath(folder: string, fileName: string, { force }: Pick<ReadFlags, 'force'>): Promise<string> {
  const { name, ext } = parse(fileName)
  for (let copy = 0; ; copy++) {
    const path = join(folder, copy === 0 ? fileName : `${name} (${copy})${ext}`)
    const isThere = await stat(path).then(
      () => true,
      () => false,
    )
    if (!isThere || force) return path
  }
}
