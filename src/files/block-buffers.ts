/**
 * Memory for the blocks of a file that is read, filled again and again. Without it a large file leaves a buffer for
 * each of its blocks to the garbage collector, which lets many of them gather before it comes.
 */
export interface BlockBuffers {
  /** Memory of this length; what is in it has no meaning. */
  take(length: number): Uint8Array<ArrayBuffer>
  /**
   * Takes back what `take` gave, by any view of it. From then on nobody may read it. Other memory is passed over, and
   * what never comes back is left to the garbage collector.
   */
  giveBack(bytes: Uint8Array): void
}

/** Smaller blocks are left to the garbage collector: they are few, or their file is small. */
const SMALLEST = 128 * 1024

export function createBlockBuffers(): BlockBuffers {
  const free: ArrayBuffer[] = []
  const lent = new WeakSet<ArrayBufferLike>()
  return {
    take(length) {
      if (length < SMALLEST) return Buffer.allocUnsafeSlow(length)
      const fitting = free.findIndex((buffer) => buffer.byteLength >= length)
      const [buffer = new ArrayBuffer(length)] = fitting === -1 ? [] : free.splice(fitting, 1)
      lent.add(buffer)
      return new Uint8Array(buffer, 0, length)
    },
    giveBack({ buffer }) {
      if (buffer instanceof ArrayBuffer && lent.delete(buffer)) free.push(buffer)
    },
  }
}
