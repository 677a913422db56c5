import { createEmbeddedFileStore } from './embedded/create-embedded-file-store.js'
import type { FileStore } from './file-store.js'
import { createKuboFileStore, type KuboTimeouts } from './kubo/create-kubo-file-store.js'

/** The embedded store, or the RPC address of a Kubo daemon. */
export type FileStoreChoice = 'embedded' | URL

export interface FileStoreOptions {
  /** Folder of the embedded store. */
  readonly folder: string
  /** Authorization header for the daemon. */
  readonly authorization?: string | undefined
  readonly timeouts?: Partial<KuboTimeouts> | undefined
}

/** Opens the chosen store. A daemon is not asked yet; `health` tells whether it is there. */
export const openFileStore = async (
  choice: FileStoreChoice,
  { folder, ...kubo }: FileStoreOptions,
): Promise<FileStore> =>
  choice === 'embedded' ? createEmbeddedFileStore({ folder }) : createKuboFileStore({ url: choice, ...kubo })

/** Whether a Kubo daemon answers at this RPC address, for the choice at first start. @throws EmrError `config_invalid` */
export async function probeKubo(
  url: URL,
  { timeoutMs, authorization }: { readonly timeoutMs: number; readonly authorization?: string | undefined },
): Promise<boolean> {
  const timeouts = { connectMs: timeoutMs, healthMs: timeoutMs }
  const store = createKuboFileStore({ url, authorization, timeouts })
  try {
    return (await store.health()).state === 'ok'
  } finally {
    await store.close()
  }
}
