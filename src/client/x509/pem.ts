import { base64pad } from 'multiformats/bases/base64'

/** DER as text of RFC 7468, with the newline at its end. */
export function toPem(label: 'CERTIFICATE' | 'X509 CRL', der: Uint8Array): string {
  const lines = base64pad.baseEncode(der).match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
