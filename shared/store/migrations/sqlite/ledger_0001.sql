-- The ledger's tables. `ledger` is a node: `hub`, or a region's three-digit code.
CREATE TABLE ledger_head (
    ledger TEXT PRIMARY KEY, origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
    frontier BLOB NOT NULL, note TEXT NOT NULL) STRICT;
CREATE TABLE ledger_entry (
    ledger TEXT NOT NULL, idx INTEGER NOT NULL, header BLOB NOT NULL, body_hash BLOB NOT NULL,
    leaf_hash BLOB NOT NULL, erased_by INTEGER, PRIMARY KEY (ledger, idx)) STRICT;
CREATE TABLE ledger_body (
    ledger TEXT NOT NULL, idx INTEGER NOT NULL, salt BLOB NOT NULL, stored BLOB NOT NULL,
    PRIMARY KEY (ledger, idx)) STRICT;
CREATE TABLE ledger_checkpoint (
    ledger TEXT NOT NULL, size INTEGER NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (ledger, size)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_cosignature (
    ledger TEXT NOT NULL, size INTEGER NOT NULL, cosigner TEXT NOT NULL, line TEXT NOT NULL, at_us INTEGER NOT NULL,
    PRIMARY KEY (ledger, cosigner, size)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_key (
    node TEXT NOT NULL, from_size INTEGER NOT NULL, origin TEXT NOT NULL, ledger_key BLOB NOT NULL,
    cosigner_key BLOB NOT NULL, PRIMARY KEY (node, from_size)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_epoch (
    peer TEXT PRIMARY KEY, current INTEGER NOT NULL, issued INTEGER NOT NULL, last_contact_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_fence (
    peer TEXT NOT NULL, at_us INTEGER NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL,
    PRIMARY KEY (peer, at_us)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger_nack (
    peer TEXT NOT NULL, idx INTEGER NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, remedy TEXT NOT NULL,
    at_us INTEGER NOT NULL, PRIMARY KEY (peer, idx)) STRICT, WITHOUT ROWID;
