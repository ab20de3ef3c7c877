//! What the centre published, as far as it is applied here: code lists, syllabi, kit versions.
//! A withdrawal flags a version; it deletes nothing.

use crate::records::{self, instant, listing};
use raccordo_model::{
    digest::{LeafHash, ManifestDigest},
    edition::Versioned,
    entry::EntryRef,
    kit::{KitAdoption, KitPhase},
    node::NodeId,
};
use raccordo_node::{NodeError, status::Refusal};
use raccordo_proto::wire;
use raccordo_store::{StoreError, Tx};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) const CODE_LISTS: &str =
    "SELECT version, idx, recorded_us FROM proj_code_lists ORDER BY version LIMIT 10000";
pub(crate) const SYLLABI: &str = "SELECT syllabus, version, idx, title, area, recorded_us FROM proj_syllabus
    ORDER BY syllabus, version LIMIT 10000";
pub(crate) const KITS: &str =
    "SELECT kit, version, idx, leaf_hash, title, manifest, files, bytes, recorded_us,
    withdrawn, withdrawn_reason FROM proj_kit ORDER BY kit, version LIMIT 10000";
pub(crate) const PHASES: &str =
    "SELECT kit, version, phase, reached_us FROM proj_kit_phase ORDER BY kit, version, phase LIMIT 50000";
pub(crate) const ADOPTIONS: &str =
    "SELECT kit, version, state, reason FROM proj_adoption ORDER BY kit, version LIMIT 10000";

/// The statements of this room.
pub(crate) const STATEMENTS: &[&str] = &[CODE_LISTS, SYLLABI, KITS, PHASES, ADOPTIONS];

/// A kit version and how far it has come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitVersion {
    /// Which.
    pub kit: Versioned,
    /// The Hub's entry that publishes it and entitles us to its content.
    pub entry: EntryRef,
    /// Its title, Italian.
    pub title: String,
    /// The manifest of its files.
    pub manifest: ManifestDigest,
    /// Number of files.
    pub files: u64,
    /// Length of all files together, in bytes.
    pub bytes: u64,
    /// When it was published.
    pub published_us: i64,
    /// Why it must no longer be used; none: it may.
    pub withdrawn: Option<String>,
    /// The phases that our ledger tells, with when they were reached.
    pub phases: BTreeMap<KitPhase, i64>,
    /// What the region decided about it.
    pub adoption: Option<(KitAdoption, String)>,
}

impl KitVersion {
    /// The latest phase that was reached.
    pub fn phase(&self) -> Option<KitPhase> {
        self.phases.keys().next_back().copied()
    }
}

const ADOPTION_STATES: [KitAdoption; 4] = [
    KitAdoption::Acknowledged,
    KitAdoption::Adopted,
    KitAdoption::Localised,
    KitAdoption::NotApplicable,
];
const ALL_PHASES: [KitPhase; 4] = [
    KitPhase::Applied,
    KitPhase::ContentComplete,
    KitPhase::Serving,
    KitPhase::NoLongerServed,
];

/// The adoption state of this stable name (hyphens may stand for underscores).
pub fn adoption_state(name: &str) -> Option<KitAdoption> {
    let name = name.replace('-', "_");
    ADOPTION_STATES.into_iter().find(|state| state.as_str() == name)
}

/// Every kit version, by identifier and version.
pub async fn kits(tx: &mut Tx) -> Result<BTreeMap<Versioned, KitVersion>, StoreError> {
    type Row = (
        String,
        String,
        i64,
        Vec<u8>,
        String,
        Vec<u8>,
        i64,
        i64,
        i64,
        i64,
        String,
    );
    let rows: Vec<Row> = tx.query(KITS).fetch_all().await?;
    let mut kits = BTreeMap::new();
    for (kit, version, index, leaf, title, manifest, files, bytes, published_us, withdrawn, reason) in rows {
        let corrupt = |column| StoreError::Corrupt {
            table: "proj_kit",
            column,
            key: format!("{kit}@{version}"),
        };
        let id = versioned("proj_kit", &kit, &version)?;
        let row = KitVersion {
            kit: id.clone(),
            entry: EntryRef {
                node: NodeId::Hub,
                index: index as u64,
                leaf_hash: LeafHash::from_slice(&leaf).ok_or_else(|| corrupt("leaf_hash"))?,
            },
            title,
            manifest: ManifestDigest::from_slice(&manifest).ok_or_else(|| corrupt("manifest"))?,
            files: files as u64,
            bytes: bytes as u64,
            published_us,
            withdrawn: (withdrawn != 0).then_some(reason),
            phases: BTreeMap::new(),
            adoption: None,
        };
        kits.insert(id, row);
    }
    let rows: Vec<(String, String, String, i64)> = tx.query(PHASES).fetch_all().await?;
    for (kit, version, phase, reached_us) in rows {
        let id = versioned("proj_kit_phase", &kit, &version)?;
        let phase = ALL_PHASES.into_iter().find(|p| p.as_str() == phase);
        if let (Some(row), Some(phase)) = (kits.get_mut(&id), phase) {
            row.phases.insert(phase, reached_us);
        }
    }
    let rows: Vec<(String, String, String, String)> = tx.query(ADOPTIONS).fetch_all().await?;
    for (kit, version, state, reason) in rows {
        let id = versioned("proj_adoption", &kit, &version)?;
        if let (Some(row), Some(state)) = (kits.get_mut(&id), adoption_state(&state)) {
            row.adoption = Some((state, reason));
        }
    }
    Ok(kits)
}

/// One kit version, or a refusal that names those that there are.
pub async fn kit(tx: &mut Tx, id: &Versioned) -> Result<KitVersion, NodeError> {
    let mut kits = kits(tx).await?;
    if let Some(kit) = kits.remove(id) {
        return Ok(kit);
    }
    let known: BTreeSet<String> = kits
        .keys()
        .filter(|k| k.id == id.id)
        .map(ToString::to_string)
        .collect();
    let remedy = match known.is_empty() {
        true => {
            "see `catalogue list`; the centre may not have published it, or the exchange is behind".into()
        }
        false => format!("there is {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    };
    Err(Refusal::not_found(format_args!("there is no kit version {id} here"), remedy).into())
}

/// Everything that the centre published, for people and programs.
pub async fn list(tx: &mut Tx) -> Result<wire::Listing, NodeError> {
    let mut rows = Vec::new();
    let versions: Vec<(i64, i64, i64)> = tx.query(CODE_LISTS).fetch_all().await?;
    for (version, index, at) in versions {
        rows.push(row(
            ["code_lists", "CODE-LISTS"],
            version.to_string(),
            "Liste di codici",
            index,
            at,
        ));
    }
    let syllabi: Vec<(String, String, i64, String, String, i64)> = tx.query(SYLLABI).fetch_all().await?;
    for (syllabus, version, index, title, _, at) in syllabi {
        rows.push(row(["syllabus", &syllabus], version, &title, index, at));
    }
    for kit in kits(tx).await?.into_values() {
        let mut cells = row(
            ["kit", kit.kit.id.as_str()],
            kit.kit.version.to_string(),
            &kit.title,
            kit.entry.index as i64,
            kit.published_us,
        );
        let phase = kit.phase();
        let reached = phase.and_then(|p| kit.phases.get(&p)).copied();
        let (adoption, reason) = kit
            .adoption
            .map(|(s, r)| (s.as_str().to_owned(), r))
            .unwrap_or_default();
        cells[4] = phase.map(|p| p.as_str().to_owned()).unwrap_or_default();
        cells[5] = instant(reached);
        cells[6] = adoption;
        cells[7] = kit.withdrawn.is_some().to_string();
        cells[8] = kit.withdrawn.unwrap_or(reason);
        cells[9] = kit.files.to_string();
        cells[10] = kit.bytes.to_string();
        rows.push(cells);
    }
    let columns = [
        "kind",
        "id",
        "version",
        "title",
        "phase",
        "phase_at",
        "adoption",
        "withdrawn",
        "reason",
        "files",
        "bytes",
        "index",
        "published_at",
    ];
    Ok(listing(&columns, rows))
}

fn row([kind, id]: [&str; 2], version: String, title: &str, index: i64, at: i64) -> Vec<String> {
    let mut cells = vec![kind.to_owned(), id.to_owned(), version, title.to_owned()];
    cells.resize(11, String::new());
    cells.extend([index.to_string(), instant(Some(at))]);
    cells
}

fn versioned(table: &'static str, kit: &str, version: &str) -> Result<Versioned, StoreError> {
    let key = format!("{kit}@{version}");
    Ok(Versioned {
        id: records::stored(table, "kit", &key, kit)?,
        version: records::stored(table, "version", &key, version)?,
    })
}
