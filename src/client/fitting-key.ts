import { hexToBytes } from '@noble/hashes/utils.js'
import { FILE_CONTEXT, openHeader } from '../crypto/file-cipher.js'
import { EmrError, isEmrError } from '../errors.js'
import type { FileKey, Wallet } from './wallet.js'

/**
 * The key of the wallet that opens an encrypted file, by the commitment in the file's first `HEADER_SIZE` bytes; no
 * name is needed, and no other key can fit.
 *
 * @throws EmrError `key_missing` if none does, `cipher_truncated` if the header is not whole
 */
export function fittingKey(wallet: Wallet, header: Uint8Array): FileKey {
  const found = wallet.files.find(({ key }) => {
    try {
      openHeader(header, hexToBytes(key), FILE_CONTEXT)
      return true
    } catch (error) {
      if (isEmrError(error, 'cipher_wrong_key')) return false
      throw error
    }
  })
  if (!found) throw new EmrError('key_missing')
  return found
}
