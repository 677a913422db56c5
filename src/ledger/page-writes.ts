/**
 * How writes travel to the thread that commits them: packed into memory of their own, which is moved. A key or value
 * that is sent as it is takes all the memory it lies in with it, mostly 8 KiB that Node.js shares out.
 */

/** One put, or one removal where the value is null. Values are sealed. */
export type PageWrite = readonly [key: Uint8Array, value: Uint8Array | null]

/** For each write: length of the key, of the value or `REMOVED`, key, value. */
export type PackedWrites = Uint8Array<ArrayBuffer>

const HEAD = 8
const REMOVED = 0xffff_ffff

export function packWrites(writes: readonly PageWrite[]): PackedWrites {
  const packed = new Uint8Array(writes.reduce((sum, [key, value]) => sum + HEAD + key.length + (value?.length ?? 0), 0))
  const view = new DataView(packed.buffer)
  let at = 0
  for (const [key, value] of writes) {
    view.setUint32(at, key.length)
    view.setUint32(at + 4, value?.length ?? REMOVED)
    packed.set(key, at + HEAD)
    if (value) packed.set(value, at + HEAD + key.length)
    at += HEAD + key.length + (value?.length ?? 0)
  }
  return packed
}

/** The writes in their order. Keys and values share memory with `packed`. */
export function* unpackWrites(packed: PackedWrites): Generator<PageWrite> {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length)
  for (let at = 0; at < packed.length; ) {
    const keyEnd = at + HEAD + view.getUint32(at)
    const length = view.getUint32(at + 4)
    const end = length === REMOVED ? keyEnd : keyEnd + length
    yield [packed.subarray(at + HEAD, keyEnd), length === REMOVED ? null : packed.subarray(keyEnd, end)]
    at = end
  }
}
