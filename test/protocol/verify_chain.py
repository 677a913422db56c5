"""An independent verifier, written from docs/protocol.md, with Python's standard library alone.

    python3 verify_chain.py chain.car...

checks every byte of a chain file from its parameters on, and prints the tip, or the rule that is broken and
exit code 1. It is slow on purpose: what it does is meant to be read beside the page.
"""
import hashlib
import re
import sys
import time

sys.dont_write_bytecode = True
import contract
from zip215 import is_valid_key, verify


class Invalid(Exception):
    pass


def require(holds, code, detail=""):
    if not holds:
        raise Invalid(f"{code} {detail}".strip())


# --- Encoding ------------------------------------------------------------------------------------------

class Link(bytes):
    """The 36 bytes of a CID that a value links."""


def decode(data):
    try:
        value, end = read_value(data, 0)
    except RecursionError:
        raise Invalid("malformed_cbor nested too deep") from None
    require(end == len(data), "malformed_cbor", "trailing bytes")
    require(encode(value) == data, "malformed_cbor", "not canonical")
    return value


def read_value(data, at):
    require(at < len(data), "malformed_cbor", "too short")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        require(info in (20, 21, 22), "malformed_cbor", "no such simple value in a chain")
        return {20: False, 21: True, 22: None}[info], at
    size = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
    require(info < 28, "malformed_cbor", "indefinite length")
    number = int.from_bytes(data[at:at + size], "big") if size else info
    at += size
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in (2, 3):
        text = data[at:at + number]
        require(len(text) == number, "malformed_cbor", "too short")
        if major == 2:
            return text, at + number
        require(text[:3] != b"\xef\xbb\xbf", "malformed_cbor", "text with a byte order mark")
        try:
            return text.decode("utf-8"), at + number
        except UnicodeDecodeError:
            raise Invalid("malformed_cbor text") from None
    if major == 4:
        items = []
        for _ in range(number):
            item, at = read_value(data, at)
            items.append(item)
        return items, at
    if major == 5:
        entries = {}
        for _ in range(number):
            key, at = read_value(data, at)
            require(isinstance(key, str), "malformed_cbor", "key")
            entries[key], at = read_value(data, at)
        return entries, at
    require(number == 42, "malformed_cbor", "tag")
    inner, at = read_value(data, at)
    require(type(inner) is bytes and inner[:1] == b"\0" and is_cid(inner[1:]), "malformed_cbor", "link")
    return Link(inner[1:]), at


def read_varint(data, at, code):
    """An unsigned varint in its shortest form, and where it ends."""
    number, start = 0, at
    while True:
        require(at < len(data) and at - start < 9, code, "varint")
        number |= (data[at] & 127) << 7 * (at - start)
        at += 1
        if data[at - 1] < 128:
            require(data[at - 1] or at - start == 1, code, "a varint not in its shortest form")
            return number, at


def is_cid(data):
    """Whether bytes are a CID of any kind: version, codec, hash, length of the digest, digest; or a CIDv0."""
    if data[:2] == b"\x12\x20":
        return len(data) == 34
    version, at = read_varint(data, 0, "malformed_cbor")
    _, at = read_varint(data, at, "malformed_cbor")
    _, at = read_varint(data, at, "malformed_cbor")
    length, at = read_varint(data, at, "malformed_cbor")
    return version == 1 and len(data) == at + length


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if number < 1 << 8 * size:
            return bytes([major << 5 | info]) + number.to_bytes(size, "big")
    raise Invalid("malformed_cbor number")


def encode(value):
    if value is False or value is True or value is None:
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, Link):
        return b"\xd8\x2a" + encode(b"\0" + bytes(value))
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return head(3, len(text)) + text
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(encode, value))
    keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
    return head(5, len(keys)) + b"".join(encode(key) + encode(value[key]) for key in keys)


def cid_of(data):
    return bytes([0x01, 0x71, 0x12, 0x20]) + hashlib.sha256(data).digest()


# --- Targets -----------------------------------------------------------------------------------------------

def compact_to_target(compact):
    length, digits = compact >> 24, compact & 0x7FFFFF
    target = digits >> 8 * (3 - length) if length <= 3 else digits << 8 * (length - 3)
    require(not compact & 0x800000 and 0 < target < 1 << 256, "header_bad_target")
    require(target_to_compact(target) == compact, "header_bad_target", "not normalised")
    return target


def target_to_compact(target):
    length = (target.bit_length() + 7) // 8
    digits = target << 8 * (3 - length) if length <= 3 else target >> 8 * (length - 3)
    if digits & 0x800000:
        digits, length = digits >> 8, length + 1
    return length << 24 | digits


def work_of(target):
    return (1 << 256) // (target + 1)


def next_target(network, parent):
    """The compact target that the difficulty rule gives after this parent."""
    difficulty = network["difficulty"]
    anchor = int.from_bytes(difficulty["target"], "big")
    if difficulty["rule"] == "fixed":
        return anchor
    spacing, half_life = difficulty["spacing"], difficulty["halfLife"]
    limit = compact_to_target(int.from_bytes(difficulty["limit"], "big"))
    late = (parent["time"] - (network["time"] - spacing)) - spacing * (parent["height"] + 1)
    exponent = abs(late) * 65536 // half_life
    if late < 0:
        exponent = -exponent
    shifts, frac = divmod(exponent, 65536)
    if shifts > 256:
        return target_to_compact(limit)
    factor = 65536 + ((195766423245049 * frac + 971821376 * frac**2 + 5127 * frac**3 + 2**47) >> 48)
    scaled = compact_to_target(anchor) * factor
    target = scaled << shifts - 16 if shifts > 16 else scaled >> 16 - shifts
    return target_to_compact(min(max(target, 1), limit))


# --- What the items look like ------------------------------------------------------------------------------

def is_bytes(value, length):
    return type(value) is bytes and len(value) == length


def is_link(value):
    return isinstance(value, Link) and len(value) == 36 and value[:4] == b"\x01\x71\x12\x20"


def is_whole(value, least, most):
    return type(value) is int and least <= value <= most


def is_map(value, *keys):
    return isinstance(value, dict) and set(value) == set(keys)


def read_parameters(data):
    network = decode(data)
    require(is_map(network, "name", "version", "time", "difficulty", "maxTransactionBytes", "maxBlockTransactions",
                   "maxBlockBytes", "clearLabels", "administrators"), "invalid_network", "keys")
    difficulty = network["difficulty"]
    moves = isinstance(difficulty, dict) and difficulty.get("rule") == "asert"
    keys = ("rule", "target", "limit", "spacing", "halfLife") if moves else ("rule", "target")
    require(is_map(difficulty, *keys), "invalid_network", "difficulty")
    require(
        isinstance(network["name"], str) and re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", network["name"])
        and is_whole(network["version"], 1, 23) and is_whole(network["time"], 0, 253402300799999)
        and difficulty["rule"] in ("fixed", "asert") and is_bytes(difficulty["target"], 4)
        and is_whole(network["maxTransactionBytes"], 512, 65_536)
        and is_whole(network["maxBlockTransactions"], 1, 40_000)
        and is_whole(network["maxBlockBytes"], 65_536, 33_554_432)
        and type(network["clearLabels"]) is bool, "invalid_network",
    )
    administrators = network["administrators"]
    if administrators is not None:
        require(is_map(administrators, "keys", "threshold") and not network["clearLabels"]
                and contract.listed(contract.octets(32), 16)(administrators["keys"])
                and is_whole(administrators["threshold"], 1, len(administrators["keys"])),
                "invalid_network", "administrators")
    require(network["version"] == 1, "unsupported_version")
    easiest = compact_to_target(0x207FFFFF)
    target = compact_to_target(int.from_bytes(difficulty["target"], "big"))
    require(target <= easiest, "invalid_network", "target")
    if moves:
        spacing, half_life = difficulty["spacing"], difficulty["halfLife"]
        require(is_bytes(difficulty["limit"], 4) and is_whole(spacing, 100, 86_400_000)
                and is_whole(half_life, 1_000, 2_592_000_000) and half_life >= spacing, "invalid_network", "asert")
        require(target <= compact_to_target(int.from_bytes(difficulty["limit"], "big")) <= easiest,
                "invalid_network", "limit")
    return network


def genesis_of(network, parameters_cid):
    return encode([
        network["version"], bytes(4), Link(parameters_cid), Link(cid_of(encode([]))),
        hashlib.sha256(b"").digest(), network["time"].to_bytes(8, "big"), network["difficulty"]["target"],
        bytes(32), bytes(8),
    ])


def read_header(data):
    require(len(data) == 180, "header_malformed", "length")
    fields = decode(data)
    require(isinstance(fields, list) and len(fields) == 9, "header_malformed")
    version, height, parent, transactions, results, when, target, miner, nonce = fields
    require(
        is_whole(version, 0, 23) and is_bytes(height, 4) and is_link(parent) and is_link(transactions)
        and is_bytes(results, 32) and is_bytes(when, 8) and is_bytes(target, 4) and is_bytes(miner, 32)
        and is_bytes(nonce, 8),
        "header_malformed",
    )
    require(nonce[:2] == b"\0\0", "header_bad_nonce")
    whole = lambda field: int.from_bytes(field, "big")
    require(whole(when) < 2**53, "header_malformed", "time")
    return {
        "id": cid_of(data), "version": version, "height": whole(height), "parent": bytes(parent),
        "transactions": bytes(transactions), "results": results, "time": whole(when), "target": whole(target),
        "miner": miner,
    }


def read_signature(data, header):
    pair = decode(data)
    require(isinstance(pair, list) and len(pair) == 2 and is_link(pair[0]) and is_bytes(pair[1], 64),
            "block_malformed", "signature")
    require(bytes(pair[0]) == header["id"], "block_malformed", "signature of another header")
    return pair[1]


def read_list(data):
    ids = decode(data)
    require(isinstance(ids, list) and all(map(is_link, ids)), "block_malformed", "list")
    return [bytes(link) for link in ids]


def is_label_text(value):
    return type(value) is str and 0 < len(value.encode("utf-8")) <= 256


def read_transaction(data):
    tx = decode(data)
    require(is_map(tx, "v", "chain", "kind", "at", "from", "body", "sig"), "transaction_malformed", "keys")
    require(is_whole(tx["v"], 1, 1) and type(tx["kind"]) is str and tx["kind"] in contract.BODIES,
            "transaction_malformed", "kind")
    require(is_link(tx["chain"]) and is_bytes(tx["from"], 32) and is_bytes(tx["sig"], 64)
            and is_whole(tx["at"], 0, 2**53 - 1), "transaction_malformed", "field")
    body = tx["body"]
    if tx["kind"] == "record" and (is_map(body, "file") or is_map(body, "file", "label")):
        require(type(body["file"]) is bytes, "transaction_malformed", "file")
        if "label" in body:
            label = body["label"]
            require(is_map(label, "user_id", "EHR_name", "file_name", "size")
                    and all(is_label_text(label[key]) for key in ("user_id", "EHR_name", "file_name"))
                    and is_whole(label["size"], 0, 2**53 - 1), "transaction_malformed", "label")
    else:
        try:
            contract.check_body(tx["kind"], body)
        except contract.Malformed as error:
            raise Invalid(f"transaction_malformed {error}") from None
    require(tx["kind"] != "record" or contract.file_cid(body["file"]), "malformed_cid")
    return tx


# --- The rules -----------------------------------------------------------------------------------------------

def check_header(header, parent, network, signature):
    require(header["version"] <= network["version"], "unsupported_version")
    require(header["version"] == network["version"], "header_malformed", "version")
    require(header["height"] == parent["height"] + 1, "header_wrong_height")
    target = compact_to_target(header["target"])
    require(header["target"] == next_target(network, parent), "header_wrong_target")
    require(header["time"] > parent["time"], "header_time_too_early")
    require(int.from_bytes(header["id"][4:], "big") <= target, "header_insufficient_work")
    require(is_valid_key(header["miner"]), "header_bad_miner")
    require(verify(signature, b"emrchain/block/v1" + header["id"], header["miner"]), "header_bad_signature")
    require(header["time"] <= time.time() * 1000 + 120_000, "header_time_too_late")
    return work_of(target)


def check_transaction(data, tx, network, genesis_id, block):
    require(tx["at"] <= block["time"] + 120_000, "block_transaction_from_future")
    require(len(data) <= network["maxTransactionBytes"], "transaction_too_large")
    require(bytes(tx["chain"]) == genesis_id, "other_network")
    require("label" not in tx["body"] or network["clearLabels"], "clear_label_forbidden")
    require(is_valid_key(tx["from"]), "transaction_bad_key")
    unsigned = encode({key: value for key, value in tx.items() if key != "sig"})
    require(verify(tx["sig"], b"emrchain/tx/v1" + unsigned, tx["from"]), "transaction_bad_signature")
    for signature, message, key in contract.signatures_of_others(tx, encode):
        require(is_valid_key(key), "transaction_bad_key")
        require(verify(signature, message, key), "transaction_bad_signature")


# --- The chain file ------------------------------------------------------------------------------------------

def sections(data):
    """The roots of a CARv1, and (cid, bytes) of every section, each checked against its CID."""
    length, at = read_varint(data, 0, "malformed_car")
    header = decode(data[at:at + length])
    require(is_map(header, "roots", "version") and is_whole(header["version"], 1, 1)
            and isinstance(header["roots"], list), "malformed_car", "header")
    at += length
    found = []
    while at < len(data):
        length, at = read_varint(data, at, "malformed_car")
        section = data[at:at + length]
        require(len(section) == length and length > 36, "malformed_car", "section")
        require(section[:36] == cid_of(section[36:]), "wrong_cid")
        found.append((section[:36], section[36:]))
        at += length
    return header["roots"], found


def is_ancestor(known, ancestor, of):
    while of["height"] > ancestor["height"]:
        of = known[of["parent"]]
    return of["id"] == ancestor["id"]


def verify_chain(data):
    roots, found = sections(data)
    require(len(found) >= 3, "malformed_car", "too short")
    parameters_cid, parameters = found[0]
    require(all(map(is_link, roots)) and [bytes(root) for root in roots] == [parameters_cid], "malformed_car", "root")
    network = read_parameters(parameters)
    genesis = genesis_of(network, parameters_cid)
    require(found[1][1] == encode([]) and found[2][1] == genesis, "other_network", "genesis")
    genesis_id = cid_of(genesis)
    tip = {**read_header(genesis), "work": 0}
    known = {genesis_id: tip}
    states = {genesis_id: contract.State(network["administrators"])}
    holders = {}
    run = []
    for section in found[3:]:
        run.append(section)
        if len(section[1]) != 180 or section[1][0] != 0x89:
            continue
        # What was written must be what the header names.
        header = read_header(section[1])
        require(len(run) >= 3, "block_malformed", "a part is missing")
        *transactions, (list_cid, ids), (_, signature), _ = run
        signature, listed = read_signature(signature, header), read_list(ids)
        require(list_cid == header["transactions"], "block_wrong_list")
        require(listed == [cid for cid, _ in transactions], "block_wrong_transactions")
        transactions = [(cid, tx, read_transaction(tx)) for cid, tx in transactions]
        # Rules for headers.
        parent = known.get(header["parent"])
        require(parent is not None, "header_unknown_parent")
        work = check_header(header, parent, network, signature)
        # Rules for blocks.
        require(len(transactions) <= network["maxBlockTransactions"], "block_too_large")
        require(sum(len(tx) for _, tx, _ in transactions) <= network["maxBlockBytes"], "block_too_large")
        state = states[header["parent"]].copy()
        require(contract.may_mine(state, header["miner"], header["time"]), "block_miner_not_admitted")
        require(len(set(listed)) == len(listed), "block_duplicate_transaction")
        for cid, tx, fields in transactions:
            earlier = holders.setdefault(cid, [])
            require(not any(is_ancestor(known, holder, parent) for holder in earlier), "block_duplicate_transaction")
            check_transaction(tx, fields, network, genesis_id, header)
            earlier.append(header)
        codes = bytes(contract.apply(state, fields, cid, header["time"]) for cid, _, fields in transactions)
        require(header["results"] == hashlib.sha256(codes).digest(), "block_wrong_results")
        states[header["id"]] = state
        # Fork choice.
        end = {**header, "work": parent["work"] + work}
        known[header["id"]] = end
        if (end["work"], tip["id"]) > (tip["work"], end["id"]):
            tip = end
        run = []
    require(not run, "block_malformed", "the last block has no header")
    return {**tip, "state": states[tip["id"]].digest(encode)}


def judge(path):
    with open(path, "rb") as file:
        data = file.read()
    try:
        tip = verify_chain(data)
    except Invalid as error:
        return f"invalid: {error}"
    return f"valid: height {tip['height']}, tip {tip['id'][4:].hex()}, work {tip['work']:x}"


if __name__ == "__main__":
    verdicts = [judge(path) for path in sys.argv[1:]]
    print("\n".join(verdicts))
    sys.exit(0 if verdicts and all(verdict.startswith("valid") for verdict in verdicts) else 1)
