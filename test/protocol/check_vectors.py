"""Checks test/vectors by docs/protocol.md, with verify_chain.py and Python's standard library.

    python3 check_vectors.py test/vectors

Exit code 1 names the first vector that the page does not give.
"""
import base64
import calendar
import hashlib
import hmac
import json
import os
import sys
import time

sys.dont_write_bytecode = True
import contract
import verify_chain as chain
from zip215 import BASE, ORDER, compress, multiply, verify

checked = 0


def check(holds, name):
    global checked
    checked += 1
    if not holds:
        raise SystemExit(f"wrong: {name}")


def code_of(call, *arguments):
    try:
        call(*arguments)
    except chain.Invalid as error:
        return str(error).split()[0]
    return "ok"


def text_of(cid):
    return "b" + base64.b32encode(cid).decode().lower().rstrip("=")


def base58(data):
    digits, number = "", int.from_bytes(data, "big")
    while number:
        number, digit = divmod(number, 58)
        digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + digits
    return digits


def sign(seed, message):
    """RFC 8032, section 5.1.6."""
    digest = hashlib.sha512(seed).digest()
    secret = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    number = int.from_bytes(hashlib.sha512(digest[32:] + message).digest(), "little") % ORDER
    key, point = compress(multiply(secret, BASE)), compress(multiply(number, BASE))
    challenge = int.from_bytes(hashlib.sha512(point + key + message).digest(), "little") % ORDER
    return key, point + ((number + challenge * secret) % ORDER).to_bytes(32, "little")


def parameters_of(file):
    """The block of a network file."""
    date, _, milliseconds = file["time"].rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%S"))
    targets = {key: bytes.fromhex(file["difficulty"][key]) for key in ("target", "limit") if key in file["difficulty"]}
    administrators = file["administrators"]
    if administrators:
        administrators = {**administrators, "keys": [bytes.fromhex(key) for key in administrators["keys"]]}
    return {**file, "time": seconds * 1000 + int(milliseconds), "difficulty": {**file["difficulty"], **targets},
            "administrators": administrators}


# --- Files -------------------------------------------------------------------------------------------------

def varint(number):
    low = []
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes([*low, number])


def field(number, data):
    """A protobuf field of bytes, or of a number."""
    if isinstance(data, int):
        return bytes([number << 3]) + varint(data)
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def node(links, unixfs, size):
    """(digest, bytes of the DAG, bytes of the file) of one node."""
    block = b"".join(
        field(2, field(1, b"\x12\x20" + digest) + field(2, b"") + field(3, dag)) for digest, dag, _ in links
    ) + field(1, unixfs)
    return hashlib.sha256(block).digest(), len(block) + sum(dag for _, dag, _ in links), size


def file_cid(content):
    """CIDv0 and Size of a file."""
    def leaf(chunk):
        return node([], field(1, 2) + (field(2, chunk) if chunk else b"") + field(3, len(chunk)), len(chunk))

    level = [leaf(content[at:at + 262_144]) for at in range(0, max(len(content), 1), 262_144)]
    while len(level) > 1:
        groups = [level[at:at + 174] for at in range(0, len(level), 174)]
        level = [
            node(group, field(1, 2) + field(3, sum(size for *_, size in group))
                 + b"".join(field(4, size) for *_, size in group), sum(size for *_, size in group))
            for group in groups
        ]
    (digest, dag, _), = level
    return base58(b"\x12\x20" + digest), dag


# --- The vectors -------------------------------------------------------------------------------------------

def check_protocol(vectors):
    for name, network in vectors["networks"].items():
        parameters = chain.encode(parameters_of(network["file"]))
        check(parameters.hex() == network["parameters"], f"{name}: parameters")
        cid = chain.cid_of(parameters)
        check(text_of(cid) == network["parametersCid"], f"{name}: CID of the parameters")
        genesis = chain.genesis_of(chain.read_parameters(parameters), cid)
        check(genesis.hex() == network["genesisHeader"], f"{name}: genesis")
        check(text_of(chain.cid_of(genesis)) == network["genesisId"], f"{name}: genesis id")

    seeds = {name: bytes.fromhex(seed) for name, seed in vectors["seeds"].items()}
    for name, seed in seeds.items():
        check(seed == hashlib.sha256(name.encode()).digest(), f"seed of {name}")
    listed = []
    for name, vector in vectors["transactions"].items():
        data = bytes.fromhex(vector["bytes"])
        tx = chain.read_transaction(data)
        signed = b"emrchain/tx/v1" + chain.encode({key: tx[key] for key in tx if key != "sig"})
        check(text_of(chain.cid_of(data)) == vector["id"], f"{name}: id")
        check(signed.hex() == vector["signed"], f"{name}: signed bytes")
        key, signature = sign(seeds["patient"], signed)
        check(key.hex() == vector["from"] and key == tx["from"], f"{name}: key")
        check(signature.hex() == vector["sig"] and signature == tx["sig"], f"{name}: signature")
        check(verify(signature, signed, key), f"{name}: signature holds")
        listed.append(chain.cid_of(data))

    block = vectors["block"]
    header = chain.read_header(bytes.fromhex(block["header"]))
    signed = b"emrchain/block/v1" + header["id"]
    key, signature = sign(seeds["miner"], signed)
    check(text_of(header["id"]) == block["id"], "block: id")
    check(header["height"] == 1 and header["miner"] == key, "block: header")
    check(header["transactions"] == chain.cid_of(bytes.fromhex(block["list"])), "block: link to the list")
    check(chain.read_list(bytes.fromhex(block["list"])) == listed, "block: list")
    check(header["results"] == hashlib.sha256(bytes(2)).digest(), "block: results")
    check(signed.hex() == block["signed"] and signature.hex() == block["signature"], "block: signature")
    pair = chain.encode([chain.Link(header["id"]), signature])
    check(pair.hex() == block["signatureSection"], "block: section of the signature")
    roots, sections = chain.sections(bytes.fromhex(block["car"]))
    check([bytes(root) for root in roots] == [header["id"]], "block: root of the CAR")
    check([cid for cid, _ in sections]
          == [*listed, header["transactions"], chain.cid_of(pair), header["id"]], "block: sections of the CAR")

    for vector in vectors["headers"]:
        data = bytes.fromhex(vector["bytes"])
        header = chain.read_header(data)
        check(len(data) == vector["length"] == 180 and header["height"] == vector["height"]
              and int.from_bytes(data[172:], "big") == vector["nonce"]
              and text_of(header["id"]) == vector["id"], f"header of height {vector['height']}")
    for vector in vectors["targets"]:
        target = chain.compact_to_target(int(vector["compact"], 16))
        check(f"{target:064x}" == vector["target"], f"target {vector['compact']}")
        check(f"{chain.work_of(target):x}" == vector["work"], f"work of {vector['compact']}")
    for vector in vectors["asert"]:
        # A genesis at the time of its spacing has a parent at 0.
        difficulty = {"rule": "asert", "target": bytes.fromhex(vector["target"]), "limit": bytes.fromhex(vector["limit"]),
                      "spacing": vector["spacing"], "halfLife": vector["halfLife"]}
        parent = {"time": vector["timeDiff"], "height": vector["heightDiff"]}
        following = chain.next_target({"time": vector["spacing"], "difficulty": difficulty}, parent)
        check(f"{following:08x}" == vector["next"], f"asert: {vector}: {following:08x}")
    for compact in vectors["refusedTargets"]:
        check(code_of(chain.compact_to_target, int(compact, 16)) == "header_bad_target", f"no target: {compact}")
    for vector in vectors["cbor"]["canonical"]:
        check(code_of(chain.decode, bytes.fromhex(vector["bytes"])) == "ok", f"canonical: {vector['name']}")
    for vector in vectors["cbor"]["refused"]:
        code = code_of(chain.decode, bytes.fromhex(vector["bytes"]))
        check(code == "malformed_cbor", f"not canonical: {vector['name']}: {code}")
    for kind, read in (("refusedTransactions", chain.read_transaction), ("refusedHeaders", chain.read_header)):
        for vector in vectors[kind]:
            code = code_of(read, bytes.fromhex(vector["bytes"]))
            check(code == vector["code"], f"{kind}: {vector['name']}: {code}")
    for vector in vectors["files"]:
        content = vector["text"].encode() if "text" in vector else bytes(vector["zeros"])
        check(file_cid(content) == (vector["cid"], vector["size"]), f"file {vector['cid']}")


def check_encryption(vectors):
    for case in vectors["cases"]:
        key, salt, context = bytes.fromhex(case["key"]), bytes.fromhex(case["salt"]), case["context"].encode()
        info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0" + salt + context
        first = hmac.new(key, info + b"\1", hashlib.sha512).digest()
        keys = first + hmac.new(key, first + info + b"\2", hashlib.sha512).digest()
        check([keys[:32].hex(), keys[32:44].hex(), keys[44:76].hex()]
              == [case["chunkKey"], case["baseNonce"], case["commitment"]], f"{case['name']}: derived keys")
        encrypted = bytes.fromhex(case["encrypted"]) if case.get("encrypted") else None
        if encrypted:
            check(encrypted[:56] == salt + keys[44:76] and len(encrypted) == case["size"], f"{case['name']}: beginning")


def check_custody(vectors):
    seeds = {name: bytes.fromhex(seed) for name, seed in vectors["seeds"].items()}
    genesis = bytes.fromhex(vectors["genesis"])
    for name, message in vectors["messages"].items():
        fields = chain.decode(bytes.fromhex(message["bytes"]))
        sig = fields.pop("sig")
        signed = message["text"].encode() + chain.encode(fields)
        key = sign(seeds[message["signer"]], signed)
        check(signed.hex() == message["signed"] and sig.hex() == message["sig"], f"{name}: what is signed")
        check(key == (fields.get("key", fields.get("from")), sig) and verify(sig, signed, key[0]), f"{name}: signature")
        check(fields["v"] == 1 and fields["chain"] == genesis, f"{name}: version and chain")

    deposit, share = vectors["depositReceipt"], {k: bytes.fromhex(v) for k, v in vectors["depositShare"].items()}
    signed = b"emrchain/deposit/v1" + genesis + b"".join(share[k] for k in ("patient", "nonce", "commitment", "file"))
    check(signed.hex() == deposit["signed"] and hashlib.sha256(signed).hexdigest() == deposit["deposit"], "deposit")
    check(sign(seeds["node"], signed)[1].hex() == deposit["sig"], "deposit: receipt")
    check(hashlib.sha256(share["plaintext"]).digest() == share["commitment"], "commitment")
    info = b"emrchain/seed/v1" + genesis + b"\2" + bytes(6)
    secret = hmac.new(bytes(32), bytes.fromhex(vectors["seal"]["root"]), hashlib.sha256).digest()
    secret = hmac.new(secret, info + b"\1", hashlib.sha256).hexdigest()
    check(secret == vectors["seal"]["secret"], "seed of a node's seal")
    release = {k: bytes.fromhex(v) for k, v in vectors["releaseCommitment"].items()}
    asked = b"emrchain/release-request/v1" + genesis + release["record"] + release["seal"] + release["salt"]
    check(hashlib.sha256(asked).digest() == release["commitment"], "commitment of an access")


def check_contract(vectors):
    """Each result and each decision of the frozen vectors, and the states that come of them, byte by byte."""
    def read(text):
        data = bytes.fromhex(text)
        return chain.read_transaction(data), chain.cid_of(data)

    unhex = lambda text: None if text is None else bytes.fromhex(text)
    for kind, world in vectors["worlds"].items():
        digests, start = vectors["digests"][kind], vectors["time"]
        administrators = world["administrators"]
        if administrators:
            administrators = {**administrators, "keys": [bytes.fromhex(key) for key in administrators["keys"]]}
        state = contract.State(administrators)
        for text in world["transactions"]:
            check(contract.apply(state, *read(text), start) == 0, f"{kind}: the world")
        check(state.digest(chain.encode) == digests["state"], f"{kind}: state")
        for vector in vectors["questions"]:
            if vector["world"] == kind:
                code = contract.decide(
                    state, *(unhex(vector[name]) for name in ("accessor", "certificate", "record", "grant")),
                    vector["action"], vector["purpose"], vector["time"])
                check(code == vector["code"], f"{kind}: {vector['name']}: {code}")
        changes = hashlib.sha256()
        for vector in vectors["transactions"]:
            if vector["world"] == kind:
                after = state.copy()
                for text in vector["before"]:
                    contract.apply(after, *read(text), start + 10)
                code = contract.apply(after, *read(vector["transaction"]), start + 10)
                check(code == vector["code"], f"{kind}: {vector['name']}: {code}")
                changes.update(after.digest(chain.encode, state).encode())
        check(changes.hexdigest() == digests["changes"], f"{kind}: changes")


def check_flips(name, data):
    # Of a long file some bytes, in every place of its sections.
    for at in range(0, len(data), 1 + len(data) // 5_000 * 20):
        for bit in (1, 128):
            damaged = bytearray(data)
            damaged[at] ^= bit
            check(code_of(chain.verify_chain, bytes(damaged)) != "ok", f"{name}: bit {bit} of byte {at} turned")


def main(folder):
    read = lambda name: open(os.path.join(folder, name), "rb").read()
    check_protocol(json.loads(read("protocol.json")))
    check_encryption(json.loads(read("file-cipher.json")))
    check_custody(json.loads(read("custody.json")))
    check_contract(json.loads(read("contract.json")))
    for name in ("chain.car", "chain-paper.car", "chain-asert.car"):
        check(code_of(chain.verify_chain, read(name)) == "ok", name)
        check_flips(name, read(name))
    for name, state in json.loads(read("protocol.json"))["states"].items():
        check(chain.verify_chain(read(name))["state"] == state, f"{name}: state")
        check_flips(name, read(name))
    print(f"{checked} checks hold")


if __name__ == "__main__":
    main(sys.argv[1])
