import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { NodeConfig } from '../config/node-config.js'
import { EmrError } from '../errors.js'

/** What an https server needs. */
export interface Tls {
  readonly cert: Buffer
  readonly key: Buffer
  readonly minVersion: 'TLSv1.2'
}

/**
 * The certificate and key of the configuration, or nothing when it names none.
 *
 * @throws EmrError `config_invalid` when a file cannot be read, is no PEM, or key and certificate differ
 */
export function loadTls({ tlsCert, tlsKey }: NodeConfig): Tls | undefined {
  if (tlsCert === undefined || tlsKey === undefined) return undefined
  const tls = { cert: read('tlsCert', tlsCert), key: read('tlsKey', tlsKey), minVersion: 'TLSv1.2' } as const
  try {
    createSecureContext(tls)
    // Of a key of another kind than the certificate's the line above says nothing, and no client could connect.
    if (!new X509Certificate(tls.cert).checkPrivateKey(createPrivateKey(tls.key))) throw new Error('another key')
  } catch (cause) {
    throw new EmrError('config_invalid', 'tlsCert, tlsKey: they are no certificate with its key.', {}, { cause })
  }
  return tls
}

/**
 * The certificates that vouch for https peers, or nothing where those of the system do.
 *
 * @throws EmrError `config_invalid` when the file cannot be read or holds no certificate
 */
export function loadAuthorities({ tlsCa }: NodeConfig): Buffer | undefined {
  if (tlsCa === undefined) return undefined
  const ca = read('tlsCa', tlsCa)
  try {
    // What is no certificate would be passed over, and then nobody be trusted.
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate')
    createSecureContext({ ca })
  } catch (cause) {
    throw new EmrError('config_invalid', 'tlsCa: it holds no certificate.', {}, { cause })
  }
  return ca
}

function read(option: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new EmrError('config_invalid', `${option}: ${path} cannot be read.`, {}, { cause })
  }
}
