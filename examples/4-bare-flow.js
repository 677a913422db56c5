// Paper 004: the bare flow of its prototype. A file is encrypted, stored and recorded under a user and a name; whoever is
// given the key by hand opens it. Nobody asks for consent, and nothing takes the key back.

import { addRecord } from '#emrchain/client/add-record.js'
import { getRecord } from '#emrchain/client/get-record.js'
import { createNodeClient } from '#emrchain/client/node-client.js'
import { addFileKey, exportKey, importKey, newWallet } from '#emrchain/client/wallet.js'
import { nodeAead } from '#emrchain/crypto/aead-node.js'
import { caughtUp, startNodes } from './shared/nodes.js'
import { bytesOf, gathered } from './shared/people.js'
import { check, play, refused, step, tell } from './shared/story.js'

const SCAN = 'MRI of the head: no finding.'

await play('Example 4, the bare flow (paper 004)', async (stage) => {
  const { signal } = stage
  const { hospital, clinic } = await startNodes(stage, ['hospital', 'clinic'], { network: 'paper' })
  tell('Two nodes of the network "paper", with the work of the prototype: 16 bits.')

  step('1. A patient encrypts a file, stores it in IPFS and records it. The key stays in the wallet.')
  let wallet = newWallet()
  const client = createNodeClient(hospital.url)
  const { fileKey, transaction } = await addRecord(
    { source: bytesOf(SCAN), fileName: 'MRI.pdf', name: 'MRI', userId: 'ann' },
    {
      ...{ client, wallet, aead: nodeAead, signal, now: Date.now },
      // Before the record is sent: what nobody can open must not get onto the chain.
      async keep(key) {
        wallet = addFileKey(wallet, key)
      },
    },
  )
  tell(`The ciphertext is ${fileKey.cid}.`)
  const block = await client.mine({ signal })
  const entry = block.transactions.find(({ id }) => id === transaction.id.toString())
  check(
    'A block holds the record, with user and name in clear as in the paper.',
    entry?.user_id === 'ann' && entry?.EHR_name === 'MRI',
  )

  step('2. A doctor at another node finds it by its name.')
  const other = createNodeClient(clinic.url)
  await caughtUp(stage, clinic, hospital)
  const found = await other.findFile({ name: 'MRI' }, { signal })
  check('The other node knows the record and where its ciphertext is.', found['File info'].Hash === fileKey.cid)
  const doctor = { client: other, wallet: newWallet(), aead: nodeAead, signal }
  await refused('Without the key it does not open.', getRecord('MRI', doctor), 'key_missing')

  step('3. The patient hands the key over: a line of text, by hand, once.')
  const line = exportKey(fileKey)
  tell(`${line.slice(0, 40)}...`)
  const received = { ...importKey(line), addedAt: new Date().toISOString() }

  step('4. The doctor opens it. The other node fetches the ciphertext from the first one.')
  const opened = await getRecord('MRI', { ...doctor, wallet: addFileKey(doctor.wallet, received) })
  check('It is the file of the patient.', (await gathered(opened.contents)) === SCAN)
  const wrong = { ...received, key: '00'.repeat(32) }
  const guessed = await getRecord('MRI', { ...doctor, wallet: addFileKey(doctor.wallet, wrong) })
  await refused('With another key it does not.', gathered(guessed.contents), 'cipher_wrong_key')
  tell('Whoever has the line can open the file from now on. The other examples are about what the paper leaves out.')
})
