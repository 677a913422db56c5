/**
 * A `Content-Disposition` by which a browser saves the answer under this name (RFC 6266). What is not a plain character
 * of a file name is written as `_`, and where that changes letters, the name comes a second time in full (RFC 8187).
 */
export function attachment(name: string): string {
  const safe = name.replace(/["\\/%\p{Cc}]/gu, '_')
  const plain = safe.replace(/[^ -~]/gu, '_')
  return `attachment; filename="${plain}"${plain === safe ? '' : `; filename*=UTF-8''${percentEncoded(safe)}`}`
}

/** Every byte but those of RFC 8187's `attr-char`, of which only the common ones are left as they are. */
const percentEncoded = (text: string): string =>
  [...Buffer.from(text)]
    .map((byte) => {
      const character = String.fromCharCode(byte)
      return /[\w.-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
