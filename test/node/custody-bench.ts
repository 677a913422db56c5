/** Custodians with real shares on disk over chains in memory, whose clock stands still until it is moved. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { CID } from 'multiformats/cid'
import { apply, beginState } from '#emrchain/contract/apply.js'
import { identityOf } from '#emrchain/contract/rows.js'
import { createMemoryState, type MemoryState, type ReadState } from '#emrchain/contract/state.js'
import { sha256 } from '#emrchain/crypto/hash.js'
import { publicKeyOf } from '#emrchain/crypto/hpke.js'
import { nodeSealSecret } from '#emrchain/crypto/seed.js'
import { EmrError } from '#emrchain/errors.js'
import { checkFormatVersion } from '#emrchain/ledger/data-folder.js'
import { createDatabase, openDatabase } from '#emrchain/ledger/database.js'
import { dataFolderPaths } from '#emrchain/ledger/layout.js'
import { createNodeState, type NodeState } from '#emrchain/ledger/node-state.js'
import { openShares, type Shares } from '#emrchain/ledger/shares.js'
import type { CustodyChain, OtherNodes, Standing } from '#emrchain/node/custody-dependencies.js'
import type { CustodyOptions } from '#emrchain/node/custody-options.js'
import { type CustodyService, createCustodyService } from '#emrchain/node/custody-service.js'
import { isFileNeeded } from '#emrchain/node/erased-files.js'
import { DEFAULT_EXPIRY_RULES } from '#emrchain/node/expire-deposits.js'
import type { AccessBody } from '#emrchain/protocol/bodies/access.js'
import type { IdentityBody } from '#emrchain/protocol/bodies/identity.js'
import { equalBytes } from '#emrchain/protocol/canonical.js'
import { cidOf } from '#emrchain/protocol/cid.js'
import { type Role, recordClasses, roles } from '#emrchain/protocol/consent-vocabulary.js'
import { type DepositBody, signPersonRequest } from '#emrchain/protocol/person-request.js'
import { releaseCommitment } from '#emrchain/protocol/release.js'
import { type ClearDeposit, sealDeposit } from '#emrchain/protocol/sealed-deposit.js'
import { type Release, type ReleasePlace, sealRelease } from '#emrchain/protocol/sealed-release.js'
import { decodeTransaction, fileOf, type SignedTransaction } from '#emrchain/protocol/transaction.js'
import {
  administratorsOf,
  createWorld,
  filler,
  chain as genesis,
  identityBody,
  START,
  sign,
  type WorldKind,
} from '../contract/consent-world.js'
import { rules, signerOf } from '../fixtures/block-maker.js'

interface TestBlock {
  readonly header: { readonly id: CID; readonly height: number; readonly time: number }
  readonly transactions: readonly SignedTransaction[]
  readonly results: readonly number[]
}

/** One node's chain: blocks of whatever it is told to mine, and what is pending. */
export interface TestChain extends CustodyChain {
  readonly waiting: SignedTransaction[]
  blockAt(height: number): Promise<TestBlock | undefined>
  /** A block with these, or with all that is pending. */
  mine(transactions?: readonly SignedTransaction[]): TestBlock
  take(block: TestBlock): void
  /** Drops the last blocks; their transactions wait again. */
  drop(count: number): void
  /** Counts reads of blocks. */
  reads: number
}

const encoder = new TextEncoder()
/** Opens what is sealed to people here. */
export const SEAL_SECRET = filler(77)
const CLASSES = Object.values(recordClasses)
export const digest = (text: string): Uint8Array => sha256(encoder.encode(text))

export interface Clock {
  now: number
}

export function createTestChain(clock: Clock, name: string, kind: WorldKind = 'open'): TestChain {
  const blocks: TestBlock[] = []
  const waiting: SignedTransaction[] = []
  let state: MemoryState = emptyState(kind)
  const start = { id: genesis, height: 0, time: START - 1_000 }
  const tip = () => blocks.at(-1)?.header ?? start
  const append = (block: TestBlock): void => {
    blocks.push(block)
    for (const { id } of block.transactions) {
      const at = waiting.findIndex((one) => one.id.equals(id))
      if (at >= 0) waiting.splice(at, 1)
    }
  }
  const applied = (transactions: readonly SignedTransaction[], height: number, time: number): number[] =>
    transactions.map((transaction) => apply(state, transaction, { height, time }))
  const placeOf = (id: CID) => {
    for (const block of blocks) {
      const at = block.transactions.findIndex((one) => one.id.equals(id))
      const [transaction, result] = [block.transactions[at], block.results[at]]
      if (transaction && result !== undefined) return { block, transaction, result }
    }
    return undefined
  }
  const chain: TestChain = {
    waiting,
    reads: 0,
    mine(transactions = [...waiting]) {
      const [height, time] = [tip().height + 1, Math.max(clock.now, tip().time + 1)]
      const results = applied(transactions, height, time)
      const id = cidOf(encoder.encode(`${name} ${height} ${transactions.map(({ id }) => id).join()} ${time}`))
      const block = { header: { id, height, time }, transactions, results }
      append(block)
      return block
    },
    take(block) {
      applied(block.transactions, block.header.height, block.header.time)
      append(block)
    },
    drop(count) {
      const gone = blocks.splice(blocks.length - count)
      const left = blocks.splice(0)
      state = emptyState(kind)
      for (const block of left) chain.take(block)
      waiting.push(...gone.flatMap(({ transactions }) => transactions))
    },
    contractState: () => state,
    tip,
    isOnMainChain: (id) => id.equals(genesis) || blocks.some(({ header }) => header.id.equals(id)),
    async blockAt(height) {
      chain.reads++
      return blocks[height - 1]
    },
    pending: () => waiting,
    isKnown: (id) => waiting.some((one) => one.id.equals(id)) || placeOf(id) !== undefined,
    async transaction(id): Promise<Standing | undefined> {
      const transaction = waiting.find((one) => one.id.equals(id))
      if (transaction) return { state: 'pending', transaction }
      const found = placeOf(id)
      if (!found) return undefined
      return { state: 'confirmed', ...found, confirmations: tip().height - found.block.header.height + 1 }
    },
    *transactionsOfFile(file) {
      for (const { transactions } of [...blocks].reverse()) {
        for (const one of [...transactions].reverse()) {
          const named = fileOf(one)
          if (named && equalBytes(named, file)) yield one.id
        }
      }
    },
    *transactionsAbout(id) {
      for (const { transactions } of blocks) {
        for (const one of transactions) {
          const named = Object.values(one.body).some((field) => field instanceof Uint8Array && equalBytes(field, id))
          if (named) yield one.id
        }
      }
    },
    async submitTransaction(bytes) {
      const transaction = decodeTransaction(bytes)
      if (chain.isKnown(transaction.id)) throw new EmrError('transaction_known')
      waiting.push(transaction)
    },
  }
  return chain
}

function emptyState(kind: WorldKind): MemoryState {
  const state = createMemoryState()
  beginState(state, administratorsOf(kind))
  return state
}

/** What the custodian sealed, and to whom. */
export interface SealedRelease extends Release {
  readonly publicKey: Uint8Array
  readonly place: ReleasePlace
}

export interface TestCustodian {
  readonly name: string
  readonly id: Uint8Array
  readonly chain: TestChain
  readonly custody: CustodyService
  readonly folder: string
  readonly files: Map<string, 'here' | 'destroyed'>
  readonly sealed: SealedRelease[]
  readonly receipts: Uint8Array[]
  readonly troubles: unknown[]
  /** What it will not try again. */
  readonly lost: [error: unknown, what: string][]
  readonly shares: Shares
  /** Handovers that it took. */
  readonly handovers: Uint8Array[]
  /** What it answers in the place of this receipt. */
  answerHandover: (receipt: Uint8Array) => Uint8Array
  /** Whether it answers others, and hears of them. */
  isReachable: boolean
  isAcknowledged: boolean
  /** Runs at each pause between two rounds of agreement. */
  onPause: () => void
  /** What was done in which order. */
  readonly log: string[]
  close(): Promise<void>
  reopen(): Promise<TestCustodian>
}

async function openState(folder: string, owner: string): Promise<NodeState> {
  const options = { folder, durable: true, owner }
  if (!existsSync(folder)) await createDatabase(options)
  return createNodeState(await openDatabase(options))
}

/** Opens what is sealed to a node: its seed is that of `signerOf`. */
export const sealSecretOf = (name: string): Uint8Array => nodeSealSecret(digest(name), genesis.bytes)

/** A world of people, and custodians node1 to node3 of each patient, with the same chain. */
export async function createBench(
  home: string,
  { kind = 'open', ...options }: Partial<CustodyOptions> & { kind?: WorldKind } = {},
) {
  const clock: Clock = { now: START + 10_000 }
  const world = createWorld(kind)
  const sealKey = await publicKeyOf(SEAL_SECRET)
  /** The next version of somebody's identity. */
  function version(name: string, change: Partial<IdentityBody> = {}, state: ReadState = world.state) {
    const now = identityOf(state, world.id(name))
    if (!now) throw new Error(`Nobody is called ${name}.`)
    const isPatient = now.role === roles.patient
    const classKeys = isPatient ? CLASSES.map((one) => ({ class: one, epoch: 1, key: filler(one % 251) })) : []
    const [previous, custodians] = [Uint8Array.from(now.version), now.custodians]
    const body = identityBody(name, now.role as Role, { seal: sealKey, previous, classKeys, custodians, ...change })
    return sign(name, { kind: 'identity', body }, clock.now)
  }
  // Everybody who asks gets a key that the test can open with.
  for (const name of ['patient', 'other', 'doctor', 'nurse']) world.add(`version of ${name}`, version(name))
  world.add('node4', sign('node4', { kind: 'identity', body: identityBody('node4', roles.node) }))
  for (const name of ['node1', 'node2', 'node3']) {
    world.add(`version of ${name}`, version(name, { seal: await publicKeyOf(sealSecretOf(name)) }))
  }
  const custodians: TestCustodian[] = []
  const origin = createTestChain(clock, 'origin', kind)
  const begin = origin.mine(world.transactions)
  /** A chain of a node's own, with everybody on it. */
  const newChain = (name = 'main'): TestChain => {
    const chain = createTestChain(clock, name, kind)
    chain.take(begin)
    return chain
  }

  /** @param caughtUp what a start waits for */
  async function open(
    name: string,
    chain = newChain(),
    isStarted = true,
    caughtUp = async (): Promise<void> => undefined,
  ): Promise<TestCustodian> {
    const folder = join(home, name)
    mkdirSync(folder, { recursive: true })
    const owner = await checkFormatVersion(dataFolderPaths(folder))
    const shares = await openShares(folder)
    const state = await openState(join(folder, 'state'), owner)
    const others: OtherNodes = {
      async askView({ id, key }, question) {
        const other = custodians.find((one) => equalBytes(one.id, id))
        if (!other?.isReachable || !custodian.isReachable) throw new EmrError('peer_unreachable')
        if (!equalBytes(signerOf(other.name).publicKey, key)) throw new Error('another key')
        return other.custody.view(question, signerOf(name).publicKey)
      },
      async handOver({ id }, request) {
        const other = custodians.find((one) => equalBytes(one.id, id))
        if (!other?.isReachable || !custodian.isReachable) throw new EmrError('peer_unreachable')
        const answer = await other.custody.takeOver(request)
        other.handovers.push(request)
        return other.answerHandover(answer)
      },
      async isAcknowledged(transaction) {
        custodian.log.push(chain.isKnown(transaction.id) ? 'durable' : 'unknown')
        return custodian.isAcknowledged
      },
      async announceRelease(receipt) {
        custodian.log.push(custodian.custody.releasesOf(lastRecord).length > 0 ? 'told after the log' : 'told before')
        custodian.receipts.push(receipt)
      },
    }
    let lastRecord: Uint8Array = new Uint8Array(36)
    const fileName = (file: Uint8Array): string => Buffer.from(file).toString('hex')
    const custodian: TestCustodian = {
      name,
      id: world.id(name),
      chain,
      folder,
      files: new Map(),
      ...{
        sealed: [],
        receipts: [],
        troubles: [],
        lost: [],
        handovers: [],
        log: [],
        isReachable: true,
        isAcknowledged: true,
      },
      answerHandover: (receipt) => receipt,
      shares,
      onPause: () => undefined,
      custody: createCustodyService(
        {
          genesis,
          signer: signerOf(name),
          sealSecret: sealSecretOf(name),
          rules,
          chain,
          shares,
          releases: {
            ...state.releases,
            put(ids, receipt) {
              lastRecord = ids.record
              return state.releases.put(ids, receipt)
            },
          },
          others,
          files: {
            holds: async (file) => custodian.files.get(fileName(file)) === 'here' && !(await isFileNeeded(chain, file)),
            destroy: async (file) => void custodian.files.set(fileName(file), 'destroyed'),
          },
          seal(publicKey, release, place) {
            custodian.sealed.push({ publicKey, ...release, place })
            return sealRelease(publicKey, release, place)
          },
          caughtUp,
          now: () => clock.now,
          async pause(ms) {
            clock.now += ms
            custodian.onPause()
          },
          onTrouble: (error) => custodian.troubles.push(error),
          onLost: (error, what) => custodian.lost.push([error, what]),
        },
        {
          erasure: { confirmations: 6, delay: 24 * 3_600_000 },
          expiry: DEFAULT_EXPIRY_RULES,
          ...{ maxShares: 100, maxWaiting: 5, maxReleases: 6, maxReleasesOfKey: 2, maxReleasesOfPatient: 3 },
          ...options,
        },
      ),
      async close() {
        await custodian.custody.close()
        await shares.close()
        await state.close()
        custodians.splice(custodians.indexOf(custodian), 1)
      },
      async reopen() {
        await custodian.close()
        return open(name, chain, false)
      },
    }
    custodians.push(custodian)
    if (isStarted) await custodian.custody.start()
    return custodian
  }

  /** The first of these nodes mines what waits there and these; the others take the block. */
  async function mineAt(nodes: readonly TestCustodian[], ...transactions: readonly SignedTransaction[]) {
    const [first, ...rest] = nodes
    if (!first) throw new Error('nobody is there')
    const block = first.chain.mine([...first.chain.waiting, ...transactions])
    for (const { chain } of rest) chain.take(block)
    for (const { custody } of nodes) await custody.follow()
    return block.results
  }
  const mine = (...transactions: readonly SignedTransaction[]) => mineAt(custodians, ...transactions)

  let nonces = 0
  const nonce = (): Uint8Array => digest(`nonce ${nonces++}`).subarray(0, 16)
  const depositBody = (name: string, change: Partial<ClearDeposit> = {}): ClearDeposit => ({
    patient: world.id('patient'),
    nonce: digest(`record nonce ${name}`),
    commitment: sha256(digest(`S_off ${name}`)),
    file: Uint8Array.from([0x12, 0x20, ...digest(`file ${name}`)]),
    share: digest(`S_off ${name}`),
    label: Buffer.concat([digest(`label ${name}`), digest(`rest of label ${name}`)]),
    ...change,
  })
  const nameOf = (node: Uint8Array): string =>
    ['node1', 'node2', 'node3'].find((name) => equalBytes(world.id(name), node)) ?? ''
  /** `sealed` is changed after sealing. */
  async function depositRequest(
    by: string,
    to: Uint8Array,
    deposit: ClearDeposit,
    { sealed, ...change }: { at?: number; nonce?: Uint8Array; chain?: CID; sealed?: Partial<DepositBody> } = {},
  ): Promise<Uint8Array> {
    const keeper = { id: to, seal: await publicKeyOf(sealSecretOf(nameOf(to))) }
    const body = { ...(await sealDeposit(genesis, deposit, keeper)), ...sealed }
    const request = { chain: genesis, to, at: clock.now, nonce: nonce(), kind: 'deposit', body, ...change } as const
    return signPersonRequest(request, signerOf(by))
  }

  /** A record of the patient whose share lies with these custodians. */
  async function signRecord(
    name: string,
    at: readonly TestCustodian[],
    change: Partial<ClearDeposit> = {},
  ): Promise<SignedTransaction> {
    const body = depositBody(name, change)
    const receipts = await Promise.all(
      at.map(async (one) => one.custody.deposit(await depositRequest('patient', one.id, body))),
    )
    receipts.sort((a, b) => Buffer.compare(a.node, b.node))
    const { commitment, nonce, file } = body
    const record = world.recordBody({ commitment, nonce, file, receipts })
    return sign('patient', { kind: 'record', body: record }, clock.now)
  }
  /** The same, on every chain. */
  async function keepRecord(...of: Parameters<typeof signRecord>): Promise<Uint8Array> {
    const transaction = await signRecord(...of)
    const results = await mine(transaction)
    if (results.at(-1) !== 0) throw new Error(`The record was refused: ${results.join()}`)
    return transaction.id.bytes
  }

  const salt = digest('salt')
  const access = (
    by: string,
    record: Uint8Array,
    change: Partial<AccessBody> = {},
    at = clock.now,
  ): SignedTransaction => {
    const commitment = releaseCommitment(genesis, { record, seal: sealKey, salt })
    const certificate = world.certificate(by)
    const body = { record, grant: null, certificate, action: 2, purpose: 1, commitment, ...change }
    return sign(by, { kind: 'access', body }, at)
  }
  const releaseRequest = (by: string, to: Uint8Array, { bytes }: SignedTransaction): Uint8Array =>
    signPersonRequest(
      { chain: genesis, to, at: clock.now, nonce: nonce(), kind: 'release', body: { access: bytes, salt } },
      signerOf(by),
    )
  /** Asks a custodian for a record. */
  const ask = (one: TestCustodian, by: string, record: Uint8Array, change: Partial<AccessBody> = {}) =>
    one.custody.release(releaseRequest(by, one.id, access(by, record, change)))
  const grant = (change: Parameters<typeof world.grantBody>[0] = {}): SignedTransaction =>
    sign('patient', { kind: 'grant', body: world.grantBody({ until: Number.MAX_SAFE_INTEGER, ...change }) }, clock.now)

  return {
    ...{
      clock,
      world,
      version,
      sealKey,
      custodians,
      newChain,
      open,
      mine,
      mineAt,
      depositBody,
      depositRequest,
      signRecord,
      keepRecord,
    },
    ...{ access, releaseRequest, ask, grant, nonce },
    async close() {
      for (const one of [...custodians]) await one.close()
    },
  }
}

export type Bench = Awaited<ReturnType<typeof createBench>>
