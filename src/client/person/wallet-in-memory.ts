import { newWallet, type Wallet } from '../wallet.js'
import type { WalletKeeper } from './person-session.js'

/** A keeper whose wallet is gone with the process: for programs that keep it elsewhere themselves, and for examples. */
export function walletInMemory(first: Wallet = newWallet()): WalletKeeper {
  let wallet = first
  return {
    get wallet() {
      return wallet
    },
    async change(change) {
      wallet = change(wallet)
    },
  }
}
