import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { EmrError } from '../../errors.js'
import { makePrivateFolder, type WriteOptions, writeOutput } from '../write-output.js'

/** The files of one authority. None of them is secret. */
export interface CaFolder {
  /** The authority's own certificate and those above it, up to the root. */
  readonly authority: string
  /** What it has taken back. */
  readonly list: string
  /** A certificate that it issued, by its id on the chain. */
  certificate(id: CID): string
  /** The certificate of an identity and those above it. */
  chain(identity: CID): string
  /** Writes one of them; makes the folder first. @throws EmrError as `writeOutput` */
  write(path: string, pem: string, options: WriteOptions): Promise<void>
}

export const caFolder = (folder: string): CaFolder => ({
  authority: join(folder, 'authority.pem'),
  list: join(folder, 'revoked.crl'),
  certificate: (id) => join(folder, `${id}.pem`),
  chain: (identity) => join(folder, `${identity}.chain.pem`),
  async write(path, pem, options) {
    await makePrivateFolder(folder)
    await writeOutput(path, Buffer.from(pem), options)
  },
})

/** @throws EmrError `input_unreadable`, with what would make the file */
export async function readPem(path: string, advice: string): Promise<string> {
  try {
    return await readFile(path, 'latin1')
  } catch (cause) {
    throw new EmrError('input_unreadable', `${path} cannot be read. ${advice}`, {}, { cause })
  }
}
