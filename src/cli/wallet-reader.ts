import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { renewedKeys, signerOf } from '../client/consent/consent-keys.js'
import { findConsentKeys } from '../client/consent/wallet-keys.js'
import type { NodeClient } from '../client/node-client.js'
import type { Wallet } from '../client/wallet.js'
import type { Signer } from '../crypto/ed25519.js'
import { isEmrError } from '../errors.js'
import { parseChainId } from '../protocol/cid.js'
import { interruption } from './interruption.js'

/** The key with which this wallet reads on a network; undefined where it has none. */
export function readerOf(wallet: Wallet, genesis: string): Signer | undefined {
  const keys = findConsentKeys(wallet, parseChainId(genesis))
  return keys && signerOf(keys)
}

/**
 * Finds the key of the wallet at this path when a node first asks who reads. Only then is the wallet opened.
 *
 * @param open gives a client of that node, which signs by a key
 * @throws EmrError `passphrase_missing`, `passphrase_wrong`, `wallet_malformed`, `disk_failed`, and those of the node
 */
export function createWalletReader(
  path: string,
  open: (signer?: Signer) => Pick<NodeClient, 'status' | 'identityOfKey'>,
): () => Promise<Signer | undefined> {
  let found: Promise<Signer | undefined> | undefined
  async function find(): Promise<Signer | undefined> {
    const { genesis } = await open().status()
    const { openWalletFile } = await import('./wallet-file.js')
    try {
      const { wallet } = await openWalletFile(path, interruption())
      return (await renewedReader(wallet, genesis, open)) ?? readerOf(wallet, genesis)
    } catch (error) {
      // Then the refusal of the node says what is needed.
      if (isEmrError(error, 'wallet_missing')) return undefined
      throw error
    }
  }
  return () => {
    found ??= find()
    return found
  }
}

/** The key that a rotation under way leads to, where the chain has it by now. */
async function renewedReader(
  wallet: Wallet,
  genesis: string,
  open: Parameters<typeof createWalletReader>[1],
): Promise<Signer | undefined> {
  const keys = findConsentKeys(wallet, parseChainId(genesis))
  if (keys?.nextRoot === undefined) return undefined
  const signer = signerOf(renewedKeys(keys, hexToBytes(keys.nextRoot)))
  try {
    await open(signer).identityOfKey(bytesToHex(signer.publicKey))
    return signer
  } catch (error) {
    if (isEmrError(error, 'identity_unknown')) return undefined
    throw error
  }
}
