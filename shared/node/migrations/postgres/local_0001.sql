-- What a node keeps about its own people, in no ledger. Protected by `backup`.
CREATE TABLE local_account (
    account TEXT PRIMARY KEY, name TEXT NOT NULL, institution TEXT NOT NULL, roles TEXT NOT NULL,
    created_us BIGINT NOT NULL);
CREATE TABLE local_token (
    token_id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES local_account (account), secret_hash BYTEA NOT NULL,
    roles TEXT NOT NULL, areas TEXT NOT NULL, clusters TEXT NOT NULL, expires_us BIGINT NOT NULL,
    revoked BIGINT NOT NULL);
CREATE INDEX local_token_account ON local_token (account);
CREATE TABLE local_setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE local_access (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at_us BIGINT NOT NULL, token_id TEXT NOT NULL, account TEXT NOT NULL,
    method TEXT NOT NULL, detail TEXT NOT NULL);
