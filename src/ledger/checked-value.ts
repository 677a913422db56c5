import { sha256Of } from './digest.js'

const CHECK_LENGTH = 8

const checkOf = (key: Uint8Array, value: Uint8Array): Buffer => {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(key.length)
  return sha256Of(length, key, value).subarray(0, CHECK_LENGTH)
}

/** A value as it stands in the database: the first 8 bytes of SHA-256 over key and value, then the value. */
export const sealValue = (key: Uint8Array, value: Uint8Array): Buffer => Buffer.concat([checkOf(key, value), value])

/** The value in `sealed`, or undefined if it does not belong to the key or was altered. */
export const unsealValue = (key: Uint8Array, sealed: Uint8Array): Uint8Array | undefined => {
  const value = sealed.subarray(CHECK_LENGTH)
  const isWhole = sealed.length >= CHECK_LENGTH && checkOf(key, value).equals(sealed.subarray(0, CHECK_LENGTH))
  return isWhole ? value : undefined
}
