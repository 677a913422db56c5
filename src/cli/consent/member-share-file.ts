import { hexToBytes } from '@noble/hashes/utils.js'
import type { MemberShare } from '../../client/person/share-record.js'
import { EmrError } from '../../errors.js'
import { Type, Value } from '../../typebox.js'
import { openRegularFile } from '../regular-file.js'
import { writeOutput } from '../write-output.js'

const MemberShareSchema = Type.Object({
  record: Type.String(),
  grant: Type.String(),
  member: Type.String(),
  share: Type.String({ pattern: '^[0-9a-f]{160}$' }),
})

/** Writes what an organisation hands to a member; nobody else opens it. @throws EmrError `output_exists`, `disk_failed` */
export async function writeMemberShare(path: string, share: MemberShare, options: { force?: true }): Promise<void> {
  await writeOutput(path, Buffer.from(`${JSON.stringify(share, null, 2)}\n`), options)
}

/** @throws EmrError `input_unreadable`; `usage` if it is of another record or none at all */
export async function readMemberShare(path: string, record: string): Promise<{ grant: string; share: Uint8Array }> {
  const found = parse(await beginningOf(path))
  if (!found) throw new EmrError('usage', `${path} is no share as "emrchain share" writes it.`)
  if (found.record !== record) throw new EmrError('usage', `${path} is of the record ${found.record}.`)
  return { grant: found.grant, share: hexToBytes(found.share) }
}

/** As much of a file as a share can have. */
async function beginningOf(path: string): Promise<string> {
  const file = await openRegularFile(path)
  try {
    return Buffer.from(await file.head(4_096)).toString()
  } finally {
    await file.close()
  }
}

function parse(text: string): MemberShare | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(MemberShareSchema, value) ? value : undefined
  } catch {
    return undefined
  }
}
