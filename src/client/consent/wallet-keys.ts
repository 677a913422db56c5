import type { CID } from 'multiformats/cid'
import { EmrError } from '../../errors.js'
import type { Wallet } from '../wallet.js'
import type { ConsentKeys } from './consent-keys.js'

/** What the wallet holds for the consent contract of a network; undefined where it has nothing. */
export const findConsentKeys = (wallet: Wallet, chain: CID): ConsentKeys | undefined =>
  wallet.consent?.find(({ network }) => network === chain.toString())

/** The same of a wallet that must have it. @throws EmrError `secret_missing` */
export function consentKeysOf(wallet: Wallet, chain: CID): ConsentKeys {
  const found = findConsentKeys(wallet, chain)
  if (!found) throw new EmrError('secret_missing', 'It has no keys for this network.')
  return found
}

/** The wallet with these keys, in the place of those that it had for the same network. */
export function putConsentKeys(wallet: Wallet, keys: ConsentKeys): Wallet {
  const others = wallet.consent?.filter(({ network }) => network !== keys.network) ?? []
  return { ...wallet, consent: [...others, keys] }
}
