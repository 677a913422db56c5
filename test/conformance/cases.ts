import type { CID } from 'multiformats/cid'
import { type Dags, dfs, linksOf, shardsOf, wayTo } from './dags.js'

/** One request and what the specification wants of the answer. Named as the suite gateway-conformance names it, if it is not `own`. */
export interface Case {
  readonly group: 'trustless-block-gateway' | 'trustless-car-gateway' | 'trustless-car-gateway-optional'
  readonly name: string
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly wanted: Wanted | readonly Wanted[]
}

/** One of the answers that are right. */
export interface Wanted {
  readonly status: number
  readonly headers?: Readonly<Record<string, RegExp>>
  readonly body?: Uint8Array
  /** The blocks of a CAR, in this order and no others. */
  readonly blocks?: readonly CID[]
  /** Those that it must have, in any order and number. */
  readonly someBlocks?: readonly CID[]
}

const RAW = 'application/vnd.ipld.raw'
const CAR = 'application/vnd.ipld.car'

export function casesFor(dags: Dags): Case[] {
  return [...blockCases(dags), ...carCases(dags).flatMap(inBothForms), ...optionalCases(dags)]
}

function blockCases({ blocks, mixed }: Dags): Case[] {
  const group = 'trustless-block-gateway'
  const [, dir = mixed] = wayTo(blocks, mixed, 'subdir')
  const [, file = mixed] = wayTo(blocks, dir, 'ascii.txt')
  const headers = { accept: RAW }
  const of = (cid: CID, change: Partial<Case> & Pick<Case, 'name'>, wanted: Wanted['headers'] = {}): Case[] => {
    const body = blocks.get(cid.toString()) ?? new Uint8Array(0)
    const common = { group, path: `/ipfs/${cid}`, ...change } as const
    const part = {
      status: 206,
      body: body.subarray(7, 10),
      headers: { 'content-range': exactly(`bytes 7-9/${body.length}`) },
    }
    const whole = { status: 200, body }
    const ranged = (range: string) => ({ ...common.headers, range })
    const several = { status: 206, headers: { 'content-type': /^multipart\/byteranges/ } }
    return [
      { ...common, name: `${change.name} - full request`, wanted: { ...whole, headers: wanted } },
      { ...common, name: `${change.name} - single range`, headers: ranged('bytes=7-9'), wanted: [part, whole] },
      {
        ...common,
        name: `${change.name} - multi range`,
        headers: ranged('bytes=7-9,1-3'),
        wanted: [part, whole, several],
      },
    ]
  }
  return [
    ...of(dir, { name: 'GET with format=raw param returns a raw block', query: { format: 'raw' } }),
    ...of(dir, { name: `GET with ${RAW} header returns a raw block`, headers }),
    ...of(
      file,
      { name: `GET with ${RAW} header returns expected response headers`, headers },
      {
        'content-type': exactly(RAW),
        'content-length': exactly(String(blocks.get(file.toString())?.length)),
        'content-disposition': /attachment;\s*filename=".*\.bin"/,
        'x-content-type-options': /^nosniff$/,
      },
    ),
    ...of(
      file,
      {
        name: `GET with ${RAW} header and filename param returns expected Content-Disposition header with custom filename`,
        query: { filename: 'foobar.bin' },
        headers,
      },
      { 'content-disposition': /attachment;\s*filename="foobar\.bin/ },
    ),
    ...of(
      file,
      { name: `GET with ${RAW} header returns expected caching headers`, headers },
      {
        etag: /./,
        'x-ipfs-path': exactly(`/ipfs/${file}`),
        'x-ipfs-roots': new RegExp(file.toString()),
        'cache-control': /^(?=.*\bpublic\b)(?=.*\bimmutable\b)(?=.*\bmax-age=(29030400|[3-9]\d{7,}))/,
      },
    ),
  ]
}

function carCases({ blocks, mixed, sharded, document, holed }: Dags): Case[] {
  const group = 'trustless-car-gateway'
  const [, subdir = mixed] = wayTo(blocks, mixed, 'subdir')
  const fileIn = (name: string): CID => wayTo(blocks, subdir, name)[1] ?? subdir
  const [ascii, multi] = [fileIn('ascii.txt'), fileIn('multiblock.txt')]
  const leaves = linksOf(blocks, multi).map(({ Hash }) => Hash)
  const holedLeaves = linksOf(blocks, holed).map(({ Hash }) => Hash)
  const car = (name: string, path: string, query: Record<string, string>, blocks: readonly CID[]): Case => ({
    group,
    name,
    path,
    query: { format: 'car', ...query },
    wanted: { status: 200, blocks },
  })
  const shardWay = (name: string) => wayTo(blocks, sharded, name)
  const deep = (way: readonly CID[]): CID[] => [...way.slice(0, -1), ...dfs(blocks, way.at(-1) ?? sharded)]
  const bytesOf = (name: string, range: string, some: readonly CID[]): Case =>
    car(`GET CAR with entity-bytes ${name}`, `/ipfs/${multi}`, { 'dag-scope': 'entity', 'entity-bytes': range }, [
      multi,
      ...some,
    ])
  const [block, entity, all] = [{ 'dag-scope': 'block' }, { 'dag-scope': 'entity' }, { 'dag-scope': 'all' }]
  return [
    car('GET default CAR response with pathing through UnixFS Directory', `/ipfs/${mixed}/subdir/ascii.txt`, {}, [
      mixed,
      subdir,
      ascii,
    ]),
    car(
      'GET default CAR response of UnixFS file on a path with HAMT-sharded directory',
      `/ipfs/${sharded}/385.txt`,
      {},
      deep(shardWay('385.txt')),
    ),
    car(
      'GET default CAR response of UnixFS file on a path with DAG-CBOR as root CID',
      `/ipfs/${document}/files/single`,
      {},
      [document, ascii],
    ),
    {
      group,
      name: 'GET default CAR response for non-existing file',
      path: `/ipfs/${mixed}/subdir/i-do-not-exist`,
      query: { format: 'car' },
      wanted: [{ status: 200, blocks: [mixed, subdir] }, { status: 404 }],
    },
    car('GET CAR with dag-scope=block of UnixFS directory on a path', `/ipfs/${mixed}/subdir`, block, [mixed, subdir]),
    car('GET CAR with dag-scope=block of UnixFS file on a path', `/ipfs/${mixed}/subdir/ascii.txt`, block, [
      mixed,
      subdir,
      ascii,
    ]),
    car(
      'GET CAR with dag-scope=block of UnixFS file on a path with sharded directory',
      `/ipfs/${sharded}/1.txt`,
      block,
      shardWay('1.txt'),
    ),
    car('GET CAR with dag-scope=entity of a UnixFS directory', `/ipfs/${mixed}`, entity, [mixed]),
    car(
      'GET CAR with dag-scope=entity of a UnixFS sharded directory',
      `/ipfs/${sharded}`,
      entity,
      shardsOf(blocks, sharded),
    ),
    car('GET CAR with dag-scope=entity of a UnixFS file', `/ipfs/${mixed}/subdir/ascii.txt`, entity, [
      mixed,
      subdir,
      ascii,
    ]),
    car('GET CAR with dag-scope=entity of a chunked UnixFS file', `/ipfs/${mixed}/subdir/multiblock.txt`, entity, [
      mixed,
      subdir,
      multi,
      ...leaves,
    ]),
    car('GET CAR with dag-scope=entity of DAG-CBOR with Links', `/ipfs/${document}`, entity, [document]),
    car('GET CAR with dag-scope=all of UnixFS directory with multiple files', `/ipfs/${mixed}/subdir`, all, [
      mixed,
      ...dfs(blocks, subdir),
    ]),
    car('GET CAR with dag-scope=all of a chunked UnixFS file', `/ipfs/${mixed}/subdir/multiblock.txt`, all, [
      mixed,
      subdir,
      multi,
      ...leaves,
    ]),
    car(
      'GET CAR with entity-bytes succeeds even if the gateway is missing a block after the requested range',
      `/ipfs/${holed}`,
      { ...entity, 'entity-bytes': '0:1000' },
      [holed, ...holedLeaves.slice(0, 1)],
    ),
    car(
      'GET CAR with entity-bytes succeeds even if the gateway is missing a block before the requested range',
      `/ipfs/${holed}`,
      { ...entity, 'entity-bytes': '2200:*' },
      [holed, ...holedLeaves.slice(2)],
    ),
    car(
      'GET CAR with entity-bytes of a full UnixFS file',
      `/ipfs/${mixed}/subdir/multiblock.txt`,
      { ...entity, 'entity-bytes': '0:*' },
      [mixed, subdir, multi, ...leaves],
    ),
    car(
      'GET CAR with entity-bytes of a UnixFS directory',
      `/ipfs/${sharded}`,
      { ...entity, 'entity-bytes': '0:*' },
      shardsOf(blocks, sharded),
    ),
    bytesOf('equivalent to a HTTP Range Request from the middle of a file to the end', '512:*', leaves.slice(2)),
    bytesOf('equivalent to a HTTP Range Request for the middle of a file', '512:1023', leaves.slice(2, 4)),
    bytesOf(
      'equivalent to a HTTP Range Request for the middle of a file (negative ending)',
      '512:-256',
      leaves.slice(2, 4),
    ),
    bytesOf('equivalent to HTTP Suffix Range Request for part of a file', '-5:*', leaves.slice(3)),
    bytesOf('requesting a negative range bigger than the length of a file', '-9999:*', leaves),
    bytesOf(
      'requesting a range from the end of a file that is bigger than a file itself',
      '-9999:-3',
      leaves.slice(0, 4),
    ),
    bytesOf('requesting only the blocks for the first byte of a file', '0:0', leaves.slice(0, 1)),
    // The whole of a file that is named by its own CID: not in the suite, which goes to every file by a path.
    car('own: GET default CAR response of a chunked UnixFS file by its CID', `/ipfs/${multi}`, {}, [multi, ...leaves]),
    car('own: GET CAR with dag-scope=all of a chunked UnixFS file by its CID', `/ipfs/${multi}`, all, [
      multi,
      ...leaves,
    ]),
    car('own: GET CAR with dag-scope=entity of a chunked UnixFS file by its CID', `/ipfs/${multi}`, entity, [
      multi,
      ...leaves,
    ]),
    car('own: GET CAR with dag-scope=block of a chunked UnixFS file by its CID', `/ipfs/${multi}`, block, [multi]),
    car('own: GET default CAR response of a file of one raw block', `/ipfs/${ascii}`, {}, [ascii]),
  ]
}

/** As the suite asks each: once by `format`, once by Accept. */
function inBothForms(one: Case): Case[] {
  const headers = {
    'x-content-type-options': /^nosniff$/,
    'accept-ranges': /^none$/,
    'content-type': /application\/vnd\.ipld\.car/,
    'content-disposition': /attachment; filename=".*\.car"/,
  }
  const wanted = [one.wanted].flat().map((answer) => (answer.status === 200 ? { ...answer, headers } : answer))
  const { format: _, ...query } = one.query ?? {}
  return [
    { ...one, name: `${one.name} (format=car)`, wanted },
    { ...one, name: `${one.name} (Accept Header)`, query, headers: { accept: CAR }, wanted },
  ]
}

function optionalCases({ blocks, duplicates }: Dags): Case[] {
  const group = 'trustless-car-gateway-optional'
  const often = dfs(blocks, duplicates)
  const once = [...new Map(often.map((cid) => [cid.toString(), cid])).values()]
  const [, multi = duplicates] = wayTo(blocks, duplicates, 'multiblock.txt')
  const type = (...parts: string[]) => ({
    'content-type': new RegExp([CAR, ...parts].map((part) => `(?=.*${part})`).join('')),
  })
  const path = `/ipfs/${duplicates}`
  const ask = (name: string, accept: string, wanted: Wanted, change: Partial<Case> = {}): Case => ({
    group,
    name,
    path,
    headers: { accept },
    wanted,
    ...change,
  })
  const dfsY = { status: 200, headers: type('order=dfs', 'dups=y'), blocks: often }
  const whole = dfs(blocks, multi)
  return [
    ask(
      'GET CAR with order=dfs and dups=y of UnixFS Directory With Duplicate Files',
      `${CAR}; version=1; order=dfs; dups=y`,
      dfsY,
    ),
    ask(
      'GET CAR with order=dfs and dups=n of UnixFS Directory With Duplicate Files',
      `${CAR}; version=1; order=dfs; dups=n`,
      {
        ...{ status: 200, headers: type('order=dfs', 'dups=n') },
        blocks: once,
      },
    ),
    ask('GET CAR smoke-test with order=unk of UnixFS Directory', `${CAR}; version=1; order=unk`, {
      ...{ status: 200, headers: type('order=') },
      someBlocks: once,
    }),
    ask(
      'GET CAR with order=dfs and dups=y of identity CID',
      `${CAR}; dups=y`,
      { status: 200, headers: type('dups=y'), blocks: [] },
      {
        path: '/ipfs/bafkqaf3imvwgy3zaneqgc3janfxgy2lomvscay3jmqfa',
      },
    ),
    ask(
      'GET CAR with Accept and ?format, specific Accept header is prioritized',
      `${CAR}; version=1; order=dfs; dups=y`,
      dfsY,
      {
        query: { format: 'car' },
      },
    ),
    ask(
      'own: GET CAR with order=dfs and dups=y of a chunked UnixFS file by its CID',
      `${CAR}; version=1; order=dfs; dups=y`,
      { ...dfsY, blocks: whole },
      {
        path: `/ipfs/${multi}`,
      },
    ),
    ask(
      'own: GET CAR smoke-test with order=unk of a chunked UnixFS file by its CID',
      `${CAR}; version=1; order=unk`,
      {
        ...{ status: 200, headers: type('order=') },
        someBlocks: whole,
      },
      { path: `/ipfs/${multi}` },
    ),
  ]
}

const exactly = (text: string): RegExp => new RegExp(`^${text.replaceAll(/[^\w\s-]/g, '\\$&')}$`)
