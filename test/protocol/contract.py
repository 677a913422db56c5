"""The consent contract, written from docs/protocol.md: bodies, signatures of others, results, state.

Written a second time to test the page: `verify_chain.py` takes the results of a chain from here.
"""
import hashlib

NO_END = 2**53 - 1
PATIENT, DELEGATE, DOCTOR, TECHNICIAN, ORGANISATION, ADMINISTRATOR, NODE = 0, 1, 2, 4, 10, 11, 12
APPEND, REGRANT = 8, 32


class Malformed(Exception):
    pass


# --- Bodies: a field is a function that says whether a value is one -----------------------------------------------

def octets(length):
    return lambda value: type(value) is bytes and len(value) == length


def whole(least, most):
    return lambda value: type(value) is int and least <= value <= most


def mask(every, least=1):
    return lambda value: whole(least, every)(value) and not value & ~every


def bit(every):
    return lambda value: mask(every)(value) and not value & value - 1


def one_of(*values):
    return lambda value: type(value) is int and value in values


def or_null(field):
    return lambda value: value is None or field(value)


def fields(**named):
    """A map of exactly these fields. `from` is a word of Python: here it is `from_`."""
    named = {name.rstrip("_"): field for name, field in named.items()}
    return lambda value: (isinstance(value, dict) and set(value) == set(named)
                          and all(field(value[name]) for name, field in named.items()))


def listed(field, most, order=lambda item: item):
    """At most so many, sorted, nothing twice."""
    def holds(value):
        if not isinstance(value, list) or len(value) > most or not all(map(field, value)):
            return False
        return all(order(a) < order(b) for a, b in zip(value, value[1:]))
    return holds


def ident(value):
    return octets(36)(value) and value[:4] == b"\x01\x71\x12\x20"


def file_cid(value):
    return (octets(34)(value) and value[:2] == b"\x12\x20"
            or octets(36)(value) and value[:4] in (b"\x01\x70\x12\x20", b"\x01\x55\x12\x20"))


time = whole(0, NO_END)
role = one_of(0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12)
ROLES = 0x1DFF
PURPOSES = CLASSES = 2047
approvals = listed(fields(key=octets(32), sig=octets(64)), 16, lambda item: item["key"])
epoch = whole(1, 2**32 - 1)
scope = {
    "records": listed(ident, 16), "classes": mask(CLASSES, 0), "actions": mask(63), "purposes": mask(PURPOSES),
    "confidentiality": whole(0, 3), "sensitivity": mask(15, 0), "from_": time, "until": time, "uses": whole(0, 2**32 - 1),
}
BODIES = {
    "identity": fields(
        role=role, key=octets(32), seal=octets(32), recovery=or_null(octets(32)), keyProof=or_null(octets(64)),
        recoveryProof=or_null(octets(64)), previous=or_null(ident),
        classKeys=listed(fields(**{"class": bit(CLASSES)}, epoch=epoch, key=octets(32)), 11, lambda item: item["class"]),
        custodians=listed(ident, 8)),
    "certificate": fields(subject=ident, role=role, capabilities=mask(7, 0), from_=time, until=time,
                          under=or_null(ident), approvals=approvals),
    "certificate_revocation": fields(certificate=ident, reason=one_of(0, 1, 2, 3), approvals=approvals),
    "record": fields(
        file=lambda value: type(value) is bytes, patient=ident, **{"class": bit(CLASSES)}, confidentiality=whole(0, 3),
        sensitivity=mask(15, 0), epoch=epoch, enc=octets(32), sealed=octets(48), commitment=octets(32),
        nonce=octets(32), purpose=bit(PURPOSES), grant=or_null(ident), certificate=or_null(ident),
        supersedes=or_null(ident),
        receipts=listed(fields(node=ident, key=octets(32), sig=octets(64)), 8, lambda item: item["node"]),
        approval=or_null(fields(key=octets(32), certificate=or_null(ident), sig=octets(64)))),
    "request": fields(patient=ident, grantee=ident, certificate=or_null(ident), **scope),
    "grant": fields(
        patient=ident, grantee=or_null(ident), roles=mask(ROLES), deny=whole(0, 1), under=or_null(ident),
        certificate=or_null(ident), request=or_null(ident),
        keys=listed(fields(**{"class": bit(CLASSES)}, epoch=epoch), 64, lambda item: (item["class"], item["epoch"])),
        seal=or_null(fields(enc=octets(32), ct=lambda value: type(value) is bytes)), **scope),
    "revocation": fields(patient=ident, grant=or_null(ident), grantee=or_null(ident)),
    "access": fields(record=ident, grant=or_null(ident), certificate=or_null(ident), action=bit(63),
                     purpose=bit(PURPOSES), commitment=octets(32)),
    "erasure": fields(record=ident, ground=one_of(0, 1, 2, 3, 4)),
    "erasure_receipt": fields(erasure=ident, parts=mask(7)),
}


def check_body(kind, body):
    """What a body of the contract must be. Raises Malformed."""
    def require(holds, detail):
        if not holds:
            raise Malformed(f"{kind}: {detail}")

    require(BODIES[kind](body), "fields")
    if kind == "identity":
        require(body["role"] == PATIENT or not body["classKeys"] and not body["custodians"], "only a patient has these")
        require(body["recovery"] or not body["recoveryProof"], "a proof of what is not there")
    if kind in ("certificate", "request", "grant"):
        require(body["from"] < body["until"], "until")
    if kind in ("request", "grant"):
        require(bool(body["records"]) != bool(body["classes"]), "records or classes")
    if kind == "revocation":
        require(not (body["grant"] and body["grantee"]), "a grant or a grantee")
    if kind == "grant":
        require(all(key["class"] & body["classes"] for key in body["keys"]), "a key of another class")
        if body["deny"]:
            limits = body["confidentiality"], body["sensitivity"], body["uses"]
            require(limits == (3, 15, 0) and not body["keys"] and not body["seal"], "a deny has no limits")
            return
        require(body["grantee"], "to nobody")
        secrets = len(body["records"]) + len(body["keys"])
        require(body["seal"] or not body["keys"], "keys that are not sealed")
        require(not body["seal"] or secrets and len(body["seal"]["ct"]) == 32 * secrets + 16, "seal")


def is_consent_record(tx):
    return tx["kind"] == "record" and "patient" in tx["body"]


# --- Signatures of others --------------------------------------------------------------------------------------------

def signatures_of_others(tx, encode):
    """(signature, message, key) of each."""
    kind, body, chain, author = tx["kind"], tx["body"], bytes(tx["chain"]), tx["from"]
    gathered = ("approvals", "approval", "receipts")

    def approved():
        rest = {name: value for name, value in body.items() if name not in gathered}
        return b"emrchain/approval/v1" + encode({**{k: tx[k] for k in tx if k != "sig"}, "body": rest})

    if kind == "identity":
        for name, proof in (("key", "keyProof"), ("recovery", "recoveryProof")):
            if body[proof]:
                yield body[proof], b"emrchain/possession/v1" + chain + author + body[name], body[name]
    if kind in ("certificate", "certificate_revocation"):
        for item in body["approvals"]:
            yield item["sig"], approved(), item["key"]
    if is_consent_record(tx):
        deposit = b"emrchain/deposit/v1" + chain + b"".join(body[k] for k in ("patient", "nonce", "commitment", "file"))
        for item in body["receipts"]:
            yield item["sig"], deposit, item["key"]
        if body["approval"]:
            item = body["approval"]
            yield item["sig"], approved() + (item["certificate"] or b""), item["key"]


# --- State -------------------------------------------------------------------------------------------------------------

(NETWORK, FIRST_ADMINISTRATORS, KEYS, IDENTITIES, CLASS_KEYS, ADMINISTRATORS, CERTIFICATES, RECORDS, REQUESTS, GRANTS,
 DENIES, COUNTERS, CUTOFFS, USES, ERASURES, ERASURE_RECEIPTS, MINERS, CERTIFIED) = range(1, 19)
"""Widths of the fields of a row; 0 is a list of ids behind its length."""
COUNT, SET = (("count", 4),), (("set", 1),)
ROWS = {
    NETWORK: (("threshold", 1),), FIRST_ADMINISTRATORS: SET, KEYS: (("identity", 36),),
    IDENTITIES: (("role", 1), ("version", 36), ("key", 32), ("recovery", 32), ("custodians", 0)),
    CLASS_KEYS: (("epoch", 4), ("key", 32)), ADMINISTRATORS: SET,
    CERTIFICATES: (("subject", 36), ("role", 1), ("capabilities", 1), ("from", 8), ("until", 8), ("issuer", 36),
                   ("under", 36), ("revoked", 1)),
    RECORDS: (("patient", 36), ("class", 2), ("confidentiality", 1), ("sensitivity", 1), ("author", 36), ("state", 1)),
    REQUESTS: (("patient", 36), ("author", 36), ("time", 8)),
    GRANTS: (("patient", 36), ("grantee", 36), ("author", 36), ("number", 4), ("deny", 1), ("revoked", 1), ("roles", 2),
             ("classes", 2), ("actions", 1), ("purposes", 2), ("confidentiality", 1), ("sensitivity", 1), ("from", 8),
             ("until", 8), ("uses", 4), ("records", 0)),
    DENIES: (("grants", 0),), COUNTERS: COUNT, CUTOFFS: COUNT, USES: COUNT, ERASURES: (("record", 36),),
    ERASURE_RECEIPTS: (("parts", 1),), MINERS: (("certificate", 36),), CERTIFIED: (("certificates", 0),),
}


def row_bytes(table, row):
    def cell(value, width):
        if width == 0:
            return bytes([len(value)]) + b"".join(value)
        return value.to_bytes(width, "big") if isinstance(value, int) else value or bytes(width)
    return b"".join(cell(row[name], width) for name, width in ROWS[table])


class State:
    """Rows by table and key. A copy is a state of its own."""

    def __init__(self, administrators=None, rows=()):
        self.rows = dict(rows)
        if administrators:
            self.put(NETWORK, b"", threshold=administrators["threshold"])
            for key in administrators["keys"]:
                self.put(FIRST_ADMINISTRATORS, key, set=1)

    def copy(self):
        return State(rows=self.rows)

    def get(self, table, key):
        return self.rows.get((table, key))

    def put(self, table, key, /, **row):
        self.rows[table, key] = row

    def change(self, table, key, /, **change):
        self.put(table, key, **{**self.get(table, key), **change})

    def count(self, table, key=b""):
        row = self.get(table, key)
        return row["count"] if row else 0

    def threshold(self):
        row = self.get(NETWORK, b"")
        return row["threshold"] if row else 0

    def role(self, identity):
        row = self.get(IDENTITIES, identity)
        return row["role"] if row else None

    def owner(self, key):
        """The identity whose current key this is."""
        found = self.get(KEYS, key)
        return found["identity"] if found and self.get(IDENTITIES, found["identity"])["key"] == key else None

    def entries(self, before=None):
        """(table, key, bytes or None): all rows, or those that differ from a state before."""
        earlier = before.rows if before else {}
        for table, key in sorted({*self.rows, *earlier}):
            now, then = self.rows.get((table, key)), earlier.get((table, key))
            if before is None or now != then:
                yield table, key, None if now is None else row_bytes(table, now)

    def digest(self, encode, before=None):
        return hashlib.sha256(b"".join(encode(list(entry)) for entry in self.entries(before))).hexdigest()


# --- Decision ------------------------------------------------------------------------------------------------------------

"""Purposes, actions, classes, confidentiality, sensitivity (each by class and named), must end, reads only its own."""
CEILINGS = {
    0: (512, 7, (2047, 2047), (3, 3), (15, 15), False, False),
    1: (2047, 63, (2047, 2047), (1, 3), (15, 15), True, False),
    2: (39, 15, (2047, 2047), (2, 3), (15, 15), False, False),
    3: (1, 11, (2047, 2047), (2, 2), (15, 15), False, False),
    4: (1, 10, (6, 6), (2, 2), (15, 15), False, True),
    5: (1, 11, (24, 24), (2, 2), (15, 15), False, False),
    6: (24, 3, (64, 2047), (1, 2), (0, 15), False, False),
    7: (192, 2, (512, 512), (1, 1), (0, 0), True, False),
    8: (1024, 17, (2047, 2047), (3, 3), (15, 15), False, False),
}
NOTHING = (0, 0, (0, 0), (0, 0), (0, 0), False, False)


def in_force(row, now):
    return row["from"] <= now < row["until"]


def actor(state, identity, certificate, now):
    """(role, organisation) or None."""
    if certificate is None:
        role = state.role(identity)
        return None if role is None or state.threshold() else (role, None)
    own = state.get(CERTIFICATES, certificate)
    if not own or own["subject"] != identity or own["revoked"] or not in_force(own, now):
        return None
    if own["under"]:
        above = state.get(CERTIFICATES, own["under"])
        if (not above or above["role"] != ORGANISATION or above["subject"] != own["issuer"] or above["revoked"]
                or not in_force(above, now)):
            return None
    return own["role"], own["issuer"]


def is_revoked(state, grant):
    if grant["revoked"]:
        return True
    if grant["deny"] or not grant["grantee"]:
        return False
    ended = max(state.count(CUTOFFS, grant["patient"]), state.count(CUTOFFS, grant["patient"] + grant["grantee"]))
    return grant["number"] <= ended


def decide(state, accessor, certificate, record, grant, action, purpose, now):
    """`record` is an id, or the fields of one that is to be written."""
    acting = actor(state, accessor, certificate, now)
    if not acting:
        return 20
    role, organisation = acting
    target = state.get(RECORDS, record) if isinstance(record, bytes) else {**record, "author": None, "state": 0}
    name = record if isinstance(record, bytes) else None
    if not target or target["state"] == 2:
        return 21
    patient = target["patient"]
    if patient == accessor:
        return 0
    reaches = lambda row: row["classes"] & target["class"] or name in row["records"]
    for grantee in (accessor, organisation, b""):
        listed = state.get(DENIES, patient + grantee) if grantee is not None else None
        for deny in map(lambda one: state.get(GRANTS, one), listed["grants"] if listed else ()):
            if (in_force(deny, now) and deny["roles"] >> role & 1 and deny["actions"] & action
                    and deny["purposes"] & purpose and reaches(deny)):
                return 30
    row = state.get(GRANTS, grant) if grant else None
    if (not row or row["deny"] or row["patient"] != patient or not row["roles"] >> role & 1
            or row["grantee"] not in (accessor, organisation)):
        return 39
    if is_revoked(state, row):
        return 31
    if not in_force(row, now):
        return 32
    if not row["purposes"] & purpose:
        return 33
    if (not reaches(row) or target["confidentiality"] > row["confidentiality"]
            or target["sensitivity"] & ~row["sensitivity"]):
        return 34
    if not row["actions"] & action:
        return 35
    purposes, actions, classes, confidentiality, sensitivity, ends, own_only = CEILINGS.get(role, NOTHING)
    how = 0 if row["classes"] else 1
    if (not purposes & purpose or not actions & action or not classes[how] & target["class"]
            or target["confidentiality"] > confidentiality[how] or target["sensitivity"] & ~sensitivity[how]
            or ends and row["until"] == NO_END or own_only and action != APPEND and target["author"] != accessor):
        return 36
    if row["uses"] and state.count(USES, grant) >= row["uses"]:
        return 37
    return 0


# --- Results -----------------------------------------------------------------------------------------------------------------

def apply(state, tx, name, now):
    """The code of a transaction, and its effect on the state. `name` is its id."""
    kind, body = tx["kind"], tx["body"]
    if kind == "identity":
        return apply_identity(state, tx["from"], body, name)
    if kind == "record" and not is_consent_record(tx):
        return 19 if state.threshold() else 0
    author = state.owner(tx["from"])
    if author is None:
        return 1
    return globals()[f"apply_{kind}"](state, author, body, name, now)


def apply_identity(state, signer, body, name):
    known = state.get(KEYS, signer)
    identity = known["identity"] if known else name
    before = state.get(IDENTITIES, identity)
    if known:
        if signer not in (before["key"], before["recovery"]):
            return 1
        if body["previous"] != before["version"]:
            return 4
        if body["role"] != before["role"]:
            return 5
    elif body["previous"]:
        return 4
    elif body["key"] != signer:
        return 1
    if body["key"] == body["recovery"]:
        return 2
    kept = (before["key"], before["recovery"]) if before else (signer,)
    for key, proof in ((body["key"], body["keyProof"]), (body["recovery"], body["recoveryProof"])):
        if key and key not in kept:
            if state.get(KEYS, key):
                return 2
            if not proof:
                return 3
    for item in body["classKeys"]:
        now = state.get(CLASS_KEYS, identity + item["class"].to_bytes(2, "big")) or {"epoch": 0, "key": None}
        is_kept = (item["epoch"], item["key"]) == (now["epoch"], now["key"])
        is_next = item["epoch"] == now["epoch"] + 1 and item["key"] != now["key"]
        if not is_kept and not is_next:
            return 6
    if any(state.role(node) != NODE for node in body["custodians"]):
        return 7
    state.put(IDENTITIES, identity, version=name, **{k: body[k] for k in ("role", "key", "recovery", "custodians")})
    for key in (body["key"], body["recovery"]):
        if key:
            state.put(KEYS, key, identity=identity)
    for item in body["classKeys"]:
        state.put(CLASS_KEYS, identity + item["class"].to_bytes(2, "big"), epoch=item["epoch"], key=item["key"])
    if not before and body["role"] == ADMINISTRATOR and state.get(FIRST_ADMINISTRATORS, signer):
        add_administrator(state, identity)
    return 0


def add_administrator(state, identity):
    if not state.get(ADMINISTRATORS, identity):
        state.put(ADMINISTRATORS, identity, set=1)
        state.put(COUNTERS, b"", count=state.count(COUNTERS) + 1)


def enough(state, author, approvals):
    """Whether as many different administrators signed as the threshold says, the author counted."""
    signers = {author} | {state.owner(item["key"]) for item in approvals}
    return len([one for one in signers if one == author or state.get(ADMINISTRATORS, one)]) >= state.threshold()


def apply_certificate(state, author, body, name, now):
    of_people = body["role"] not in (ORGANISATION, ADMINISTRATOR)
    if body["under"] or not state.threshold():
        issuer = actor(state, author, body["under"], now) if body["under"] else (state.role(author), None)
        if not issuer or issuer[0] != ORGANISATION:
            return 8
        if not of_people:
            return 11
    else:
        if not state.get(ADMINISTRATORS, author):
            return 8
        if of_people:
            return 11
        if not enough(state, author, body["approvals"]):
            return 9
    if state.role(body["subject"]) is None:
        return 10
    if state.role(body["subject"]) != body["role"]:
        return 5
    row = {k: body[k] for k in ("subject", "role", "capabilities", "from", "until", "under")}
    state.put(CERTIFICATES, name, issuer=author, revoked=0, **row)
    known = state.get(CERTIFIED, body["subject"])
    lasting = [one for one in (known["certificates"] if known else ())
               if not state.get(CERTIFICATES, one)["revoked"] and now < state.get(CERTIFICATES, one)["until"]]
    state.put(CERTIFIED, body["subject"], certificates=[*lasting, name][-64:])
    if body["role"] == NODE and body["capabilities"] & 1:
        state.put(MINERS, body["subject"], certificate=name)
    if body["role"] == ADMINISTRATOR:
        add_administrator(state, body["subject"])
    return 0


def apply_certificate_revocation(state, author, body, name, now):
    found = state.get(CERTIFICATES, body["certificate"])
    if not found or found["revoked"]:
        return 12
    if state.get(ADMINISTRATORS, author):
        if not enough(state, author, body["approvals"]):
            return 9
    elif found["issuer"] != author or state.role(author) != ORGANISATION:
        return 8
    if found["role"] == ADMINISTRATOR and state.get(ADMINISTRATORS, found["subject"]):
        if state.count(COUNTERS) - 1 < state.threshold():
            return 13
        del state.rows[ADMINISTRATORS, found["subject"]]
        state.put(COUNTERS, b"", count=state.count(COUNTERS) - 1)
    state.change(CERTIFICATES, body["certificate"], revoked=1)
    return 0


def use(state, grant, patient, author):
    if grant and author != patient:
        state.put(USES, grant, count=state.count(USES, grant) + 1)


def apply_record(state, author, body, name, now):
    patient = body["patient"]
    if state.role(patient) != PATIENT:
        return 10
    code = decide(state, author, body["certificate"], body, body["grant"], APPEND, body["purpose"], now)
    if code:
        return code
    key = state.get(CLASS_KEYS, patient + body["class"].to_bytes(2, "big"))
    if not key or key["epoch"] != body["epoch"]:
        return 6
    custodians = state.get(IDENTITIES, patient)["custodians"]
    signed = [one for one in body["receipts"]
              if one["node"] in custodians and state.get(IDENTITIES, one["node"])["key"] == one["key"]]
    if 2 * len(signed) <= len(custodians):
        return 16
    if body["supersedes"]:
        before = state.get(RECORDS, body["supersedes"])
        if not before or (before["state"], before["patient"], before["class"]) != (0, patient, body["class"]):
            return 18
        role = PATIENT if author == patient else actor(state, author, body["certificate"], now)[0]
        if role == TECHNICIAN:
            doctor = state.owner(body["approval"]["key"]) if body["approval"] else None
            acting = doctor and doctor != author and actor(state, doctor, body["approval"]["certificate"], now)
            if not acting or acting[0] != DOCTOR:
                return 17
        state.change(RECORDS, body["supersedes"], state=1)
    row = {k: body[k] for k in ("patient", "class", "confidentiality", "sensitivity")}
    state.put(RECORDS, name, author=author, state=0, **row)
    use(state, body["grant"], patient, author)
    return 0


def owns(state, patient, records):
    found = [state.get(RECORDS, one) for one in records]
    return all(row and row["state"] != 2 and row["patient"] == patient for row in found)


def apply_request(state, author, body, name, now):
    acting = actor(state, author, body["certificate"], now)
    if not acting:
        return 20
    if state.role(body["patient"]) != PATIENT:
        return 10
    if body["grantee"] not in (author, acting[1]):
        return 8
    if not owns(state, body["patient"], body["records"]):
        return 21
    state.put(REQUESTS, name, patient=body["patient"], author=author, time=now)
    return 0


def check_delegate(state, author, body, now):
    acting = actor(state, author, body["certificate"], now)
    if not acting or acting[0] != DELEGATE:
        return 8
    own = state.get(GRANTS, body["under"]) if body["under"] else None
    if (not own or own["deny"] or own["patient"] != body["patient"] or own["grantee"] != author
            or not own["roles"] >> DELEGATE & 1):
        return 39
    if is_revoked(state, own):
        return 31
    if not in_force(own, now):
        return 32
    if not own["actions"] & REGRANT or body["actions"] & REGRANT:
        return 35
    if body["deny"]:
        return 0
    if body["purposes"] & ~own["purposes"]:
        return 33
    if body["actions"] & ~own["actions"]:
        return 35
    if body["until"] > own["until"]:
        return 32
    class_of = lambda record: (state.get(RECORDS, record) or {"class": 0})["class"]
    within = (body["confidentiality"] <= own["confidentiality"] and not body["sensitivity"] & ~own["sensitivity"]
              and not body["classes"] & ~own["classes"])
    named = all(one in own["records"] or own["classes"] & class_of(one) for one in body["records"])
    return 0 if within and named else 34


def apply_grant(state, author, body, name, now):
    patient, grantee = body["patient"], body["grantee"]
    if author != patient:
        code = check_delegate(state, author, body, now)
        if code:
            return code
    elif body["under"] or not actor(state, patient, body["certificate"], now):
        return 20
    if grantee and state.role(grantee) is None:
        return 10
    if not owns(state, patient, body["records"]):
        return 21
    for item in body["keys"]:
        key = state.get(CLASS_KEYS, patient + item["class"].to_bytes(2, "big"))
        if item["epoch"] > (key["epoch"] if key else 0):
            return 6
    place = patient + (grantee or b"")
    denies = state.get(DENIES, place) or {"grants": []}
    if body["deny"] and len(denies["grants"]) >= 16:
        return 15
    number = state.count(COUNTERS, patient) + 1
    state.put(COUNTERS, patient, count=number)
    row = {field: body[field] for field, _ in ROWS[GRANTS] if field in body}
    state.put(GRANTS, name, author=author, number=number, revoked=0, **row)
    if body["deny"]:
        state.put(DENIES, place, grants=[*denies["grants"], name])
    return 0


def apply_revocation(state, author, body, name, now):
    patient, grant = body["patient"], body["grant"]
    if not grant:
        if author != patient:
            return 8
        state.put(CUTOFFS, patient + (body["grantee"] or b""), count=state.count(COUNTERS, patient))
        return 0
    found = state.get(GRANTS, grant)
    if not found or found["patient"] != patient or is_revoked(state, found):
        return 14
    if author not in (patient, found["author"]) and (found["deny"] or author != found["grantee"]):
        return 8
    state.change(GRANTS, grant, revoked=1)
    if found["deny"]:
        place = patient + (found["grantee"] or b"")
        rest = [one for one in state.get(DENIES, place)["grants"] if one != grant]
        if rest:
            state.put(DENIES, place, grants=rest)
        else:
            del state.rows[DENIES, place]
    return 0


def apply_access(state, author, body, name, now):
    asked = [body[field] for field in ("certificate", "record", "grant", "action", "purpose")]
    code = decide(state, author, *asked, now)
    if not code:
        use(state, body["grant"], state.get(RECORDS, body["record"])["patient"], author)
    return code


def apply_erasure(state, author, body, name, now):
    found = state.get(RECORDS, body["record"])
    if not found or found["state"] == 2:
        return 21
    if found["patient"] != author:
        return 8
    state.change(RECORDS, body["record"], state=2)
    state.put(ERASURES, name, record=body["record"])
    return 0


def apply_erasure_receipt(state, author, body, name, now):
    if state.role(author) != NODE:
        return 8
    if not state.get(ERASURES, body["erasure"]):
        return 50
    if state.get(ERASURE_RECEIPTS, body["erasure"] + author):
        return 51
    state.put(ERASURE_RECEIPTS, body["erasure"] + author, parts=body["parts"])
    return 0


def may_mine(state, key, now):
    if not state.threshold() or state.get(FIRST_ADMINISTRATORS, key):
        return True
    node = state.owner(key)
    newest = state.get(MINERS, node) if node else None
    return newest is not None and actor(state, node, newest["certificate"], now) is not None
