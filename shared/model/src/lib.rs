//! The nouns of Raccordo: values that cannot be wrong, and their rules.
//!
//! Two halves. The *ledger's* nouns: [`node`], [`entry`], [`kind`], [`scope`], [`checkpoint`],
//! [`manifest`], [`timestamp`], [`digest`].
//!
//! The *programme's* nouns, in the words of `domain.md`:
//!
//! - what is named: [`code`], [`version`], [`text`], [`date`], [`period`], [`region`], [`taxonomy`];
//! - what the centre publishes: [`syllabus`], [`kit`];
//! - what a region plans: [`operational_plan`], [`executive_plan`], and their YAML form [`plan_file`];
//! - what a region does and reports: [`edition`], [`outcome`], [`report`] of [`measure`]s;
//! - what others see of it: [`consolidate`];
//! - what is said about documents and plans: [`document`], [`finding`], [`personal_data`].
//!
//! What is not here: IO, clocks, random numbers, protobuf (see `raccordo-proto`), SQL, signatures.

pub mod checkpoint;
pub mod code;
pub mod consolidate;
pub mod date;
pub mod digest;
pub mod document;
pub mod edition;
pub mod entry;
pub mod executive_plan;
pub mod finding;
pub mod kind;
pub mod kit;
pub mod manifest;
pub mod measure;
pub mod node;
pub mod operational_plan;
pub mod outcome;
pub mod period;
pub mod personal_data;
pub mod plan_file;
pub mod region;
pub mod report;
pub mod scope;
pub mod syllabus;
pub mod taxonomy;
pub mod text;
pub mod timestamp;
pub mod version;
