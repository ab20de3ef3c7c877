-- What a Spoke makes of the Hub's ledger and of its own. Rows of the Hub's entries carry its index.
CREATE TABLE proj_federation (
    ledger TEXT PRIMARY KEY, federation TEXT NOT NULL, test INTEGER NOT NULL, report_due_days INTEGER NOT NULL)
    STRICT, WITHOUT ROWID;
CREATE TABLE proj_code_lists (version INTEGER PRIMARY KEY, idx INTEGER NOT NULL, recorded_us INTEGER NOT NULL)
    STRICT;
CREATE TABLE proj_syllabus (
    syllabus TEXT NOT NULL, version TEXT NOT NULL, idx INTEGER NOT NULL, title TEXT NOT NULL, level TEXT NOT NULL,
    area TEXT NOT NULL, minutes INTEGER NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (syllabus, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_kit (
    kit TEXT NOT NULL, version TEXT NOT NULL, idx INTEGER NOT NULL, leaf_hash BLOB NOT NULL, title TEXT NOT NULL,
    syllabus TEXT NOT NULL, manifest BLOB NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL, withdrawn INTEGER NOT NULL, withdrawn_reason TEXT NOT NULL,
    PRIMARY KEY (kit, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_kit_phase (
    kit TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL, idx INTEGER NOT NULL, reached_us INTEGER NOT NULL,
    PRIMARY KEY (kit, version, phase)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_adoption (
    kit TEXT NOT NULL, version TEXT NOT NULL, idx INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    recorded_us INTEGER NOT NULL, PRIMARY KEY (kit, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_po_version (
    ledger TEXT NOT NULL, idx INTEGER NOT NULL, version INTEGER NOT NULL, leaf_hash BLOB NOT NULL,
    interventions INTEGER NOT NULL, approved TEXT NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (ledger, idx)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_po_decision (
    idx INTEGER PRIMARY KEY, submission_idx INTEGER NOT NULL, verdict TEXT NOT NULL, reasons TEXT NOT NULL,
    recorded_us INTEGER NOT NULL) STRICT;
CREATE TABLE proj_pe_version (
    idx INTEGER PRIMARY KEY, year INTEGER NOT NULL, version INTEGER NOT NULL, po_version INTEGER NOT NULL,
    leaf_hash BLOB NOT NULL, interventions INTEGER NOT NULL, recorded_us INTEGER NOT NULL) STRICT;
CREATE TABLE proj_pe_observation (
    idx INTEGER NOT NULL, place INTEGER NOT NULL, submission_idx INTEGER NOT NULL, intervention TEXT NOT NULL,
    text TEXT NOT NULL, recorded_us INTEGER NOT NULL, PRIMARY KEY (idx, place)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_report (
    idx INTEGER PRIMARY KEY, period TEXT NOT NULL, revision INTEGER NOT NULL, pe_year INTEGER NOT NULL,
    leaf_hash BLOB NOT NULL, cells INTEGER NOT NULL, reason TEXT NOT NULL, recorded_us INTEGER NOT NULL) STRICT;
CREATE INDEX proj_report_period ON proj_report (period, revision);
CREATE TABLE proj_report_verdict (
    idx INTEGER PRIMARY KEY, submission_idx INTEGER NOT NULL, accepted INTEGER NOT NULL, reasons TEXT NOT NULL,
    recorded_us INTEGER NOT NULL) STRICT;
