//! Versions of the code lists: `proj_code_lists`.

use super::{Known, decide};
use crate::{
    listing::{Listing, instant},
    receipt::{Receipt, subject},
};
use raccordo_model::{
    entry::{Actor, Entry},
    scope::Scope,
    taxonomy::CodeLists,
};
use raccordo_node::{Node, NodeError, journal::Draft, projection::ApplyError, status::Refusal};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_code_lists (version, yaml, idx, recorded_us) VALUES ($1, $2, $3, $4)";
pub(crate) const GET: &str = "SELECT yaml, idx FROM proj_code_lists WHERE version = $1";
pub(crate) const LATEST: &str = "SELECT version FROM proj_code_lists ORDER BY version DESC LIMIT 1";
pub(crate) const LIST: &str =
    "SELECT version, idx, recorded_us FROM proj_code_lists ORDER BY version LIMIT 1000";

/// Publishes the code lists in a document.
pub async fn publish(node: &Node, actor: Actor, text: &str, file: &str) -> Result<Receipt, NodeError> {
    let codes = CodeLists::parse_yaml(text, file)
        .map_err(|e| Refusal::invalid(e, "correct the document where it is named"))?;
    let about = subject("code-lists".into())?;
    let mut act = node.act().await?;
    let known = find(act.tx(), codes.version()).await?;
    let latest = latest_version(act.tx()).await?;
    let version = codes.version();
    if let Some(index) = decide_version(known, latest, &codes)? {
        return Receipt::repeated(
            act.tx(),
            index,
            &about,
            format!("Le liste di codici {version} erano già pubblicate."),
        )
        .await;
    }
    let draft = Draft::new(
        Act::CodeListsPublished(codes),
        about.clone(),
        Scope::Public,
        vec![actor],
    );
    let entry = act.append(draft).await?;
    let committed = act.commit().await?;
    Ok(Receipt::done(
        entry,
        &committed,
        &about,
        format!("Liste di codici {version} pubblicate."),
    ))
}

/// The rule: a version is published once, versions only grow, and version 1 is the one that every
/// program carries.
fn decide_version(
    known: Option<Known>,
    latest: Option<u32>,
    codes: &CodeLists,
) -> Result<Option<u64>, Refusal> {
    let version = codes.version();
    if let Some(index) = decide(
        known,
        codes.yaml().as_bytes(),
        format!("version {version} of the code lists"),
    )? {
        return Ok(Some(index));
    }
    if let Some(latest) = latest.filter(|latest| *latest > version) {
        return Err(Refusal::precondition(
            format!("version {latest} of the code lists is published: {version} is older"),
            format!("number it {} or higher", latest.saturating_add(1)),
        ));
    }
    if version == CodeLists::builtin().version() && codes != CodeLists::builtin() {
        return Err(Refusal::conflict(
            format!("version {version} of the code lists is compiled into every node with other content"),
            "publish the changes under a new version",
        ));
    }
    Ok(None)
}

/// The code lists of this version: a published one, or the one that every program carries.
pub async fn get(tx: &mut Tx, version: u32) -> Result<Option<CodeLists>, StoreError> {
    if version == CodeLists::builtin().version() {
        return Ok(Some(CodeLists::builtin().clone()));
    }
    let row: Option<(String, i64)> = tx.query(GET).bind(i64::from(version)).fetch_optional().await?;
    let corrupt = || StoreError::Corrupt {
        table: "proj_code_lists",
        column: "yaml",
        key: version.to_string(),
    };
    row.map(|(yaml, _)| CodeLists::parse_yaml(&yaml, "code lists").map_err(|_| corrupt()))
        .transpose()
}

/// The code lists in force.
pub async fn latest(tx: &mut Tx) -> Result<CodeLists, StoreError> {
    let version = latest_version(tx)
        .await?
        .unwrap_or(CodeLists::builtin().version());
    Ok(get(tx, version)
        .await?
        .unwrap_or_else(|| CodeLists::builtin().clone()))
}

/// Every published version.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    let rows: Vec<(i64, i64, i64)> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&["version", "index", "published_at"]);
    for (version, index, at) in rows {
        listing.push(vec![version.to_string(), index.to_string(), instant(Some(at))]);
    }
    Ok(listing)
}

/// Applies `code_lists.published`.
pub async fn apply(tx: &mut Tx, entry: &Entry, codes: &CodeLists) -> Result<(), ApplyError> {
    tx.query(INSERT)
        .bind(i64::from(codes.version()))
        .bind(codes.yaml().to_owned())
        .bind(entry.index as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

async fn find(tx: &mut Tx, version: u32) -> Result<Option<Known>, StoreError> {
    let row: Option<(String, i64)> = tx.query(GET).bind(i64::from(version)).fetch_optional().await?;
    Ok(row.map(|(yaml, index)| Known {
        index: index as u64,
        content: yaml.into_bytes(),
    }))
}

async fn latest_version(tx: &mut Tx) -> Result<Option<u32>, StoreError> {
    let row: Option<(i64,)> = tx.query(LATEST).fetch_optional().await?;
    Ok(row.map(|(version,)| version as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_node::status::RefusalKind;

    fn codes(version: u32, extra: &str) -> CodeLists {
        let yaml = CodeLists::builtin()
            .yaml()
            .replacen("version: 1", &format!("version: {version}"), 1);
        CodeLists::parse_yaml(&format!("{yaml}{extra}"), "c.yaml").unwrap()
    }

    #[test]
    fn versions_grow_and_the_first_is_everybodys() {
        assert_eq!(decide_version(None, None, &codes(1, "")), Ok(None));
        assert_eq!(decide_version(None, Some(1), &codes(2, "")), Ok(None));
        let changed = decide_version(None, None, &codes(1, "# changed\n")).unwrap_err();
        assert_eq!(changed.kind, RefusalKind::Conflict);
        let older = decide_version(None, Some(3), &codes(2, "")).unwrap_err();
        assert!(older.remedy.contains('4'), "{older}");
    }
}
