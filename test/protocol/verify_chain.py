"""An independent verifier, written from docs/protocol.md, with Python's standard library alone.

    python3 verify_chain.py chain.car

checks every byte of a chain file from its parameters on, and prints the tip. Exit code 1 names the rule
that is broken. It is slow on purpose: what it does is meant to be read beside the page.
"""
import hashlib
import sys
import time


class Invalid(Exception):
    pass


def require(holds, code, detail=""):
    if not holds:
        raise Invalid(f"{code} {detail}".strip())


# --- Encoding ------------------------------------------------------------------------------------------

class Link(bytes):
    """The 36 bytes of a CID that a value links."""


def decode(data):
    value, end = read_value(data, 0)
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
        try:
            return (text if major == 2 else text.decode("utf-8")), at + number
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
    require(isinstance(inner, bytes) and inner[:1] == b"\0", "malformed_cbor", "link")
    return Link(inner[1:]), at


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


# --- Signatures: Ed25519 by ZIP-215 ----------------------------------------------------------------------

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    e, f = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = f - e, d - c, d + c, e + f
    return e * f % P, g * h % P, f * g % P, e * h % P


IDENTITY = (0, 1, 1, 0)


def multiply(number, point):
    result = IDENTITY
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def decompress(data):
    """The point of an encoding, canonical or not; None where there is none."""
    number = int.from_bytes(data, "little")
    y, sign = (number & (1 << 255) - 1) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P:
        return None
    if x & 1 != sign:
        x = -x % P
    return x, y, 1, x * y % P


def compress(point):
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


BASE = decompress((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_valid_key(key):
    point = decompress(key)
    if point is None or compress(point) != key or equal(point, IDENTITY):
        return False
    return equal(multiply(ORDER, point), IDENTITY)


def verify(signature, message, key):
    a, r, s = decompress(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return equal(multiply(8 * s, BASE), add(multiply(8, r), multiply(8 * k, a)))


# --- The chain -------------------------------------------------------------------------------------------

def compact_to_target(compact):
    length, digits = compact >> 24, compact & 0x7FFFFF
    target = digits >> 8 * (3 - length) if length <= 3 else digits << 8 * (length - 3)
    require(not compact & 0x800000 and 0 < target < 1 << 256, "header_bad_target")
    length = (target.bit_length() + 7) // 8
    digits = target << 8 * (3 - length) if length <= 3 else target >> 8 * (length - 3)
    if digits & 0x800000:
        digits, length = digits >> 8, length + 1
    require(length << 24 | digits == compact, "header_bad_target", "not normalised")
    return target


def is_bytes(value, length):
    return type(value) is bytes and len(value) == length


def is_link(value):
    return isinstance(value, Link) and len(value) == 36 and value[:4] == b"\x01\x71\x12\x20"


def read_header(data):
    require(len(data) == 180, "header_malformed", "length")
    fields = decode(data)
    require(isinstance(fields, list) and len(fields) == 9, "header_malformed")
    version, height, parent, transactions, results, when, target, miner, nonce = fields
    require(
        type(version) is int and version >= 0 and is_bytes(height, 4) and is_link(parent) and is_link(transactions)
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


def genesis_of(parameters, parameters_cid):
    return encode([
        parameters["version"], bytes(4), Link(parameters_cid), Link(cid_of(encode([]))),
        hashlib.sha256(b"").digest(), parameters["time"].to_bytes(8, "big"), parameters["difficulty"]["target"],
        bytes(32), bytes(8),
    ])


def check_text(value):
    require(type(value) is str and 0 < len(value.encode("utf-8")) <= 256, "transaction_malformed", "label")


def check_transaction(data, network, genesis, block):
    require(len(data) <= network["maxTransactionBytes"], "transaction_too_large")
    tx = decode(data)
    require(isinstance(tx, dict) and set(tx) == {"v", "chain", "kind", "at", "from", "body", "sig"},
            "transaction_malformed")
    require(tx["v"] == 1 and type(tx["v"]) is int and tx["kind"] == "record", "transaction_malformed")
    require(is_link(tx["chain"]) and is_bytes(tx["from"], 32) and is_bytes(tx["sig"], 64), "transaction_malformed")
    require(type(tx["at"]) is int and 0 <= tx["at"] < 2**53, "transaction_malformed", "at")
    body = tx["body"]
    require(isinstance(body, dict) and set(body) in ({"file"}, {"file", "label"}), "transaction_malformed", "body")
    file = body["file"]
    v0 = is_bytes(file, 34) and file[:2] == b"\x12\x20"
    v1 = is_bytes(file, 36) and file[:4] in (b"\x01\x70\x12\x20", b"\x01\x55\x12\x20")
    require(v0 or v1, "malformed_cid")
    if "label" in body:
        label = body["label"]
        require(isinstance(label, dict) and set(label) == {"user_id", "EHR_name", "file_name", "size"},
                "transaction_malformed", "label")
        for key in ("user_id", "EHR_name", "file_name"):
            check_text(label[key])
        require(type(label["size"]) is int and 0 <= label["size"] < 2**53, "transaction_malformed", "size")
        require(network["clearLabels"], "clear_label_forbidden")
    require(bytes(tx["chain"]) == genesis, "other_network")
    require(tx["at"] <= block["time"] + 120_000, "transaction_from_future")
    require(is_valid_key(tx["from"]), "transaction_bad_key")
    unsigned = encode({key: value for key, value in tx.items() if key != "sig"})
    require(verify(tx["sig"], b"emrchain/tx/v1" + unsigned, tx["from"]), "transaction_bad_signature")


def check_header(header, parent, network, signature):
    require(header["version"] == network["version"], "header_malformed", "version")
    require(header["height"] == parent["height"] + 1, "header_wrong_height")
    target = compact_to_target(header["target"])
    require(header["target"].to_bytes(4, "big") == network["difficulty"]["target"], "header_wrong_target")
    require(header["time"] > parent["time"], "header_time_too_early")
    require(int.from_bytes(header["id"][4:], "big") <= target, "header_insufficient_work")
    require(is_valid_key(header["miner"]), "header_bad_miner")
    require(verify(signature, b"emrchain/block/v1" + header["id"], header["miner"]), "header_bad_signature")
    require(header["time"] <= time.time() * 1000 + 120_000, "header_time_too_late")
    return (1 << 256) // (target + 1)


def sections(data):
    """(cid, bytes) of every section of a CARv1, and the roots of its header."""
    def varint(at):
        number = shift = 0
        while True:
            require(at < len(data), "malformed_car")
            number |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                return number, at

    length, at = varint(0)
    header = decode(data[at:at + length])
    require(isinstance(header, dict) and header.get("version") == 1, "malformed_car")
    at += length
    found = []
    while at < len(data):
        length, at = varint(at)
        section = data[at:at + length]
        require(len(section) == length and length > 36, "malformed_car", "section")
        require(section[:36] == cid_of(section[36:]), "wrong_cid")
        found.append((section[:36], section[36:]))
        at += length
    return header["roots"], found


def verify_chain(data):
    roots, found = sections(data)
    require(len(found) >= 3, "malformed_car", "too short")
    parameters_cid, parameters = found[0]
    require([bytes(root) for root in roots] == [parameters_cid], "malformed_car", "root")
    network = decode(parameters)
    genesis = genesis_of(network, parameters_cid)
    require(found[1][1] == encode([]) and found[2][1] == genesis, "other_network", "genesis")
    genesis_id = cid_of(genesis)
    known = {genesis_id: {**read_header(genesis), "work": 0, "holds": set(), "before": None}}
    tip = known[genesis_id]
    run = []
    for cid, block in found[3:]:
        run.append((cid, block))
        if len(block) != 180 or block[0] != 0x89:
            continue
        header = read_header(block)
        require(len(run) >= 3, "block_malformed")
        signed, (list_cid, ids) = decode(run[-2][1]), run[-3]
        require(isinstance(signed, list) and len(signed) == 2 and is_link(signed[0]) and is_bytes(signed[1], 64)
                and bytes(signed[0]) == header["id"], "block_malformed", "signature")
        parent = known.get(header["parent"])
        require(parent is not None, "header_unknown_parent")
        work = check_header(header, parent, network, signed[1])
        require(list_cid == header["transactions"], "block_wrong_list")
        listed, transactions = decode(ids), run[:-3]
        require(isinstance(listed, list) and all(is_link(link) for link in listed), "block_malformed", "list")
        require([bytes(link) for link in listed] == [tx for tx, _ in transactions], "block_wrong_transactions")
        require(len(transactions) <= network["maxBlockTransactions"], "block_too_large")
        require(sum(len(tx) for _, tx in transactions) <= network["maxBlockBytes"], "block_too_large")
        holds = {tx for tx, _ in transactions}
        require(len(holds) == len(transactions), "block_duplicate_transaction")
        ancestor = parent
        while ancestor:
            require(not holds & ancestor["holds"], "block_duplicate_transaction")
            ancestor = ancestor["before"]
        for _, tx in transactions:
            check_transaction(tx, network, genesis_id, header)
        require(header["results"] == hashlib.sha256(bytes(len(transactions))).digest(), "block_wrong_results")
        end = {**header, "work": parent["work"] + work, "holds": holds, "before": parent}
        known[header["id"]] = end
        if (end["work"], tip["id"]) > (tip["work"], end["id"]):
            tip = end
        run = []
    require(not run, "block_malformed", "the last block has no header")
    return tip


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        tip = verify_chain(data)
    except Invalid as error:
        print(f"invalid: {error}")
        return 1
    print(f"valid: height {tip['height']}, tip {tip['id'][4:].hex()}, work {tip['work']:x}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
