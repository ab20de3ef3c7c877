//! Executive Plans (PEs): what regions shared (`proj_pe`), and the centre's observations
//! (`proj_pe_observation`). The centre analyses PEs; it does not approve them, so there is no gate here.

use super::{
    po::{approved_plan, read_act},
    text_of_people,
};
use crate::{
    catalogue::code_lists,
    listing::{Listing, Sheet, instant},
    receipt::{Receipt, missing, reference, subject},
};
use raccordo_model::{
    entry::{Actor, Entry, EntryRef},
    executive_plan::{ExecutivePlan, InterventionOrigin, check_against_po},
    finding::Finding,
    node::{NodeId, RegionCode},
    scope::Scope,
};
use raccordo_node::{Node, NodeError, journal::Draft, projection::ApplyError, status::Refusal};
use raccordo_proto::body::{Act, OBSERVATIONS_MAX, Observation};
use raccordo_store::{StoreError, Tx};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_pe (region, year, version, idx, leaf, po_version, interventions,
    recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
pub(crate) const LATEST: &str =
    "SELECT version, idx FROM proj_pe WHERE region = $1 AND year = $2 ORDER BY version DESC LIMIT 1";
pub(crate) const GET: &str = "SELECT idx FROM proj_pe WHERE region = $1 AND year = $2 AND version = $3";
pub(crate) const AT: &str = "SELECT year, version, leaf FROM proj_pe WHERE region = $1 AND idx = $2";
pub(crate) const LIST: &str =
    "SELECT p.region, p.year, p.version, p.po_version, p.interventions, p.recorded_us,
    (SELECT COUNT(*) FROM proj_pe_observation o WHERE o.region = p.region AND o.year = p.year
        AND o.version = p.version) AS observations
    FROM proj_pe p ORDER BY p.region, p.year, p.version LIMIT 10000";
pub(crate) const OBSERVE: &str =
    "INSERT INTO proj_pe_observation (idx, place, region, year, version, intervention,
    text, institution, recorded_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(crate) const OBSERVATIONS: &str = "SELECT idx, intervention, text, institution, recorded_us
    FROM proj_pe_observation WHERE region = $1 AND year = $2 AND version = $3 ORDER BY idx, place LIMIT 10000";

type ObservationRow = (i64, String, String, String, i64);

/// Sends observations on the latest version of a region's PE of a year.
pub async fn observe(
    node: &Node,
    actor: Actor,
    region: RegionCode,
    year: i16,
    observations: Vec<Observation>,
) -> Result<Receipt, NodeError> {
    let about = subject(format!("pe/{region}/{year}"))?;
    let observations = checked(observations)?;
    let mut act = node.act().await?;
    let (version, plan) = latest(act.tx(), region, year).await?;
    let shared = read_plan(act.tx(), region, plan).await?;
    decide(&shared, &observations)?;
    let known = observations_of(act.tx(), region, year, version).await?;
    if let Some(index) = repeated(&known, &observations) {
        let text = format!("Le osservazioni sul PE {year} della regione {region} erano già registrate.");
        return Receipt::repeated(act.tx(), index, &about, text).await;
    }
    let submission = reference(act.tx(), NodeId::Region(region), plan).await?;
    let body = Act::PeObservation {
        submission,
        observations,
    };
    let entry = act
        .append(Draft::new(
            body,
            about.clone(),
            Scope::region(region),
            vec![actor],
        ))
        .await?;
    let committed = act.commit().await?;
    let text = format!("Osservazioni sul PE {year} della regione {region}, versione {version}, registrate.");
    Ok(Receipt::done(entry, &committed, &about, text))
}

fn checked(observations: Vec<Observation>) -> Result<Vec<Observation>, Refusal> {
    if observations.is_empty() || observations.len() > OBSERVATIONS_MAX {
        let text = format!(
            "{} observations, 1 to {OBSERVATIONS_MAX} are allowed",
            observations.len()
        );
        return Err(Refusal::invalid(text, "give the text of an observation"));
    }
    let text = |o: Observation| {
        let text = text_of_people("text", &o.text, true)?;
        Ok(Observation { text, ..o })
    };
    observations.into_iter().map(text).collect()
}

/// The rule: an observation is on the whole plan or on an intervention that the plan has.
fn decide(plan: &ExecutivePlan, observations: &[Observation]) -> Result<(), Refusal> {
    match observations
        .iter()
        .filter_map(|o| o.intervention.as_ref())
        .find(|id| plan.intervention(id).is_none())
    {
        None => Ok(()),
        Some(id) => Err(Refusal::not_found(
            format!(
                "the PE {} of region {} has no intervention `{id}`",
                plan.year, plan.region
            ),
            format!("see `pe show {} {}`", plan.region, plan.year),
        )),
    }
}

/// The entry that holds all of these observations already.
fn repeated(known: &[ObservationRow], observations: &[Observation]) -> Option<u64> {
    let says = |index: i64, wanted: &Observation| {
        let intervention = wanted.intervention.as_ref().map_or("", |id| id.as_str());
        known
            .iter()
            .any(|row| row.0 == index && row.1 == intervention && row.2 == wanted.text)
    };
    let mut indexes = known.iter().map(|row| row.0);
    indexes
        .find(|index| observations.iter().all(|o| says(*index, o)))
        .map(|index| index as u64)
}

/// Whether this version was shared.
pub async fn is_shared(tx: &mut Tx, region: RegionCode, year: i16, version: u32) -> Result<bool, StoreError> {
    let query = tx
        .query(GET)
        .bind(region.to_string())
        .bind(i64::from(year))
        .bind(i64::from(version));
    Ok(query.fetch_optional::<(i64,)>().await?.is_some())
}

/// Every shared version.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    type Row = (String, i64, i64, i64, i64, i64, i64);
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&[
        "region",
        "year",
        "version",
        "po_version",
        "interventions",
        "submitted_at",
        "observations",
    ]);
    for (region, year, version, po, interventions, at, observations) in rows {
        let numbers = [year, version, po, interventions].map(|n| n.to_string());
        let [year, version, po, interventions] = numbers;
        let at = instant(Some(at));
        listing.push(vec![
            region,
            year,
            version,
            po,
            interventions,
            at,
            observations.to_string(),
        ]);
    }
    Ok(listing)
}

/// The latest version of a year, whole, with the observations on it.
pub async fn show(tx: &mut Tx, region: RegionCode, year: i16) -> Result<Sheet, NodeError> {
    let (version, index) = latest(tx, region, year).await?;
    let plan = read_plan(tx, region, index).await?;
    let observations = observations_of(tx, region, year, version).await?;
    let mut facts = vec![
        ("region", region.to_string()),
        ("year", year.to_string()),
        ("version", version.to_string()),
        ("po_version", plan.po_version.to_string()),
        ("submission", format!("{region}/{index}")),
    ];
    facts.extend(
        observations
            .into_iter()
            .map(|(index, intervention, text, institution, at)| {
                let on = if intervention.is_empty() {
                    "piano intero"
                } else {
                    &intervention
                };
                (
                    "observations",
                    format!("hub/{index} {institution} {} [{on}] {text}", instant(Some(at))),
                )
            }),
    );
    let mut rows = Listing::new(&[
        "intervention",
        "title",
        "level",
        "area",
        "targets",
        "instrument",
        "people",
        "start",
        "end",
        "additional",
    ]);
    for i in plan.interventions {
        let targets: Vec<String> = i.targets.iter().map(ToString::to_string).collect();
        rows.push(vec![
            i.id.to_string(),
            i.title,
            i.level.to_string(),
            i.area.to_string(),
            targets.join(" "),
            i.instrument.to_string(),
            i.audience.map_or(String::new(), |n| n.to_string()),
            i.start.map_or(String::new(), |d| d.to_string()),
            i.end.map_or(String::new(), |d| d.to_string()),
            matches!(i.origin, InterventionOrigin::Additional(_)).to_string(),
        ]);
    }
    Ok(Sheet {
        facts: Listing::facts(facts),
        rows,
    })
}

/// Applies `pe.shared`: versions of a year grow by one, and the plan is pinned to a version of the PO that
/// was approved. A region learns of an approval from the Hub's ledger alone, so it cannot be ahead of it.
pub async fn apply_shared(tx: &mut Tx, entry: &Entry, plan: &ExecutivePlan) -> Result<(), ApplyError> {
    let query = tx
        .query(LATEST)
        .bind(plan.region.to_string())
        .bind(i64::from(plan.year));
    let last: Option<(i64, i64)> = query.fetch_optional().await?;
    let next = last.map_or(1, |(version, _)| version + 1);
    if i64::from(plan.version) != next {
        return Err(ApplyError::refused(
            format!(
                "version {} of the plan of {} does not follow version {}",
                plan.version,
                plan.year,
                next - 1
            ),
            format!("share the plan as version {next}"),
        ));
    }
    check(tx, plan).await?;
    tx.query(INSERT)
        .bind(plan.region.to_string())
        .bind(i64::from(plan.year))
        .bind(i64::from(plan.version))
        .bind(entry.index as i64)
        .bind(entry.leaf_hash.0.to_vec())
        .bind(i64::from(plan.po_version))
        .bind(plan.interventions.len() as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

async fn check(tx: &mut Tx, plan: &ExecutivePlan) -> Result<(), ApplyError> {
    let remedy = "correct the plan and share it anew";
    let po = approved_plan(tx, plan.region, plan.po_version)
        .await
        .map_err(unreadable)?
        .ok_or_else(|| {
            ApplyError::refused(
                format!(
                    "version {} of the Operational Plan is not approved",
                    plan.po_version
                ),
                "pin the plan to an approved version",
            )
        })?;
    let codes = code_lists::get(tx, plan.code_lists).await?.ok_or_else(|| {
        ApplyError::refused(
            format!("version {} of the code lists does not exist", plan.code_lists),
            remedy,
        )
    })?;
    let findings = check_against_po(plan, &po).into_iter().chain(plan.check(&codes));
    match findings.filter(Finding::is_error).map(|f| f.to_string()).next() {
        None => Ok(()),
        Some(finding) => Err(ApplyError::refused(finding, remedy)),
    }
}

/// Applies `pe.observation`.
pub async fn apply_observation(
    tx: &mut Tx,
    entry: &Entry,
    submission: &EntryRef,
    observations: &[Observation],
) -> Result<(), ApplyError> {
    let refused = || {
        ApplyError::refused(
            format!("{submission} is no shared plan that is held here"),
            "observe on a shared plan",
        )
    };
    let region = submission.node.region().ok_or_else(refused)?;
    let query = tx
        .query(AT)
        .bind(region.to_string())
        .bind(submission.index as i64);
    let row: Option<(i64, i64, Vec<u8>)> = query.fetch_optional().await?;
    let (year, version, _) = row
        .filter(|row| row.2.as_slice() == submission.leaf_hash.0)
        .ok_or_else(refused)?;
    let institution = entry
        .header
        .actors
        .first()
        .map_or(String::new(), |a| a.institution.clone());
    for (place, observation) in observations.iter().enumerate() {
        tx.query(OBSERVE)
            .bind(entry.index as i64)
            .bind(place as i64)
            .bind(region.to_string())
            .bind(year)
            .bind(version)
            .bind(
                observation
                    .intervention
                    .as_ref()
                    .map_or(String::new(), |id| id.to_string()),
            )
            .bind(observation.text.clone())
            .bind(institution.clone())
            .bind(entry.header.recorded_at.0)
            .execute()
            .await?;
    }
    Ok(())
}

/// What a plan's own entry says can be read, or the database is damaged.
pub(crate) fn unreadable(error: NodeError) -> ApplyError {
    match error {
        NodeError::Store(error) => ApplyError::Store(error),
        other => ApplyError::refused(other.to_string(), "run `verify`"),
    }
}

async fn latest(tx: &mut Tx, region: RegionCode, year: i16) -> Result<(u32, u64), NodeError> {
    let query = tx.query(LATEST).bind(region.to_string()).bind(i64::from(year));
    let row: Option<(i64, i64)> = query.fetch_optional().await?;
    let (version, index) = row.ok_or_else(|| {
        Refusal::not_found(format!("region {region} shared no PE of {year}"), "see `pe list`")
    })?;
    Ok((version as u32, index as u64))
}

async fn read_plan(tx: &mut Tx, region: RegionCode, index: u64) -> Result<ExecutivePlan, NodeError> {
    match read_act(tx, NodeId::Region(region), index).await? {
        Some(Act::PeShared(plan)) => Ok(plan),
        _ => Err(missing(NodeId::Region(region), index)),
    }
}

async fn observations_of(
    tx: &mut Tx,
    region: RegionCode,
    year: i16,
    version: u32,
) -> Result<Vec<ObservationRow>, StoreError> {
    let query = tx
        .query(OBSERVATIONS)
        .bind(region.to_string())
        .bind(i64::from(year));
    query.bind(i64::from(version)).fetch_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_observations_are_recorded_once() {
        let row = |index, intervention: &str, text: &str| {
            (index, intervention.into(), text.into(), "MDS".into(), 0)
        };
        let known = [row(4, "", "bene"), row(9, "TOS-1", "date?"), row(9, "", "costi?")];
        let on = |intervention: Option<&str>, text: &str| Observation {
            intervention: intervention.map(|id| id.parse().unwrap()),
            text: text.into(),
        };
        assert_eq!(repeated(&known, &[on(None, "bene")]), Some(4));
        assert_eq!(
            repeated(&known, &[on(None, "costi?"), on(Some("TOS-1"), "date?")]),
            Some(9)
        );
        assert_eq!(repeated(&known, &[on(Some("TOS-1"), "bene")]), None);
        assert_eq!(repeated(&known, &[on(None, "bene"), on(None, "costi?")]), None);
    }
}
