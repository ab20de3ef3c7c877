-- What a Spoke makes of the Hub's ledger and of its own. Rows of the Hub's entries carry its index.
CREATE TABLE proj_federation (
    ledger TEXT PRIMARY KEY, federation TEXT NOT NULL, test BIGINT NOT NULL, report_due_days BIGINT NOT NULL)
   ;
CREATE TABLE proj_code_lists (version BIGINT PRIMARY KEY, idx BIGINT NOT NULL, recorded_us BIGINT NOT NULL)
   ;
CREATE TABLE proj_syllabus (
    syllabus TEXT NOT NULL, version TEXT NOT NULL, idx BIGINT NOT NULL, title TEXT NOT NULL, level TEXT NOT NULL,
    area TEXT NOT NULL, minutes BIGINT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (syllabus, version));
CREATE TABLE proj_kit (
    kit TEXT NOT NULL, version TEXT NOT NULL, idx BIGINT NOT NULL, leaf_hash BYTEA NOT NULL, title TEXT NOT NULL,
    syllabus TEXT NOT NULL, manifest BYTEA NOT NULL, files BIGINT NOT NULL, bytes BIGINT NOT NULL,
    recorded_us BIGINT NOT NULL, withdrawn BIGINT NOT NULL, withdrawn_reason TEXT NOT NULL,
    PRIMARY KEY (kit, version));
CREATE TABLE proj_kit_phase (
    kit TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL, idx BIGINT NOT NULL, reached_us BIGINT NOT NULL,
    PRIMARY KEY (kit, version, phase));
CREATE TABLE proj_adoption (
    kit TEXT NOT NULL, version TEXT NOT NULL, idx BIGINT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    recorded_us BIGINT NOT NULL, PRIMARY KEY (kit, version));
CREATE TABLE proj_po_version (
    ledger TEXT NOT NULL, idx BIGINT NOT NULL, version BIGINT NOT NULL, leaf_hash BYTEA NOT NULL,
    interventions BIGINT NOT NULL, approved TEXT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (ledger, idx));
CREATE TABLE proj_po_decision (
    idx BIGINT PRIMARY KEY, submission_idx BIGINT NOT NULL, verdict TEXT NOT NULL, reasons TEXT NOT NULL,
    recorded_us BIGINT NOT NULL);
CREATE TABLE proj_pe_version (
    idx BIGINT PRIMARY KEY, year BIGINT NOT NULL, version BIGINT NOT NULL, po_version BIGINT NOT NULL,
    leaf_hash BYTEA NOT NULL, interventions BIGINT NOT NULL, recorded_us BIGINT NOT NULL);
CREATE TABLE proj_pe_observation (
    idx BIGINT NOT NULL, place BIGINT NOT NULL, submission_idx BIGINT NOT NULL, intervention TEXT NOT NULL,
    text TEXT NOT NULL, recorded_us BIGINT NOT NULL, PRIMARY KEY (idx, place));
CREATE TABLE proj_report (
    idx BIGINT PRIMARY KEY, period TEXT NOT NULL, revision BIGINT NOT NULL, pe_year BIGINT NOT NULL,
    leaf_hash BYTEA NOT NULL, cells BIGINT NOT NULL, reason TEXT NOT NULL, recorded_us BIGINT NOT NULL);
CREATE INDEX proj_report_period ON proj_report (period, revision);
CREATE TABLE proj_report_verdict (
    idx BIGINT PRIMARY KEY, submission_idx BIGINT NOT NULL, accepted BIGINT NOT NULL, reasons TEXT NOT NULL,
    recorded_us BIGINT NOT NULL);
