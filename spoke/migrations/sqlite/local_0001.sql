-- What stays in the region and is in no ledger: drafts, editions, learners' outcomes. Protected by `backup`.
CREATE TABLE local_plan_draft (
    kind TEXT NOT NULL, year INTEGER NOT NULL, file TEXT NOT NULL, body BLOB NOT NULL, imported_us INTEGER NOT NULL,
    PRIMARY KEY (kind, year)) STRICT, WITHOUT ROWID;
CREATE TABLE local_edition (
    id TEXT PRIMARY KEY, intervention TEXT NOT NULL, pe_year INTEGER NOT NULL, area TEXT NOT NULL,
    objective TEXT NOT NULL, instrument TEXT NOT NULL, level TEXT NOT NULL, origin TEXT NOT NULL,
    package TEXT NOT NULL, kit TEXT NOT NULL, minutes INTEGER NOT NULL, starts TEXT NOT NULL, ends TEXT NOT NULL,
    ecm INTEGER NOT NULL, test INTEGER NOT NULL, state TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE local_outcome (
    learner TEXT NOT NULL, edition TEXT NOT NULL REFERENCES local_edition (id), profession TEXT NOT NULL,
    enrolled TEXT, started TEXT, completed TEXT, passed TEXT, ecm_credited TEXT,
    PRIMARY KEY (learner, edition)) STRICT, WITHOUT ROWID;
CREATE INDEX local_outcome_edition ON local_outcome (edition);
