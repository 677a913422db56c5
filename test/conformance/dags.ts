import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { encodeCar } from '#emrchain/protocol/car.js'

/** DAGs of the kinds that the suite gateway-conformance keeps as fixtures, made here: directories, shards, a document. */
export interface Dags {
  /** The bytes of every block that exists, by CID. */
  readonly blocks: ReadonlyMap<string, Uint8Array>
  /** `subdir/ascii.txt`, `subdir/hello.txt` and `subdir/multiblock.txt`, which has five leaves. */
  readonly mixed: CID
  /** `ascii-copy.txt`, `ascii.txt`, `hello.txt`, `multiblock.txt`; the first two are the same. */
  readonly duplicates: CID
  /** A directory in shards, of files with four leaves. */
  readonly sharded: CID
  /** DAG-CBOR with links to files. */
  readonly document: CID
  /** A file of three leaves of 1,024 bytes, of which the middle one does not exist. */
  readonly holed: CID
  /** Roots of the files that are whole. */
  readonly files: readonly CID[]
}

const MULTIBLOCK = Buffer.from(Array.from({ length: 1026 }, (_, n) => 33 + ((n * 7 + (n >> 8)) % 90)))

export async function makeDags(): Promise<Dags> {
  const blocks = new Map<string, Uint8Array>()
  const store = {
    async put(cid: CID, bytes: unknown) {
      if (!(bytes instanceof Uint8Array)) throw new TypeError('The importer gives blocks as bytes.')
      blocks.set(cid.toString(), bytes)
      return cid
    },
  }
  async function add(files: Record<string, Uint8Array>, shardFrom = Number.POSITIVE_INFINITY): Promise<CID> {
    const source = Object.entries(files).map(([path, content]) => ({ path, content }))
    let root: CID | undefined
    for await (const { cid } of importer(source, store, {
      cidVersion: 1,
      rawLeaves: true,
      chunker: fixedSize({ chunkSize: 256 }),
      shardSplitThresholdBytes: shardFrom,
      wrapWithDirectory: true,
    }))
      root = cid
    if (!root) throw new Error('Nothing was added.')
    return root
  }

  const small = { 'ascii.txt': Buffer.from('hello application/vnd.ipld.car\n'), 'hello.txt': Buffer.from('hello\n') }
  const subdir = { ...small, 'multiblock.txt': MULTIBLOCK }
  const mixed = await add(Object.fromEntries(Object.entries(subdir).map(([name, bytes]) => [`subdir/${name}`, bytes])))
  const duplicates = await add({ 'ascii-copy.txt': small['ascii.txt'], ...subdir })
  const many = Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`${n}.txt`, drawn(n, 900)]))
  const sharded = await add(many, 100)

  const put = (codec: number, bytes: Uint8Array): CID => {
    const cid = CID.createV1(codec, Digest.create(0x12, createHash('sha256').update(bytes).digest()))
    blocks.set(cid.toString(), bytes)
    return cid
  }
  const links = { single: await linked('ascii.txt'), multi: await linked('multiblock.txt') }
  const document = put(dagCbor.code, dagCbor.encode({ title: 'links', files: links }))

  const leaves = [1, 2, 3].map((n) => put(dagPb.code, leafOf(Buffer.alloc(1024, n))))
  const unixfs = new UnixFS({ type: 'file', blockSizes: leaves.map(() => 1024n) })
  const size = blocks.get(String(leaves[0]))?.length ?? 0
  const parts = leaves.map((Hash) => ({ Name: '', Hash, Tsize: size }))
  const holed = put(dagPb.code, dagPb.encode({ Data: unixfs.marshal(), Links: parts }))
  blocks.delete(String(leaves[1]))

  async function linked(name: string): Promise<CID> {
    const link = linksOf(blocks, duplicates).find(({ Name }) => Name === name)
    if (!link) throw new Error(`There is no ${name}.`)
    return link.Hash
  }
  const dags = { blocks, mixed, duplicates, sharded, document, holed }
  const files = [...blocks.keys()]
    .map((text) => CID.parse(text))
    .filter((cid) => cid.code !== dagCbor.code && !cid.equals(holed) && isFile(blocks, cid))
  return { ...dags, files }
}

/** Bytes that repeat nothing. */
const drawn = (seed: number, length: number): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(length / 32) }, (_, n) => createHash('sha256').update(`${seed} ${n}`).digest()),
  ).subarray(0, length)

const leafOf = (content: Uint8Array): Uint8Array =>
  dagPb.encode({ Data: new UnixFS({ type: 'file', data: content }).marshal(), Links: [] })

/** The links of a block; raw blocks have none. */
export function linksOf(blocks: Dags['blocks'], cid: CID): dagPb.PBLink[] {
  const bytes = blocks.get(cid.toString())
  return bytes && cid.code === dagPb.code ? dagPb.decode(bytes).Links : []
}

function isFile(blocks: Dags['blocks'], cid: CID): boolean {
  const bytes = blocks.get(cid.toString())
  if (!bytes || cid.code !== dagPb.code) return bytes !== undefined
  const { Data } = dagPb.decode(bytes)
  return Data !== undefined && UnixFS.unmarshal(Data).type === 'file'
}

/** A DAG depth first, a block each time that it comes. */
export function dfs(blocks: Dags['blocks'], root: CID): CID[] {
  return [root, ...linksOf(blocks, root).flatMap(({ Hash }) => dfs(blocks, Hash))]
}

/** The blocks on the way to a name in a directory, which may be in shards: directory, shards, entry. */
export function wayTo(blocks: Dags['blocks'], directory: CID, name: string): CID[] {
  for (const { Name = '', Hash } of linksOf(blocks, directory)) {
    // A shard's links begin with two digits; those to further shards have nothing more.
    if (Name === name || (Name.length > 2 && Name.slice(2) === name)) return [directory, Hash]
    if (!/^[0-9A-F]{2}$/.test(Name)) continue
    const rest = wayTo(blocks, Hash, name)
    if (rest.length > 0) return [directory, ...rest]
  }
  return []
}

/** The blocks of a directory in shards without what it lists, depth first. */
export const shardsOf = (blocks: Dags['blocks'], directory: CID): CID[] => [
  directory,
  ...linksOf(blocks, directory).flatMap(({ Name = '', Hash }) => (Name.length === 2 ? shardsOf(blocks, Hash) : [])),
]

/** A CAR of all blocks under a root that exist. */
export function carOf({ blocks }: Dags, root: CID): Uint8Array {
  const unique = new Map(dfs(blocks, root).map((cid) => [cid.toString(), cid]))
  const sections = [...unique.values()].flatMap((cid) => {
    const bytes = blocks.get(cid.toString())
    return bytes ? [{ cid, bytes }] : []
  })
  return encodeCar([root], sections)
}
