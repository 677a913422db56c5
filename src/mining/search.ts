/** Finds nonces whose digest may meet a target; whether one does is for its caller to check. */
export interface Search {
  /** @param constants as `constantsOf` makes them */
  set(constants: Int32Array): void

  /**
   * The least offset below `count` for which the first word of the digest, with `low` + offset as the low word of the
   * nonce, is at most the first word of the target; -1 if there is none.
   *
   * @param low 0 to 2^32 - 1
   * @param count at most 2^30; low + count is at most 2^32
   */
  find(low: number, count: number): number
}
