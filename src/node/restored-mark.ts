import type { JsonTable } from '../ledger/json-table.js'

const SETTING = 'restored'

/** Notes that a data folder comes from a backup, so that its chain may lack what others have known for long. */
export const markRestored = (settings: JsonTable): Promise<void> => settings.put(SETTING, true)

export const isRestored = (settings: JsonTable): boolean => settings.get(SETTING) === true

/** Strikes the note out, once the folder has been compared with another node. */
export const forgetRestored = (settings: JsonTable): Promise<void> => settings.remove(SETTING)
