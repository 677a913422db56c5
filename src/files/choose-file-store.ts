import { once } from 'node:events'
import { connect } from 'node:net'
import { EmrError } from '../errors.js'
import { createEmbeddedFileStore } from './embedded/create-embedded-file-store.js'
import type { FileStore } from './file-store.js'
import type { KuboTimeouts } from './kubo/create-kubo-file-store.js'

/** The embedded store, or the RPC address of a Kubo daemon. */
export type FileStoreChoice = 'embedded' | URL

export interface FileStoreOptions {
  /** Folder of the embedded store. */
  readonly folder: string
  /** Authorization header for the daemon. */
  readonly authorization?: string | undefined
  /** The REST API of the IPFS Cluster whose proxy the chosen address is. */
  readonly cluster?: URL | undefined
  readonly timeouts?: Partial<KuboTimeouts> | undefined
}

/**
 * Opens the chosen store. A daemon is not asked yet; `health` tells whether it is there.
 *
 * @throws EmrError `config_invalid`
 */
export async function openFileStore(
  choice: FileStoreChoice,
  { folder, ...kubo }: FileStoreOptions,
): Promise<FileStore> {
  if (choice === 'embedded') {
    if (kubo.cluster) throw new EmrError('config_invalid', 'ipfsCluster: the file store is the embedded one.')
    return createEmbeddedFileStore({ folder })
  }
  const { createKuboFileStore } = await loadKubo()
  return createKuboFileStore({ url: choice, ...kubo })
}

/** Whether a Kubo daemon answers at this RPC address, for the choice at first start. @throws EmrError `config_invalid` */
export async function probeKubo(
  url: URL,
  { timeoutMs, authorization }: { readonly timeoutMs: number; readonly authorization?: string | undefined },
): Promise<boolean> {
  if (!(await isListening(url, timeoutMs))) return false
  const { createKuboFileStore } = await loadKubo()
  const timeouts = { connectMs: timeoutMs, healthMs: timeoutMs }
  const store = createKuboFileStore({ url, authorization, timeouts })
  try {
    return (await store.health()).state === 'ok'
  } finally {
    await store.close()
  }
}

/** Loaded only where there is a daemon: its client costs a node a fifth of a second at start, and 25 MiB and more. */
const loadKubo = () => import('./kubo/create-kubo-file-store.js')

/** Whether anything takes connections at this address. */
async function isListening({ protocol, hostname, port }: URL, timeoutMs: number): Promise<boolean> {
  const host = hostname.replace(/^\[|\]$/g, '')
  const socket = connect({ host, port: Number(port || (protocol === 'https:' ? 443 : 80)) })
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeoutMs) })
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
