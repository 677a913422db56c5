import { type Draft, decodeDraft, encodeDraft } from '../../client/consent/draft.js'
import { EmrError, isEmrError } from '../../errors.js'
import { openRegularFile } from '../regular-file.js'
import { writeOutput } from '../write-output.js'

/** More than a transaction can have. */
const MAX_BYTES = 16_384

/** Writes a draft for others to approve. @throws EmrError `output_exists`, `path_not_found`, `disk_full`, `disk_failed` */
export async function writeDraft(path: string, draft: Draft, options: { force?: true } = {}): Promise<void> {
  await writeOutput(path, encodeDraft(draft), options)
}

/** @throws EmrError `input_unreadable`; `usage` if it is no draft */
export async function readDraftFile(path: string): Promise<Draft> {
  const file = await openRegularFile(path)
  try {
    return decodeDraft(Uint8Array.from(await file.head(MAX_BYTES)))
  } catch (error) {
    if (!isEmrError(error) || error.code === 'input_unreadable') throw error
    throw new EmrError(
      'usage',
      `${path} is no draft as "certify --draft" or "record --draft" writes it.`,
      {},
      { cause: error },
    )
  } finally {
    await file.close()
  }
}
