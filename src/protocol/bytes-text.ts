/**
 * A short text that stands for some bytes in a set or a map: a character a byte. It is one piece; a text that is
 * joined digit by digit costs several times as much where it is looked up.
 */
export const bytesText = (bytes: Uint8Array): string => String.fromCharCode.apply(null, bytes as unknown as number[])
