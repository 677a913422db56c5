"""The paper's program, made anew and small, to be measured beside emrchain.

Its rules are those that `emrchain prototype verify` checks: a block is linked by the SHA-256 of its JSON, and the next
nonce is the least from 1 whose square less the square of the one before, as decimal text, has a SHA-256 that begins with
four hex zeros. No content of a block enters that. Everything is in memory, nothing is signed, and the server is the one
that Flask's `app.run` starts.

With the paper's time for the first block the hash of that block is the paper's too, and so are the nonces: 1, 533, 45293.

Prints one line of JSON with its port when it listens, and ends when its standard input does. `POST /seed` is not the
paper's: it makes a long chain at once, with nonces that nobody searched.
"""

import datetime
import hashlib
import json
import os
import sys
import threading

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

FIRST_TIME = "2020-09-02 23:31:41.258101"
FIELDS = ("user_id", "ipfs_hash", "EHR_name")


class Blockchain:
    def __init__(self):
        self.chain = []
        self.transactions = []
        self.append(nonce=1, previous_hash="0", timestamp=FIRST_TIME)

    def append(self, nonce, previous_hash, timestamp=None):
        block = {
            "index": len(self.chain) + 1,
            "timestamp": timestamp or str(datetime.datetime.now()),
            "nonce": nonce,
            "previous_hash": previous_hash,
            "transactions": self.transactions,
        }
        self.transactions = []
        self.chain.append(block)
        return block

    def add_transaction(self, transaction):
        self.transactions.append(transaction)
        return self.chain[-1]["index"] + 1

    def find(self, name):
        """What is kept says of no name where it is: the whole chain is looked through, the newest block first."""
        for block in reversed(self.chain):
            for transaction in block["transactions"]:
                if transaction["EHR_name"] == name:
                    return transaction
        return None


def solves(nonce, previous):
    return hashlib.sha256(str(nonce**2 - previous**2).encode()).hexdigest()[:4] == "0000"


def proof_of_work(previous):
    nonce = 1
    while not solves(nonce, previous):
        nonce += 1
    return nonce


def hash_of(block):
    return hashlib.sha256(json.dumps(block, sort_keys=True).encode()).hexdigest()


def is_valid(chain):
    for previous, block in zip(chain, chain[1:]):
        if block["previous_hash"] != hash_of(previous) or not solves(block["nonce"], previous["nonce"]):
            return False
    return True


app = Flask(__name__)
blockchain = Blockchain()


@app.get("/mine_block")
def mine_block():
    previous = blockchain.chain[-1]
    block = blockchain.append(proof_of_work(previous["nonce"]), hash_of(previous))
    return jsonify({"message": "A block was mined.", **block}), 200


@app.get("/get_chain")
def get_chain():
    return jsonify({"chain": blockchain.chain, "length": len(blockchain.chain)}), 200


@app.get("/is_valid")
def get_is_valid():
    return jsonify({"message": "valid" if is_valid(blockchain.chain) else "not valid"}), 200


@app.post("/add_transaction")
def add_transaction():
    body = request.get_json()
    if not all(field in body for field in FIELDS):
        return "Some elements of the transaction are missing.", 400
    index = blockchain.add_transaction({field: body[field] for field in FIELDS})
    return jsonify({"message": f"This transaction will be added to blockchain {index}"}), 201


@app.post("/get_file_hash")
def get_file_hash():
    found = blockchain.find(request.get_json()["name"])
    if found is None:
        return "No such file.", 404
    return jsonify({"File info": {"Hash": found["ipfs_hash"], "Name": found["EHR_name"]}}), 200


@app.post("/seed")
def seed():
    """Adds `blocks` blocks of `transactions` records each, named MRI-0 and so on in their order."""
    body = request.get_json()
    number = sum(len(block["transactions"]) for block in blockchain.chain)
    for _ in range(body["blocks"]):
        for _ in range(body["transactions"]):
            cid = "QmbWxSqxhZms74885xceSaiHVvdjqiVWrATtYUrrUnVE1K"
            blockchain.add_transaction({"user_id": f"user-{number}", "ipfs_hash": cid, "EHR_name": f"MRI-{number}"})
            number += 1
        blockchain.append(nonce=533, previous_hash=hash_of(blockchain.chain[-1]))
    return jsonify({"length": len(blockchain.chain), "transactions": number}), 201


def end_with_input():
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()
