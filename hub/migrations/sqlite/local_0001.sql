-- What the Hub keeps in no ledger: invitations, and what a first person proposed. Protected by `backup`.
CREATE TABLE local_invitation (
    token_hash BLOB PRIMARY KEY, region TEXT NOT NULL, account TEXT NOT NULL, institution TEXT NOT NULL,
    expires_us INTEGER NOT NULL, used_us INTEGER, ledger_key BLOB, cosigner_key BLOB) STRICT, WITHOUT ROWID;
CREATE TABLE local_proposal (
    region TEXT NOT NULL, version INTEGER NOT NULL, act TEXT NOT NULL, verdict TEXT NOT NULL, reasons TEXT NOT NULL,
    submission_idx INTEGER NOT NULL, submission_leaf BLOB NOT NULL, body BLOB NOT NULL, account TEXT NOT NULL,
    institution TEXT NOT NULL, proposed_us INTEGER NOT NULL, PRIMARY KEY (region, version)) STRICT, WITHOUT ROWID;
