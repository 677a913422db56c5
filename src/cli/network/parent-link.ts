import { Type } from '../../typebox.js'

/** Environment variable by which `emrchain network` and `emrchain demo` tell `emrchain start` that they look after it. */
export const PARENT_VARIABLE = 'EMRCHAIN_PARENT'

/** What a node tells the process that started it, over the channel that Node.js keeps between the two. */
export const ReadyMessage = Type.Object({ emrchain: Type.Literal('ready'), url: Type.String() })

/** The process that started this one and looks after it. */
export interface ParentLink {
  /** Tells it that the node answers at `url`. */
  ready(url: string): void
  /** Calls `close` once, when it lets go of this process or is gone itself, however it ended. */
  onGone(close: () => void): void
}

/**
 * The link to a process that started this one as a node of its network; undefined in a process that was
 * started in any other way.
 */
export function linkToParent(environment: Readonly<Record<string, string | undefined>>): ParentLink | undefined {
  if (environment[PARENT_VARIABLE] !== '1' || process.send === undefined) return undefined
  return {
    ready(url) {
      // Where the parent is gone already, `onGone` says so; there is nobody left to hear this.
      if (process.connected) process.send?.({ emrchain: 'ready', url }, undefined, {}, () => undefined)
    },
    onGone(close) {
      // It reads the log; when it is gone, what cannot be written any more must not keep the node from closing.
      process.stderr.on('error', () => undefined)
      if (!process.connected) {
        close()
        return
      }
      process.once('disconnect', close)
      // The channel alone is no reason to go on.
      process.channel?.unref()
    },
  }
}
