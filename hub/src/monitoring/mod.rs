//! Monitoring: the inbox of reports with their verdicts, and the cube of accepted figures.

pub mod cube;
pub mod report;
