/** Whether this code of an error, of OpenSSL or Node, says that the certificate of the other end is not accepted. */
export const isCertificateError = (code: string): boolean =>
  /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|ERR_TLS_CERT_)/.test(code)
