-- The ledger's tables. `ledger` is a node: `hub`, or a region's three-digit code.
CREATE TABLE ledger_head (
    ledger TEXT PRIMARY KEY, origin TEXT NOT NULL, size BIGINT NOT NULL, root BYTEA NOT NULL,
    frontier BYTEA NOT NULL, note TEXT NOT NULL);
CREATE TABLE ledger_entry (
    ledger TEXT NOT NULL, idx BIGINT NOT NULL, header BYTEA NOT NULL, body_hash BYTEA NOT NULL,
    leaf_hash BYTEA NOT NULL, erased_by BIGINT, PRIMARY KEY (ledger, idx));
CREATE TABLE ledger_body (
    ledger TEXT NOT NULL, idx BIGINT NOT NULL, salt BYTEA NOT NULL, stored BYTEA NOT NULL,
    PRIMARY KEY (ledger, idx));
CREATE TABLE ledger_checkpoint (
    ledger TEXT NOT NULL, size BIGINT NOT NULL, note TEXT NOT NULL,
    PRIMARY KEY (ledger, size));
CREATE TABLE ledger_cosignature (
    ledger TEXT NOT NULL, size BIGINT NOT NULL, cosigner TEXT NOT NULL, line TEXT NOT NULL, at_us BIGINT NOT NULL,
    PRIMARY KEY (ledger, cosigner, size));
CREATE TABLE ledger_key (
    node TEXT NOT NULL, from_size BIGINT NOT NULL, origin TEXT NOT NULL, ledger_key BYTEA NOT NULL,
    cosigner_key BYTEA NOT NULL, PRIMARY KEY (node, from_size));
CREATE TABLE ledger_epoch (
    peer TEXT PRIMARY KEY, current BIGINT NOT NULL, issued BIGINT NOT NULL, last_contact_us BIGINT NOT NULL);
CREATE TABLE ledger_fence (
    peer TEXT NOT NULL, at_us BIGINT NOT NULL, reason TEXT NOT NULL, evidence TEXT NOT NULL,
    PRIMARY KEY (peer, at_us));
CREATE TABLE ledger_nack (
    peer TEXT NOT NULL, idx BIGINT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL, remedy TEXT NOT NULL,
    at_us BIGINT NOT NULL, PRIMARY KEY (peer, idx));
