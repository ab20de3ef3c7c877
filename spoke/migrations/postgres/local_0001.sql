-- What stays in the region and is in no ledger: drafts, editions, learners' outcomes. Protected by `backup`.
CREATE TABLE local_plan_draft (
    kind TEXT NOT NULL, year BIGINT NOT NULL, file TEXT NOT NULL, body BYTEA NOT NULL, imported_us BIGINT NOT NULL,
    PRIMARY KEY (kind, year));
CREATE TABLE local_edition (
    id TEXT PRIMARY KEY, intervention TEXT NOT NULL, pe_year BIGINT NOT NULL, area TEXT NOT NULL,
    objective TEXT NOT NULL, instrument TEXT NOT NULL, level TEXT NOT NULL, origin TEXT NOT NULL,
    package TEXT NOT NULL, kit TEXT NOT NULL, minutes BIGINT NOT NULL, starts TEXT NOT NULL, ends TEXT NOT NULL,
    ecm BIGINT NOT NULL, test BIGINT NOT NULL, state TEXT NOT NULL);
CREATE TABLE local_outcome (
    learner TEXT NOT NULL, edition TEXT NOT NULL REFERENCES local_edition (id), profession TEXT NOT NULL,
    enrolled TEXT, started TEXT, completed TEXT, passed TEXT, ecm_credited TEXT,
    PRIMARY KEY (learner, edition));
CREATE INDEX local_outcome_edition ON local_outcome (edition);
