-- What the Hub makes of ledgers. Rows that come from a region's ledger are keyed by the region.
CREATE TABLE proj_federation (
    federation TEXT PRIMARY KEY, test INTEGER NOT NULL, root_key BLOB NOT NULL, institutions TEXT NOT NULL,
    due_days INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE proj_region (
    region TEXT PRIMARY KEY, state TEXT NOT NULL, origin TEXT NOT NULL, ledger_key BLOB NOT NULL,
    cosigner_key BLOB NOT NULL, enrolled_us INTEGER NOT NULL, changed_idx INTEGER NOT NULL,
    reason TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE proj_code_lists (
    version INTEGER PRIMARY KEY, yaml TEXT NOT NULL, idx INTEGER NOT NULL, recorded_us INTEGER NOT NULL) STRICT;
CREATE TABLE proj_syllabus (
    id TEXT NOT NULL, version TEXT NOT NULL, content BLOB NOT NULL, title TEXT NOT NULL, area TEXT NOT NULL,
    level TEXT NOT NULL, minutes INTEGER NOT NULL, idx INTEGER NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (id, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_kit (
    id TEXT NOT NULL, version TEXT NOT NULL, content BLOB NOT NULL, title TEXT NOT NULL, syllabus TEXT NOT NULL,
    manifest BLOB NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, idx INTEGER NOT NULL,
    recorded_us INTEGER NOT NULL, withdrawn_idx INTEGER, reason TEXT NOT NULL,
    PRIMARY KEY (id, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_po_submission (
    region TEXT NOT NULL, version INTEGER NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL,
    from_year INTEGER NOT NULL, to_year INTEGER NOT NULL, interventions INTEGER NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (region, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_po (
    region TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL, reasons TEXT NOT NULL, plan_node TEXT NOT NULL,
    plan_idx INTEGER NOT NULL, idx INTEGER NOT NULL, actors TEXT NOT NULL, decided_us INTEGER NOT NULL,
    PRIMARY KEY (region, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_pe (
    region TEXT NOT NULL, year INTEGER NOT NULL, version INTEGER NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL,
    po_version INTEGER NOT NULL, interventions INTEGER NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (region, year, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_pe_observation (
    idx INTEGER NOT NULL, place INTEGER NOT NULL, region TEXT NOT NULL, year INTEGER NOT NULL, version INTEGER NOT NULL,
    intervention TEXT NOT NULL, text TEXT NOT NULL, institution TEXT NOT NULL, recorded_us INTEGER NOT NULL,
    PRIMARY KEY (idx, place)) STRICT, WITHOUT ROWID;
CREATE INDEX proj_pe_observation_plan ON proj_pe_observation (region, year, version);
CREATE TABLE proj_report (
    region TEXT NOT NULL, period TEXT NOT NULL, revision INTEGER NOT NULL, idx INTEGER NOT NULL, leaf BLOB NOT NULL,
    content BLOB NOT NULL, pe_year INTEGER NOT NULL, pe_version INTEGER NOT NULL, cells INTEGER NOT NULL,
    reason TEXT NOT NULL, recorded_us INTEGER NOT NULL, PRIMARY KEY (region, period, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_verdict (
    region TEXT NOT NULL, period TEXT NOT NULL, revision INTEGER NOT NULL, state TEXT NOT NULL, reasons TEXT NOT NULL,
    report_idx INTEGER NOT NULL, idx INTEGER NOT NULL, decided_us INTEGER NOT NULL,
    PRIMARY KEY (region, period, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_cell (
    region TEXT NOT NULL, period TEXT NOT NULL, cluster TEXT NOT NULL, profession TEXT NOT NULL, area TEXT NOT NULL,
    objective TEXT NOT NULL, instrument TEXT NOT NULL, level TEXT NOT NULL, origin TEXT NOT NULL, package TEXT NOT NULL,
    kit TEXT NOT NULL, measure TEXT NOT NULL, state TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (region, period, cluster, profession, area, objective, instrument, level, origin, package, kit, measure)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE proj_rollup (
    period TEXT NOT NULL, region TEXT NOT NULL, cluster TEXT NOT NULL, area TEXT NOT NULL, measure TEXT NOT NULL,
    state TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (period, region, cluster, area, measure)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_phase (
    region TEXT NOT NULL, kit TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL, reached_us INTEGER NOT NULL,
    PRIMARY KEY (region, kit, version)) STRICT, WITHOUT ROWID;
CREATE TABLE proj_adoption (
    region TEXT NOT NULL, kit TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    idx INTEGER NOT NULL, PRIMARY KEY (region, kit, version)) STRICT, WITHOUT ROWID;
