#!/usr/bin/env python3
"""Verifies every ledger of a federation's folder with nothing of Raccordo: hashlib and `cryptography`.

    verify.py DIR                the folder that `cargo demo -- --dir DIR` left
    verify.py --self-test DIR    then also damages copies in every way it knows, and must see each damage

For each database (DIR/hub/node.db, DIR/spoke-<code>/node.db) and each ledger in it:
  1. every header is within its bounds and names its ledger;
  2. body hash = SHA-256(salt || stored), where the body is here; a body that is here is in the reader's
     scope and was not erased; a body that is in scope and was not erased is here;
  3. leaf hash = SHA-256(0x00 || header || body hash);
  4. the RFC 6962 root at every stored checkpoint is the one that the checkpoint names, and the last
     checkpoint is at the ledger's size;
  5. every checkpoint carries the owner's Ed25519 signature (C2SP signed-note, tlog-checkpoint);
  6. every stored cosignature (C2SP tlog-cosignature v1) verifies with the cosigner's key;
  7. every key that was used is one that a ledger names: federation.created, region.enrolled, key.rotated;
and the copies of a ledger in different databases agree leaf by leaf.

Exit 0 if all holds; 1 names database, ledger and index of the first failure of each kind.
"""

import argparse
import base64
import binascii
import hashlib
import sqlite3
import sys
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER_BYTES_MAX = 4096
BODY_BYTES_MAX = 512 * 1024
AUDIENCE_PUBLIC, AUDIENCE_REGIONS, AUDIENCE_CENTRE = 1, 2, 3
BODY_ENCODING_ZSTD = 2
ED25519, COSIGNATURE_V1 = 0x01, 0x04


class Failures:
    """The first failure of each kind, and how many there were."""

    def __init__(self):
        self.first = {}
        self.count = {}

    def add(self, kind, where, text):
        self.first.setdefault(kind, f"{where}: {text}")
        self.count[kind] = self.count.get(kind, 0) + 1

    def __bool__(self):
        return bool(self.first)


# --- protobuf, as little of it as needed -------------------------------------------------------------


def fields(data):
    """The (number, value) pairs of an encoded message; a value is an integer or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise ValueError("cut off or overlong varint")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(data):
        tag = varint()
        number, wire_type = tag >> 3, tag & 7
        if wire_type == 0:
            yield number, varint()
        elif wire_type == 2:
            length = varint()
            if at + length > len(data):
                raise ValueError("a field is longer than its message")
            yield number, data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {wire_type} is not used by EntryHeader")


class Header:
    """The fields of EntryHeader (entry.proto) that this script needs."""

    def __init__(self, data):
        self.ledger = self.kind = self.subject = ""
        self.actors, self.audience, self.regions, self.packed = [], 0, [], False
        for number, value in fields(data):
            if number == 1:
                self.ledger = value.decode()
            elif number == 2:
                self.kind = value.decode()
            elif number == 3:
                self.subject = value.decode()
            elif number == 6:
                for inner, scope in fields(value):
                    if inner == 1:
                        self.audience = scope
                    elif inner == 2:
                        self.regions.append(scope.decode())
            elif number == 7:
                self.actors.append(dict(fields(value)))
            elif number == 14:
                self.packed = value == BODY_ENCODING_ZSTD

    def admits(self, reader):
        """Whether `reader` ("hub" or a region's code) may hold the body."""
        if self.audience == AUDIENCE_PUBLIC or reader == "hub":
            return True
        return self.audience == AUDIENCE_REGIONS and reader in self.regions


# --- RFC 6962 ----------------------------------------------------------------------------------------


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """A growing Merkle tree, kept as the roots of its complete subtrees, largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf_hash):
        self.peaks.append(leaf_hash)
        self.size += 1
        size = self.size
        while size % 2 == 0:
            right, left = self.peaks.pop(), self.peaks.pop()
            self.peaks.append(node_hash(left, right))
            size //= 2

    def root(self):
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


# --- C2SP notes --------------------------------------------------------------------------------------


def key_id(name, algorithm, public_key):
    return hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + public_key).digest()[:4]


def parse_note(note):
    """(signed text, signature lines) of a signed note."""
    text, separator, signatures = note.partition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise ValueError("it is not a signed note: no blank line before the signatures")
    return text + "\n", signatures.rstrip("\n").split("\n")


def parse_checkpoint(text):
    """(origin, size, root) of the signed text of a checkpoint."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[1] != str(int(lines[1])):
        raise ValueError("it does not have the three lines of a checkpoint")
    return lines[0], int(lines[1]), base64.b64decode(lines[2], validate=True)


def parse_signature(line):
    """(name, key id, signature) of a signature line."""
    dash, name, encoded = line.split(" ")
    if dash != "\u2014":
        raise ValueError("a signature line starts with an em dash")
    data = base64.b64decode(encoded, validate=True)
    return name, data[:4], data[4:]


def verify_ed25519(public_key, signature, message):
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def check_owner_signature(note, origin, keys):
    """Raises ValueError unless one of `keys` signed `note` as `origin`."""
    text, lines = parse_note(note)
    for line in lines:
        name, identifier, signature = parse_signature(line)
        for key in keys:
            if name == origin and identifier == key_id(name, ED25519, key):
                if verify_ed25519(key, signature, text.encode()):
                    return
                raise ValueError("the owner's signature does not verify")
    raise ValueError(f"no signature by {origin} with a known key")


def check_cosignature(note, line, name, keys):
    """Raises ValueError unless `line` is `name`'s cosignature of the checkpoint in `note`. Returns its time."""
    text, _ = parse_note(note)
    signer, identifier, data = parse_signature(line)
    if signer != name:
        raise ValueError(f"it is by {signer}, not by {name}")
    if len(data) != 72:
        raise ValueError("a cosignature holds 8 bytes of time and 64 of signature")
    seconds = int.from_bytes(data[:8], "big")
    message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
    for key in keys:
        if identifier == key_id(name, COSIGNATURE_V1, key):
            if verify_ed25519(key, data[8:], message):
                return seconds
            raise ValueError("the signature does not verify")
    raise ValueError(f"no known cosigner key of {name} has this key id")


# --- one database ------------------------------------------------------------------------------------


class Database:
    """One node's database, read-only."""

    def __init__(self, reader, path):
        self.reader, self.path = reader, path
        self.connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        self.connection.text_factory = lambda data: data.decode("utf-8", "replace")
        self.origins, self.ledger_keys, self.cosigner_keys = {}, {}, {}
        for node, origin, ledger_key, cosigner_key, from_size in self.rows(
            "SELECT node, origin, ledger_key, cosigner_key, from_size FROM ledger_key ORDER BY node, from_size"
        ):
            self.origins[node] = origin
            self.ledger_keys.setdefault(node, []).append((from_size, ledger_key))
            self.cosigner_keys.setdefault(node, []).append(cosigner_key)

    def rows(self, sql, *parameters):
        return self.connection.execute(sql, parameters)

    def keys_at(self, node, size):
        """The owner's key for a checkpoint of `size`: the latest that is in force."""
        in_force = [key for from_size, key in self.ledger_keys.get(node, []) if from_size <= size]
        return in_force[-1:]

    def ledgers(self):
        return [ledger for (ledger,) in self.rows("SELECT DISTINCT ledger FROM ledger_entry ORDER BY ledger")]


def verify_entries(database, ledger, failures):
    """Steps 1 to 3. Returns the leaf hashes as recomputed."""
    leaves, erasers = [], {}
    origin = database.origins.get(ledger)
    kinds = {}
    rows = database.rows(
        "SELECT e.idx, e.header, e.body_hash, e.leaf_hash, e.erased_by, b.salt, b.stored FROM ledger_entry e"
        " LEFT JOIN ledger_body b ON b.ledger = e.ledger AND b.idx = e.idx WHERE e.ledger = ? ORDER BY e.idx",
        ledger,
    )
    for index, header_bytes, body_hash, leaf_hash, erased_by, salt, stored in rows:
        where = f"{database.path} ledger {ledger} index {index}"
        if index != len(leaves):
            failures.add("gap", where, f"index {len(leaves)} is missing before it")
            return leaves
        leaves.append(hashlib.sha256(b"\x00" + header_bytes + body_hash).digest())
        if leaves[-1] != leaf_hash:
            failures.add("leaf hash", where, "header and body hash do not give the stored leaf hash")
        try:
            header = Header(header_bytes)
        except (ValueError, UnicodeDecodeError) as error:
            failures.add("header", where, f"the header cannot be read: {error}")
            continue
        kinds[index] = header.kind
        if len(header_bytes) > HEADER_BYTES_MAX or not 1 <= len(header.actors) <= 4 or not header.audience:
            failures.add("header", where, "the header breaks a bound")
        if header.ledger != origin:
            failures.add("header", where, f"the header names {header.ledger}, the ledger's key {origin}")
        if erased_by is not None:
            erasers[index] = erased_by
        if stored is None:
            if erased_by is None and header.admits(database.reader):
                failures.add("missing body", where, f"the body of {header.kind} {header.subject} is not here")
            continue
        if hashlib.sha256(salt + stored).digest() != body_hash or len(salt) != 32 or len(stored) > BODY_BYTES_MAX:
            failures.add("body hash", where, f"the body of {header.kind} {header.subject} is not the one that was signed")
        if not header.admits(database.reader):
            failures.add("scope", where, f"the body of {header.kind} {header.subject} is not for {database.reader}")
        if erased_by is not None:
            failures.add("erasure", where, "the body was erased and is still here")
    for index, eraser in erasers.items():
        if kinds.get(eraser) != "entry.erased":
            failures.add("erasure", f"{database.path} ledger {ledger} index {index}",
                         f"index {eraser} should have erased it and is no entry.erased")
    orphans = database.rows(
        "SELECT b.idx FROM ledger_body b LEFT JOIN ledger_entry e ON e.ledger = b.ledger AND e.idx = b.idx"
        " WHERE b.ledger = ? AND e.idx IS NULL", ledger)
    for (index,) in orphans:
        failures.add("gap", f"{database.path} ledger {ledger} index {index}", "a body without its entry")
    return leaves


def verify_checkpoints(database, ledger, leaves, failures):
    """Steps 4 and 5. Returns the notes by size."""
    tree, notes = Tree(), {}
    origin = database.origins.get(ledger, "")
    for size, note in database.rows(
        "SELECT size, note FROM ledger_checkpoint WHERE ledger = ? ORDER BY size", ledger
    ):
        where = f"{database.path} ledger {ledger} checkpoint {size}"
        notes[size] = note
        while tree.size < min(size, len(leaves)):
            tree.push(leaves[tree.size])
        if tree.size != size:
            failures.add("gap", where, f"only {len(leaves)} entries are here")
            continue
        try:
            named, signed_size, root = parse_checkpoint(parse_note(note)[0])
            if (named, signed_size) != (origin, size):
                failures.add("checkpoint", where, f"it speaks of {named} at {signed_size}")
            if root != tree.root():
                failures.add("root", where, "the entries do not give the signed root")
            check_owner_signature(note, origin, database.keys_at(ledger, size))
        except (ValueError, binascii.Error, UnicodeDecodeError) as error:
            failures.add("signature", where, str(error))
    if leaves and max(notes, default=0) != len(leaves):
        failures.add("checkpoint", f"{database.path} ledger {ledger} index {max(notes, default=0)}",
                     f"the last checkpoint is at {max(notes, default=0)}, the ledger has {len(leaves)} entries")
    head = database.rows("SELECT size FROM ledger_head WHERE ledger = ?", ledger).fetchone()
    if head is None or head[0] != len(leaves):
        failures.add("head", f"{database.path} ledger {ledger} index {len(leaves)}",
                     f"the head says {head and head[0]}, the ledger has {len(leaves)} entries")
    return notes


def verify_cosignatures(database, ledger, notes, failures):
    """Step 6. Returns the largest verified size by cosigner."""
    largest = {}
    for size, cosigner, line in database.rows(
        "SELECT size, cosigner, line FROM ledger_cosignature WHERE ledger = ? ORDER BY cosigner, size", ledger
    ):
        where = f"{database.path} ledger {ledger} cosignature of {cosigner} at {size}"
        if size not in notes:
            failures.add("cosignature", where, "there is no checkpoint of this size")
            continue
        try:
            name = f"{database.origins.get(cosigner, '?')}/cosigner"
            check_cosignature(notes[size], line, name, database.cosigner_keys.get(cosigner, []))
            largest[cosigner] = size
        except (ValueError, binascii.Error) as error:
            failures.add("cosignature", where, str(error))
    return largest


def verify_keys(database, failures):
    """Step 7. The keys of a node are named in the Hub's ledger; later ones in its own, signed by the earlier."""
    named = {}
    rows = database.rows(
        "SELECT e.ledger, e.header, b.stored FROM ledger_entry e JOIN ledger_body b"
        " ON b.ledger = e.ledger AND b.idx = e.idx ORDER BY e.ledger, e.idx")
    for ledger, header_bytes, stored in rows:
        try:
            header = Header(header_bytes)
            if header.kind not in ("federation.created", "region.enrolled", "key.rotated") or header.packed:
                continue
            body = dict(fields(stored))
        except (ValueError, UnicodeDecodeError):
            continue  # reported by step 1
        if header.kind == "federation.created":
            named.setdefault("hub", set()).add((body.get(4), body.get(5)))
        elif header.kind == "region.enrolled" and ledger == "hub":
            named.setdefault(body.get(1, b"").decode("utf-8", "replace"), set()).add((body.get(3), body.get(4)))
        elif header.kind == "key.rotated":
            named.setdefault(ledger, set()).add((body.get(1), body.get(2)))
    for node, ledger_key, cosigner_key in database.rows("SELECT node, ledger_key, cosigner_key FROM ledger_key"):
        # A Spoke need not be told the keys of other regions.
        needed = database.reader in ("hub", node) or node in ("hub", *named)
        if needed and (ledger_key, cosigner_key) not in named.get(node, set()):
            failures.add("key", f"{database.path} ledger {node} key", "no ledger names this pair of keys")


def verify_database(database, failures, report=print):
    """All steps for every ledger of a database. Returns the leaves by ledger."""
    copies = {}
    for ledger in database.ledgers():
        leaves = verify_entries(database, ledger, failures)
        notes = verify_checkpoints(database, ledger, leaves, failures)
        largest = verify_cosignatures(database, ledger, notes, failures)
        bodies = database.rows("SELECT COUNT(*) FROM ledger_body WHERE ledger = ?", ledger).fetchone()[0]
        covered = f"{min(largest.values())} to {max(largest.values())}" if largest else "none"
        report(f"{database.reader:>4}  ledger {ledger:<4} {len(leaves):>7} entries {bodies:>7} bodies "
               f"{len(notes):>6} checkpoints  cosigned by {len(largest):>2}, up to {covered}")
        copies[ledger] = leaves
    verify_keys(database, failures)
    if not copies:
        failures.add("empty", str(database.path), "no ledger is here")
    return copies


def compare_copies(all_copies, failures):
    """Every copy is a prefix of its owner's."""
    for reader, (path, copies) in sorted(all_copies.items()):
        for ledger, leaves in copies.items():
            if ledger == reader or ledger not in all_copies:
                continue
            own = all_copies[ledger][1].get(ledger, [])
            if len(leaves) > len(own):
                failures.add("copies", f"{path} ledger {ledger} index {len(own)}",
                             f"the follower has {len(leaves)} entries, the owner {len(own)}")
            for index, (theirs, ours) in enumerate(zip(leaves, own, strict=False)):
                if theirs != ours:
                    failures.add("copies", f"{path} ledger {ledger} index {index}",
                                 f"it differs from the owner's in {all_copies[ledger][0]}")
                    break


def find_databases(folder):
    """(reader, path) of every node of the folder."""
    found = [("hub", folder / "hub" / "node.db")]
    found += [(path.parent.name.removeprefix("spoke-"), path) for path in sorted(folder.glob("spoke-*/node.db"))]
    return [(reader, path) for reader, path in found if path.is_file()]


# --- negative controls -------------------------------------------------------------------------------

# (what is done, the failure that must name it, the statements). {at}: the last entry of the ledger that has a body.
DAMAGES = [
    ("a flipped byte in a body", "body hash", "UPDATE ledger_body SET stored = flip(stored) WHERE {at}"),
    ("another salt", "body hash", "UPDATE ledger_body SET salt = flip(salt) WHERE {at}"),
    ("a missing body", "missing body", "DELETE FROM ledger_body WHERE {at}"),
    ("a flipped byte in a header", "leaf hash", "UPDATE ledger_entry SET header = flip(header) WHERE {at}"),
    ("another leaf", "root", "UPDATE ledger_entry SET body_hash = flip(body_hash) WHERE {at}"),
    ("a deleted entry", "gap", "DELETE FROM ledger_entry WHERE {at}"),
    ("a ledger cut off with its checkpoints", "head",
     "DELETE FROM ledger_checkpoint WHERE {ledger} AND size > 1; DELETE FROM ledger_cosignature WHERE {ledger} AND size > 1;"
     "DELETE FROM ledger_entry WHERE {ledger} AND idx > 0; DELETE FROM ledger_body WHERE {ledger} AND idx > 0"),
    ("an altered checkpoint", "signature", "UPDATE ledger_checkpoint SET note = resign(note) WHERE {ledger}"),
    ("a foreign key", "signature", "UPDATE ledger_key SET ledger_key = flip(ledger_key) WHERE {node}"),
    ("a foreign cosigner key", "key", "UPDATE ledger_key SET cosigner_key = flip(cosigner_key) WHERE {node}"),
    ("an altered cosignature", "cosignature", "UPDATE ledger_cosignature SET line = resign(line) WHERE {ledger}"),
]


def flip(data):
    return data[:-1] + bytes([data[-1] ^ 1])


def resign(text):
    """The same text with one bit of its last signature changed."""
    head, _, encoded = text.rstrip("\n").rpartition(" ")
    return f"{head} {base64.b64encode(flip(base64.b64decode(encoded))).decode()}" + ("\n" if text.endswith("\n") else "")


def self_test(reader, path):
    """Damages copies of one database; every damage must be seen and named. Returns how many were not."""
    missed = 0
    ledger = reader
    with tempfile.TemporaryDirectory(prefix="raccordo-verify-") as folder:
        for number, (what, expected, sql) in enumerate(DAMAGES):
            copy = Path(folder) / f"{number}.db"
            source, target = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True), sqlite3.connect(copy)
            source.backup(target)
            source.close()
            target.execute("PRAGMA journal_mode = DELETE")
            target.create_function("flip", 1, flip)
            target.create_function("resign", 1, resign)
            at = f"ledger = '{ledger}' AND idx = (SELECT MAX(idx) FROM ledger_body WHERE ledger = '{ledger}')"
            sql = sql.format(at=at, ledger=f"ledger = '{ledger}'", node=f"node = '{ledger}'")
            for statement in sql.split(";"):
                changed = target.execute(statement).rowcount
            target.commit()
            target.close()
            failures = Failures()
            verify_database(Database(reader, copy), failures, report=lambda line: None)
            named = failures.first.get(expected, "")
            seen = f"ledger {ledger} " in named
            missed += not seen
            verdict = "seen" if seen else f"MISSED ({changed} rows changed, found {sorted(failures.first)})"
            print(f"control: {what} in {reader}: {verdict}: {named.partition(': ')[2]}")
    return missed


def main():
    parser = argparse.ArgumentParser(description="verify every ledger of a federation's folder")
    parser.add_argument("--self-test", action="store_true", help="also damage copies; each damage must be seen")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    databases = find_databases(arguments.folder)
    if not databases:
        print(f"{arguments.folder} holds neither hub/node.db nor spoke-*/node.db", file=sys.stderr)
        return 1
    failures, copies = Failures(), {}
    for reader, path in databases:
        copies[reader] = (path, verify_database(Database(reader, path), failures))
    compare_copies(copies, failures)
    for kind, text in failures.first.items():
        more = failures.count[kind] - 1
        print(f"FAILED {kind}: {text}" + (f" (and {more} more)" if more else ""), file=sys.stderr)
    missed = 0
    if arguments.self_test and not failures:
        for reader, path in databases[:2]:
            missed += self_test(reader, path)
    entries = sum(len(leaves) for _, ledgers in copies.values() for leaves in ledgers.values())
    verdict = "FAILED" if failures or missed else "all verified"
    print(f"{len(databases)} databases, {entries} entries: {verdict}")
    return 1 if failures or missed else 0


if __name__ == "__main__":
    sys.exit(main())
