import { EmrError } from '../errors.js'

/** The error for bytes of the chain file that are not what they must be. @param offset of the section, in bytes */
export const chainDamaged = (offset: number, detail?: string, cause?: unknown): EmrError =>
  new EmrError('chain_damaged', `${detail ? `${detail} ` : ''}It is at byte ${offset}.`, { offset }, { cause })
