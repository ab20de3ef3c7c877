-- What the Hub keeps in no ledger: invitations, and what a first person proposed. Protected by `backup`.
CREATE TABLE local_invitation (
    token_hash BYTEA PRIMARY KEY, region TEXT NOT NULL, account TEXT NOT NULL, institution TEXT NOT NULL,
    expires_us BIGINT NOT NULL, used_us BIGINT, ledger_key BYTEA, cosigner_key BYTEA);
CREATE TABLE local_proposal (
    region TEXT NOT NULL, version BIGINT NOT NULL, act TEXT NOT NULL, verdict TEXT NOT NULL, reasons TEXT NOT NULL,
    submission_idx BIGINT NOT NULL, submission_leaf BYTEA NOT NULL, body BYTEA NOT NULL, account TEXT NOT NULL,
    institution TEXT NOT NULL, proposed_us BIGINT NOT NULL, PRIMARY KEY (region, version));
