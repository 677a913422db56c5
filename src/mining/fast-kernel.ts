import type { HashKernel } from './kernel.js'
import { createScriptSearch } from './script-search.js'
import { createSearchKernel } from './search-kernel.js'
import { createVectorSearch } from './vector-search.js'

/** The fastest kernel of this machine: four nonces a pass where WebAssembly has vectors, else one. */
export const createFastKernel = (): HashKernel => createSearchKernel(createVectorSearch() ?? createScriptSearch())
