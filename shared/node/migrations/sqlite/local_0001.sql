-- What a node keeps about its own people, in no ledger. Protected by `backup`.
CREATE TABLE local_account (
    account TEXT PRIMARY KEY, name TEXT NOT NULL, institution TEXT NOT NULL, roles TEXT NOT NULL,
    created_us INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE local_token (
    token_id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES local_account (account), secret_hash BLOB NOT NULL,
    roles TEXT NOT NULL, areas TEXT NOT NULL, clusters TEXT NOT NULL, expires_us INTEGER NOT NULL,
    revoked INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX local_token_account ON local_token (account);
CREATE TABLE local_setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE local_access (
    id INTEGER PRIMARY KEY, at_us INTEGER NOT NULL, token_id TEXT NOT NULL, account TEXT NOT NULL,
    method TEXT NOT NULL, detail TEXT NOT NULL) STRICT;
