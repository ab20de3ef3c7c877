-- What the Hub makes of ledgers. Rows that come from a region's ledger are keyed by the region.
CREATE TABLE proj_federation (
    federation TEXT PRIMARY KEY, test BIGINT NOT NULL, root_key BYTEA NOT NULL, institutions TEXT NOT NULL,
    due_days BIGINT NOT NULL);
CREATE TABLE proj_region (
    region TEXT PRIMARY KEY, state TEXT NOT NULL, origin TEXT NOT NULL, ledger_key BYTEA NOT NULL,
    cosigner_key BYTEA NOT NULL, enrolled_us BIGINT NOT NULL, changed_idx BIGINT NOT NULL,
    reason TEXT NOT NULL);
CREATE TABLE proj_code_lists (
    version BIGINT PRIMARY KEY, yaml TEXT NOT NULL, idx BIGINT NOT NULL, recorded_us BIGINT NOT NULL);
CREATE TABLE proj_syllabus (
    id TEXT NOT NULL, version TEXT NOT NULL, content BYTEA NOT NULL, title TEXT NOT NULL, area TEXT NOT NULL,
    level TEXT NOT NULL, minutes BIGINT NOT NULL, idx BIGINT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (id, version));
CREATE TABLE proj_kit (
    id TEXT NOT NULL, version TEXT NOT NULL, content BYTEA NOT NULL, title TEXT NOT NULL, syllabus TEXT NOT NULL,
    manifest BYTEA NOT NULL, files BIGINT NOT NULL, bytes BIGINT NOT NULL, idx BIGINT NOT NULL,
    recorded_us BIGINT NOT NULL, withdrawn_idx BIGINT, reason TEXT NOT NULL,
    PRIMARY KEY (id, version));
CREATE TABLE proj_po_submission (
    region TEXT NOT NULL, version BIGINT NOT NULL, idx BIGINT NOT NULL, leaf BYTEA NOT NULL,
    from_year BIGINT NOT NULL, to_year BIGINT NOT NULL, interventions BIGINT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (region, version));
CREATE TABLE proj_po (
    region TEXT NOT NULL, version BIGINT NOT NULL, state TEXT NOT NULL, reasons TEXT NOT NULL, plan_node TEXT NOT NULL,
    plan_idx BIGINT NOT NULL, idx BIGINT NOT NULL, actors TEXT NOT NULL, decided_us BIGINT NOT NULL,
    PRIMARY KEY (region, version));
CREATE TABLE proj_pe (
    region TEXT NOT NULL, year BIGINT NOT NULL, version BIGINT NOT NULL, idx BIGINT NOT NULL, leaf BYTEA NOT NULL,
    po_version BIGINT NOT NULL, interventions BIGINT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (region, year, version));
CREATE TABLE proj_pe_observation (
    idx BIGINT NOT NULL, place BIGINT NOT NULL, region TEXT NOT NULL, year BIGINT NOT NULL, version BIGINT NOT NULL,
    intervention TEXT NOT NULL, text TEXT NOT NULL, institution TEXT NOT NULL, recorded_us BIGINT NOT NULL,
    PRIMARY KEY (idx, place));
CREATE INDEX proj_pe_observation_plan ON proj_pe_observation (region, year, version);
CREATE TABLE proj_report (
    region TEXT NOT NULL, period TEXT NOT NULL, revision BIGINT NOT NULL, idx BIGINT NOT NULL, leaf BYTEA NOT NULL,
    content BYTEA NOT NULL, pe_year BIGINT NOT NULL, pe_version BIGINT NOT NULL, cells BIGINT NOT NULL,
    reason TEXT NOT NULL, recorded_us BIGINT NOT NULL, PRIMARY KEY (region, period, revision));
CREATE TABLE proj_verdict (
    region TEXT NOT NULL, period TEXT NOT NULL, revision BIGINT NOT NULL, state TEXT NOT NULL, reasons TEXT NOT NULL,
    report_idx BIGINT NOT NULL, idx BIGINT NOT NULL, decided_us BIGINT NOT NULL,
    PRIMARY KEY (region, period, revision));
CREATE TABLE proj_cell (
    region TEXT NOT NULL, period TEXT NOT NULL, cluster TEXT NOT NULL, profession TEXT NOT NULL, area TEXT NOT NULL,
    objective TEXT NOT NULL, instrument TEXT NOT NULL, level TEXT NOT NULL, origin TEXT NOT NULL, package TEXT NOT NULL,
    kit TEXT NOT NULL, measure TEXT NOT NULL, state TEXT NOT NULL, value BIGINT NOT NULL,
    PRIMARY KEY (region, period, cluster, profession, area, objective, instrument, level, origin, package, kit, measure)
    );
CREATE TABLE proj_rollup (
    period TEXT NOT NULL, region TEXT NOT NULL, cluster TEXT NOT NULL, area TEXT NOT NULL, measure TEXT NOT NULL,
    state TEXT NOT NULL, value BIGINT NOT NULL,
    PRIMARY KEY (period, region, cluster, area, measure));
CREATE TABLE proj_phase (
    region TEXT NOT NULL, kit TEXT NOT NULL, version TEXT NOT NULL, phase TEXT NOT NULL, reached_us BIGINT NOT NULL,
    PRIMARY KEY (region, kit, version));
CREATE TABLE proj_adoption (
    region TEXT NOT NULL, kit TEXT NOT NULL, version TEXT NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL,
    idx BIGINT NOT NULL, PRIMARY KEY (region, kit, version));
