-- What every node projects: how far each ledger is applied, and what could not be.
CREATE TABLE proj_cursor (ledger TEXT PRIMARY KEY, applied BIGINT NOT NULL);
CREATE TABLE proj_quarantine (
    ledger TEXT NOT NULL, idx BIGINT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL, code TEXT NOT NULL,
    retry TEXT NOT NULL, text TEXT NOT NULL, remedy TEXT NOT NULL, PRIMARY KEY (ledger, idx));
CREATE INDEX proj_quarantine_subject ON proj_quarantine (ledger, subject);
