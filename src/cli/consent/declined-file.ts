import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { EmrError } from '../../errors.js'
import { Type, Value } from '../../typebox.js'
import { makePrivateFolder, writeOutput } from '../write-output.js'

const DeclinedSchema = Type.Array(Type.String({ minLength: 1, maxLength: 100 }))

/** Beside the wallet, as the contacts: it is nobody else's matter what a person does not answer. */
const declinedPath = (wallet: string): string => join(dirname(wallet), 'declined.json')

/** Ids of the requests that this person set aside. @throws EmrError `input_unreadable` */
export async function readDeclined(wallet: string): Promise<ReadonlySet<string>> {
  const path = declinedPath(wallet)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return new Set()
    throw new EmrError('input_unreadable', path, {}, { cause })
  }
  try {
    const value: unknown = JSON.parse(text)
    if (Value.Check(DeclinedSchema, value)) return new Set(value)
  } catch {
    // What is no JSON is as useless as JSON of another form.
  }
  throw new EmrError('input_unreadable', `${path} is not what "requests --decline" wrote; remove it.`)
}

/** Notes it durably. @throws EmrError `disk_full`, `disk_failed` */
export async function writeDeclined(wallet: string, declined: ReadonlySet<string>): Promise<void> {
  const path = declinedPath(wallet)
  await makePrivateFolder(dirname(path))
  await writeOutput(path, Buffer.from(`${JSON.stringify([...declined], null, 2)}\n`), { force: true })
}
