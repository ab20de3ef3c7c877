//! Syllabi: `proj_syllabus`.

use super::{Known, code_lists, decide};
use crate::{
    listing::{Listing, instant},
    projector::content_of,
    receipt::{Receipt, reference, subject},
};
use raccordo_model::{
    edition::Versioned,
    entry::{Actor, Entry, EntryRef, Subject},
    node::NodeId,
    scope::Scope,
    syllabus::Syllabus,
};
use raccordo_node::{Node, NodeError, journal::Draft, projection::ApplyError, status::Refusal};
use raccordo_proto::body::Act;
use raccordo_store::{StoreError, Tx};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_syllabus (id, version, content, title, area, level, minutes, idx, recorded_us)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
pub(crate) const GET: &str = "SELECT idx, content FROM proj_syllabus WHERE id = $1 AND version = $2";
pub(crate) const LIST: &str = "SELECT id, version, title, area, level, minutes, idx, recorded_us
    FROM proj_syllabus ORDER BY id, idx LIMIT 10000";

/// Publishes every syllabus of a document, all or none.
pub async fn publish(node: &Node, actor: Actor, text: &str, file: &str) -> Result<Vec<Receipt>, NodeError> {
    let mut act = node.act().await?;
    let codes = code_lists::latest(act.tx()).await?;
    let syllabi = Syllabus::parse_yaml(text, file, &codes)
        .map_err(|e| Refusal::invalid(e, "correct the document where it is named"))?;
    let mut done: Vec<(EntryRef, Subject, String, bool)> = Vec::new();
    for syllabus in syllabi {
        let what = syllabus.syllabus.clone();
        let about = subject(format!("syllabus/{}", what.id))?;
        let body = Act::SyllabusPublished(syllabus);
        let known = find(act.tx(), &what).await?;
        if let Some(index) = decide(known, &content_of(&body), format!("syllabus {what}"))? {
            let entry = reference(act.tx(), NodeId::Hub, index).await?;
            done.push((
                entry,
                about,
                format!("Il syllabus {what} era già pubblicato."),
                true,
            ));
            continue;
        }
        let draft = Draft::new(body, about.clone(), Scope::Public, vec![actor.clone()]);
        done.push((
            act.append(draft).await?,
            about,
            format!("Syllabus {what} pubblicato."),
            false,
        ));
    }
    let committed = act.commit().await?;
    let receipt = |(entry, about, text, repeated): (EntryRef, Subject, String, bool)| Receipt {
        repeated,
        ..Receipt::done(entry, &committed, &about, text)
    };
    Ok(done.into_iter().map(receipt).collect())
}

/// The entry of a published version.
pub async fn find(tx: &mut Tx, syllabus: &Versioned) -> Result<Option<Known>, StoreError> {
    let query = tx
        .query(GET)
        .bind(syllabus.id.to_string())
        .bind(syllabus.version.to_string());
    let row: Option<(i64, Vec<u8>)> = query.fetch_optional().await?;
    Ok(row.map(|(index, content)| Known {
        index: index as u64,
        content,
    }))
}

/// Every published version.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    type Row = (String, String, String, String, String, i64, i64, i64);
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&[
        "id",
        "version",
        "title",
        "area",
        "level",
        "minutes",
        "index",
        "published_at",
    ]);
    for (id, version, title, area, level, minutes, index, at) in rows {
        listing.push(vec![
            id,
            version,
            title,
            area,
            level,
            minutes.to_string(),
            index.to_string(),
            instant(Some(at)),
        ]);
    }
    Ok(listing)
}

/// Applies `syllabus.published`.
pub async fn apply(tx: &mut Tx, entry: &Entry, act: &Act, syllabus: &Syllabus) -> Result<(), ApplyError> {
    tx.query(INSERT)
        .bind(syllabus.syllabus.id.to_string())
        .bind(syllabus.syllabus.version.to_string())
        .bind(content_of(act))
        .bind(syllabus.title.it.clone())
        .bind(syllabus.area.to_string())
        .bind(syllabus.level.to_string())
        .bind(i64::from(syllabus.minutes()))
        .bind(entry.index as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}
