import { signerOf } from '../../client/consent/consent-keys.js'
import { consentKeysOf } from '../../client/consent/wallet-keys.js'
import { createCertificateSource } from '../../client/x509/chain-certificates.js'
import { EmrError } from '../../errors.js'
import { parseChainId } from '../../protocol/cid.js'
import { openClient } from '../open-client.js'
import { openWalletFile } from '../wallet-file.js'
import type { CaDependencies } from './ca-dependencies.js'

/** The node and the wallet that the command line names. */
export const caDependencies: CaDependencies = {
  async openSource(globals) {
    const client = openClient(globals)
    const { genesis } = await client.status()
    return createCertificateSource(client, parseChainId(genesis))
  },
  async openKey({ wallet: path }, genesis, signal) {
    const { wallet } = await openWalletFile(path, signal)
    const keys = consentKeysOf(wallet, genesis)
    if (!keys.id) throw new EmrError('identity_missing')
    return { id: parseChainId(keys.id), signer: signerOf(keys) }
  },
  now: Date.now,
}
