import type { NodeState } from '../ledger/node-state.js'
import type { Network } from '../network/network.js'
import { createFileKeeping, type FileKeeping } from './file-keeping.js'
import { createFilePins } from './file-pins.js'
import {
  createFileService,
  type FileService,
  type FileServiceDependencies,
  type FileServiceOptions,
} from './file-service.js'

export interface FileParts extends Omit<FileServiceDependencies, 'network' | 'knownFiles' | 'pins'> {
  readonly network: FileServiceDependencies['network'] & Pick<Network, 'holdersOf' | 'blockFrom'>
  readonly state: Pick<NodeState, 'knownFiles' | 'filePins'>
  readonly logger: { warn(facts: object, message: string): void }
}

/** The files of a node: what is asked of them, and which are kept. */
export function createFiles(
  { state, logger, ...parts }: FileParts,
  options: FileServiceOptions,
): { files: FileService; keeping: FileKeeping } {
  const all = { ...parts, knownFiles: state.knownFiles, pins: createFilePins(state.filePins) }
  const files = createFileService(all, options)
  const keeping = createFileKeeping({
    ...all,
    fetch: files.fetch,
    onTrouble: (error) => logger.warn({ err: error }, 'a file that was unpinned is still in the file store'),
  })
  return { files, keeping }
}
