import { FileInfo, PaperBlock, RecordMatch } from '../../http/paper-json.js'
import { Type } from '../../typebox.js'

/** The answers of the paper's calls, each with its status, as the demonstration demands them. */
export const expected = {
  createHash: { status: 201, answer: Type.Object({ 'IPFS Hash': FileInfo }) },
  connectNode: {
    status: 201,
    answer: Type.Object({
      message: Type.Literal('All the nodes are now connected. The Blockchain now contains the following code'),
      total_nodes: Type.Array(Type.String()),
      refused: Type.Array(Type.Unknown(), { maxItems: 0 }),
    }),
  },
  addTransaction: {
    status: 201,
    answer: Type.Object({ message: Type.String(), index: Type.Integer(), transaction: Type.String() }),
  },
  mineBlock: {
    status: 200,
    answer: Type.Intersect([
      Type.Object({ message: Type.Literal('Congratulations, you just mined a block!') }),
      PaperBlock,
    ]),
  },
  getChain: { status: 200, answer: Type.Object({ chain: Type.Array(PaperBlock), length: Type.Integer() }) },
  getFileHash: {
    status: 200,
    answer: Type.Intersect([RecordMatch, Type.Object({ matches: Type.Array(RecordMatch) })]),
  },
  getFile: {
    status: 200,
    answer: Type.Object({
      message: Type.Literal('The File has Retrieved at Your Local Directory'),
      path: Type.String(),
      size: Type.Integer(),
    }),
  },
  isValid: { status: 200, answer: Type.Object({ message: Type.String(), valid: Type.Boolean() }) },
  replaceChain: { status: 200, answer: Type.Object({ message: Type.String() }) },
} as const
