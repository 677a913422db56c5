import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EmrError } from '#emrchain/errors.js'
import { createEmbeddedFileStore } from '#emrchain/files/embedded/create-embedded-file-store.js'
import { createFilePins } from '#emrchain/node/file-pins.js'
import { createFileService } from '#emrchain/node/file-service.js'

const never = new AbortController().signal

t.test('a file that is erased while it is fetched does not stay', async (t) => {
  const home = t.testdir()
  const folderOf = (name: string): string => {
    mkdirSync(join(home, name))
    return join(home, name)
  }
  const theirs = await createEmbeddedFileStore({ folder: folderOf('theirs') })
  const store = await createEmbeddedFileStore({ folder: folderOf('own') })
  t.teardown(async () => Promise.all([theirs.close(), store.close()]))
  const { cid } = await theirs.add(
    (async function* () {
      yield Buffer.from('ciphertext')
    })(),
  )
  const table = {
    get: () => undefined,
    put: async () => undefined,
    remove: async () => undefined,
    entries: () => [],
  }
  let isErased = false
  const files = createFileService(
    {
      store,
      network: {
        async fetchFile(of, take) {
          const taken = await take(theirs.exportCar(of))
          isErased = true
          return taken
        },
        hasReachedDaemons: () => false,
        fetchBlock: () => Promise.reject(new EmrError('file_unavailable')),
      },
      knownFiles: table,
      pins: createFilePins(table),
      async assertNotErased() {
        if (isErased) throw new EmrError('record_erased')
      },
      nameOnChain: async () => undefined,
    },
    { fileRoot: home, dataFolder: home, downloads: folderOf('downloads'), maxFileBytes: 1_000_000 },
  )
  await t.rejects(files.readFile(cid, never), { code: 'record_erased' })
  t.notOk(await store.has(cid))
  t.notOk(existsSync(join(home, 'own', `${cid}.car`)))
})
