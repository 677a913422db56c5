import type { NodeConfig } from '../config/node-config.js'
import { EmrError } from '../errors.js'
import { type FileStoreChoice, type FileStoreOptions, openFileStore, probeKubo } from '../files/choose-file-store.js'
import type { FileStore } from '../files/file-store.js'
import type { JsonTable } from '../ledger/json-table.js'

/** Where the Kubo of the paper answers. */
const PAPERS_KUBO = new URL('http://127.0.0.1:5001')
const SETTING = 'fileStore'

/**
 * What is wrong with the options alone, before there is a data folder.
 *
 * @throws EmrError `config_invalid`
 */
export function assertStoreOptions({ ipfs, ipfsCluster }: Pick<NodeConfig, 'ipfs' | 'ipfsCluster'>): void {
  if (ipfs !== undefined) parseChoice(ipfs)
  if (ipfsCluster !== undefined) parseCluster(ipfsCluster)
  if (ipfs === 'embedded' && ipfsCluster !== undefined) {
    throw new EmrError('config_invalid', 'ipfsCluster: the file store is the embedded one.')
  }
}

/**
 * Opens the file store of a node. What `--ipfs` names is taken and remembered; without it what was
 * remembered; at the very first start Kubo at 127.0.0.1:5001 if it answers, else the embedded store.
 * The choice never changes by itself: files that were put into one store are not in the other.
 *
 * @throws EmrError `config_invalid` for an address that is no URL
 */
export async function openChosenStore(
  { ipfs: wanted, ipfsCluster }: Pick<NodeConfig, 'ipfs' | 'ipfsCluster'>,
  folder: string,
  settings: JsonTable,
  timeouts: FileStoreOptions['timeouts'],
): Promise<{ store: FileStore; choice: string; isNew: boolean }> {
  const cluster = ipfsCluster === undefined ? undefined : parseCluster(ipfsCluster)
  const remembered = settings.get(SETTING)
  const choice = wanted ?? (typeof remembered === 'string' ? remembered : await probe())
  const store = await openFileStore(parseChoice(choice), { folder, cluster, timeouts })
  if (choice !== remembered) await settings.put(SETTING, choice)
  return { store, choice, isNew: choice !== remembered }
}

const probe = async (): Promise<string> =>
  (await probeKubo(PAPERS_KUBO, { timeoutMs: 500 })) ? PAPERS_KUBO.href : 'embedded'

function parseChoice(choice: string): FileStoreChoice {
  return choice === 'embedded' ? choice : parseUrl(choice, 'ipfs: neither "embedded" nor a URL.')
}

const parseCluster = (text: string): URL => parseUrl(text, 'ipfsCluster: this is no URL.')

function parseUrl(text: string, otherwise: string): URL {
  try {
    return new URL(text)
  } catch (cause) {
    throw new EmrError('config_invalid', otherwise, {}, { cause })
  }
}
