/**
 * The steps at which a crash matters: before and after each write that lasts. A test arms one, and the
 * process ends there as by a loss of power to it alone (after etcd's "failpoints"). In normal life
 * nothing is armed, and a step costs one comparison.
 */

/** Every step, in the order in which a node comes to it. Each is called at one place of src/. */
export const failpoints = [
  // Files that are written whole: of a new data folder, its key, its chain file, and more.
  'durable-file.begin',
  'durable-file.written',
  'durable-file.synced',
  'durable-file.renamed',
  'database.create.begin',
  'database.create.filled',
  'database.create.clean',
  'database.create.renamed',
  'database.open.marked',

  // Recovery at start.
  'recovery.begin',
  'recovery.cut.begin',
  'recovery.cut.done',
  'recovery.index.removed',
  'recovery.index.made',
  'recovery.index.batch',
  'recovery.index.filled',
  'recovery.index.moved',
  'recovery.index.forgotten',
  'recovery.state.begin',
  'recovery.state.done',
  'chain-file.cut.begin',
  'chain-file.cut.truncated',
  'chain-file.cut.synced',

  // Pending transactions, peers, settings, known files.
  'pending.put.begin',
  'pending.put.done',
  'table.put.begin',
  'table.put.done',
  'table.remove.begin',
  'table.remove.done',
  'commit.sent',
  'commit.answered',

  // A block and the tip.
  'chain-file.append.begin',
  'chain-file.append.written',
  'chain-file.append.synced',
  'append.indexed',
  'move.begin',
  'move.committed',
  'move.indexed',

  // Files.
  'car.begin',
  'car.written',
  'car.named',
  'car.synced',
  'car.renamed',
  'car.done',
  'download.begin',
  'download.written',
  'download.named',

  // Shares that are kept for others.
  'shares.put.begin',
  'shares.put.done',
  'shares.note.done',
  'shares.erase.begin',
  'shares.erase.noted',
  'shares.erase.key',
  'shares.erase.moved',
  'shares.erase.batch',
  'shares.key.begin',
  'shares.key.overwritten',
  'shares.key.removed',
  'shares.erase.done',
  'release.put.begin',
  'release.put.done',

  // Closing.
  'database.close.begin',
  'database.close.closed',
  'database.close.marked',

  // Backup and restore.
  'backup.begin',
  'backup.state',
  'backup.chain',
  'backup.files',
  'backup.manifest',
  'backup.renamed',
  'restore.begin',
  'restore.copied',
  'restore.checked',
  'restore.renamed',

  // Repair of a damaged chain file.
  'repair.begin',
  'repair.written',
  'repair.returned',
  'repair.kept',
  'repair.index.removed',
  'repair.renamed',
  'repair.done',
] as const

export type Failpoint = (typeof failpoints)[number]

let armed: ((point: Failpoint) => void) | undefined

/** Says that this step is reached. */
export const failpoint = (point: Failpoint): void => armed?.(point)

/** Lets a test hear of each step, on this thread. What it does there, it does before the step goes on. */
export const armFailpoints = (reached: ((point: Failpoint) => void) | undefined): void => {
  armed = reached
}
