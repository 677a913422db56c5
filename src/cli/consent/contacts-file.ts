import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { Type, Value } from '../../typebox.js'
import { makePrivateFolder, writeOutput } from '../write-output.js'

const ContactsSchema = Type.Record(Type.String({ minLength: 1, maxLength: 100 }), Type.String())

/** Names that this person gave to ids; nobody else sees them. */
export interface Contacts {
  readonly entries: ReadonlyMap<string, string>
  /** The id, as text, that a name or an id stands for. @throws EmrError `contact_unknown` */
  idOf(nameOrId: string): string
  /** The same as bytes. @throws EmrError `contact_unknown` */
  bytesOf(nameOrId: string): Uint8Array
  /** The name of an id, or the id. */
  nameOf(id: string): string
  /** A text with the names of the ids in it. */
  inText(text: string): string
}

/** Beside the wallet: it says whom this person has to do with. */
export const contactsPath = (wallet: string): string => join(dirname(wallet), 'contacts.json')

/** @throws EmrError `contacts_malformed`, `disk_failed` */
export async function readContacts(wallet: string): Promise<Contacts> {
  const path = contactsPath(wallet)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) {
      throw new EmrError('disk_failed', `${path} cannot be read.`, {}, { cause })
    }
    text = '{}'
  }
  return contactsOf(new Map(Object.entries(parse(text, path))))
}

function parse(text: string, path: string): Record<string, string> {
  try {
    const value: unknown = JSON.parse(text)
    if (Value.Check(ContactsSchema, value) && Object.values(value).every(isId)) return value
  } catch {
    // Falls through: what is no JSON is as useless as JSON of another form.
  }
  throw new EmrError('contacts_malformed', path)
}

export function contactsOf(entries: ReadonlyMap<string, string>): Contacts {
  const idOf = (nameOrId: string): string => {
    const known = entries.get(nameOrId)
    if (known !== undefined) return known
    if (isId(nameOrId)) return parseChainId(nameOrId).toString()
    throw new EmrError('contact_unknown', nameOrId)
  }
  return {
    entries,
    idOf,
    bytesOf: (nameOrId) => parseChainId(idOf(nameOrId)).bytes,
    nameOf: (id) => [...entries].find(([, known]) => known === id)?.[0] ?? id,
    inText: (text) => [...entries].reduce((said, [name, id]) => said.replaceAll(id, () => name), text),
  }
}

/** Writes the names durably, in the place of those that were there. */
export async function writeContacts(wallet: string, entries: ReadonlyMap<string, string>): Promise<void> {
  const path = contactsPath(wallet)
  await makePrivateFolder(dirname(path))
  const text = `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`
  await writeOutput(path, Buffer.from(text), { force: true })
}

function isId(text: string): boolean {
  try {
    parseChainId(text)
    return true
  } catch {
    return false
  }
}
