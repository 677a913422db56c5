import { Header, type HeaderData } from 'tar/header'
import { Pax } from 'tar/pax'

// A folder is recorded as one tar (POSIX pax): the folder itself first, then what is in it, each folder before its
// contents, in the order of the bytes of the paths. Of files there are names and bytes and nothing else: owners, modes
// and times are the same for all, so the same folder always makes the same tar. Any tar program takes it.

/** What a tar begins with that was made of a folder: a comment at its first entry, which other programs pass over. */
export const FOLDER_MARK = 'emrchain folder v1'

/** What the name of a recorded folder ends with, before encryption. */
export const TAR_SUFFIX = '.tar'

/** Most files and folders in one record. */
export const MOST_ENTRIES = 1_000_000

/** Bytes of which a tar is made. */
export const BLOCK = 512

/** A file or a folder in a tar. */
export interface FolderEntry {
  /** Parts of its path, the name of the recorded folder first. */
  readonly path: readonly string[]
  readonly kind: 'file' | 'folder'
  /** Bytes of a file; 0 for a folder. */
  readonly size: number
}

/** Bytes with which a file is filled up to whole blocks. */
export const paddingOf = (size: number): number => -size & (BLOCK - 1)

/** What stands before the contents of an entry. */
export function encodeEntry({ path, kind, size }: FolderEntry): Buffer {
  const isFolder = kind === 'folder'
  const facts: HeaderData = {
    path: path.join('/') + (isFolder ? '/' : ''),
    type: isFolder ? 'Directory' : 'File',
    mode: isFolder ? 0o755 : 0o644,
    size,
    mtime: new Date(0),
    uid: 0,
    gid: 0,
  }
  const block = Buffer.alloc(BLOCK)
  const needsMore = new Header(facts).encode(block)
  const isFirst = path.length === 1
  if (!needsMore && !isFirst) return block
  // The path is in the extension. Programs differ in what a prefix beside it means, so there is none.
  const plain =
    path
      .at(-1)
      ?.replace(/[^ -~]/g, '_')
      .slice(0, 90) ?? ''
  new Header({ ...facts, path: isFolder ? `${plain}/` : plain }).encode(block.fill(0))
  return Buffer.concat([new Pax({ ...facts, ...(isFirst ? { comment: FOLDER_MARK } : {}) }).encode(), block])
}

/**
 * Whether a name can be that of a file here and elsewhere: a part of a path, no path, and no text that drives a terminal.
 * What is recorded and what is unpacked obey the same rule.
 */
export const isPlainName = (name: string): boolean =>
  name !== '' &&
  name !== '.' &&
  name !== '..' &&
  !/[/\\\p{Cc}\p{Cs}\ufffd]/u.test(name) &&
  Buffer.byteLength(name) <= 255
