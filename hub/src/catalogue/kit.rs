//! Training kits: `proj_kit`. A version is a tree of files, named by the manifest in the entry's header.

use super::{Known, decide, syllabus};
use crate::{
    listing::{Listing, instant},
    plans::text_of_people,
    projector::content_of,
    receipt::{Receipt, subject},
};
use raccordo_content::{PackStore, Progress, manifest_digest, publish_folder};
use raccordo_model::{
    digest::ManifestDigest,
    edition::Versioned,
    entry::{Actor, Entry},
    kit::{Kit, KitDescriptor},
    scope::Scope,
};
use raccordo_node::{Node, NodeError, journal::Draft, projection::ApplyError, status::Refusal};
use raccordo_proto::{body::Act, content::encode_manifest};
use raccordo_store::{StoreError, Tx};
use std::path::{Path, PathBuf};

pub(crate) const INSERT: &str =
    "INSERT INTO proj_kit (id, version, content, title, syllabus, manifest, files, bytes, idx, recorded_us, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '')";
pub(crate) const GET: &str =
    "SELECT idx, content, withdrawn_idx, reason FROM proj_kit WHERE id = $1 AND version = $2";
pub(crate) const WITHDRAW: &str = "UPDATE proj_kit SET withdrawn_idx = $3, reason = $4 WHERE id = $1 AND version = $2 AND withdrawn_idx IS NULL";
pub(crate) const LIST: &str = "SELECT id, version, title, syllabus, files, bytes, manifest, idx, recorded_us,
    withdrawn_idx, reason FROM proj_kit ORDER BY id, idx LIMIT 10000";

/// A published version, as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Published {
    known: Known,
    withdrawn: Option<(u64, String)>,
}

/// Cuts the files of `folder` into content and publishes them as the kit version that the descriptor names.
/// `data` is the node's own folder: nothing of it, keys least of all, is published.
///
/// Chunks are stored before the entry: if we die between the two, they belong to nobody and are found by
/// the next try.
pub async fn publish(
    node: &Node,
    (packs, data): (&PackStore, &Path),
    actor: Actor,
    descriptor: &KitDescriptor,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Receipt, NodeError> {
    let kit = descriptor.kit.clone();
    check_syllabus(node, descriptor).await?;
    if !folder.is_absolute() {
        let text = format!("`{}` is not an absolute path", folder.display());
        return Err(Refusal::invalid(text, "give the whole path of the folder on the Hub's machine").into());
    }
    let (folder, data) = (canonical(folder)?, canonical(data)?);
    not_of_the_node(&folder, &data)?;
    let manifest = publish_folder(&folder, packs, progress)
        .await
        .map_err(|e| Refusal::invalid(e, "the node must be able to read the folder on its own machine"))?;
    let encoded = encode_manifest(&manifest);
    let digest = manifest_digest(&encoded);
    packs
        .put_manifest(&digest, &encoded)
        .await
        .map_err(|e| Refusal::internal(&e))?;
    let body = Act::KitPublished(Kit {
        descriptor: descriptor.clone(),
        manifest: digest,
        files: manifest.files().len() as u64,
        bytes: manifest.total_bytes(),
    });
    let about = subject(format!("kit/{}", kit.id))?;
    let mut act = node.act().await?;
    let known = find(act.tx(), &kit).await?.map(|published| published.known);
    if let Some(index) = decide(known, &content_of(&body), format!("kit {kit}"))? {
        return Receipt::repeated(
            act.tx(),
            index,
            &about,
            format!("Il kit {kit} era già pubblicato."),
        )
        .await;
    }
    let mut draft = Draft::new(body, about.clone(), Scope::Public, vec![actor]);
    draft.content = vec![digest];
    draft.depends_on = vec![subject(format!("syllabus/{}", descriptor.syllabus.id))?];
    let entry = act.append(draft).await?;
    let committed = act.commit().await?;
    Ok(Receipt::done(
        entry,
        &committed,
        &about,
        format!("Kit {kit} pubblicato."),
    ))
}

/// Where a folder really is: symbolic links and `..` resolved, so that paths can be compared.
fn canonical(folder: &Path) -> Result<PathBuf, Refusal> {
    folder.canonicalize().map_err(|e| {
        Refusal::invalid(
            format!("`{}`: {e}", folder.display()),
            "the node must be able to read the folder on its own machine",
        )
    })
}

/// The rule of what may be published: a folder that shares nothing with the node's own, which holds its keys
/// and accounts. Both paths are canonical.
fn not_of_the_node(folder: &Path, data: &Path) -> Result<(), Refusal> {
    if !folder.starts_with(data) && !data.starts_with(folder) {
        return Ok(());
    }
    Err(Refusal::forbidden(
        format!(
            "`{}` is, holds or lies inside the node's data folder: its keys would be published",
            folder.display()
        ),
        "copy the files of the kit to a folder of their own and publish that",
    ))
}

/// Withdraws a version: it must no longer be used. Nothing is deleted.
pub async fn withdraw(node: &Node, actor: Actor, kit: Versioned, reason: &str) -> Result<Receipt, NodeError> {
    let reason = text_of_people("reason", reason, true)?;
    let about = subject(format!("kit/{}", kit.id))?;
    let mut act = node.act().await?;
    let published = find(act.tx(), &kit).await?;
    if let Some(index) = decide_withdrawal(published, &kit, &reason)? {
        return Receipt::repeated(act.tx(), index, &about, format!("Il kit {kit} era già ritirato.")).await;
    }
    let text = format!("Kit {kit} ritirato.");
    let body = Act::KitWithdrawn { kit, reason };
    let entry = act
        .append(Draft::new(body, about.clone(), Scope::Public, vec![actor]))
        .await?;
    let committed = act.commit().await?;
    Ok(Receipt::done(entry, &committed, &about, text))
}

fn decide_withdrawal(
    published: Option<Published>,
    kit: &Versioned,
    reason: &str,
) -> Result<Option<u64>, Refusal> {
    match published {
        None => Err(Refusal::not_found(
            format!("kit {kit} was never published"),
            "see `kit list`",
        )),
        Some(Published { withdrawn: None, .. }) => Ok(None),
        Some(Published {
            withdrawn: Some((index, given)),
            ..
        }) if given == reason => Ok(Some(index)),
        Some(Published {
            withdrawn: Some((index, _)),
            ..
        }) => Err(Refusal::conflict(
            format!("kit {kit} was withdrawn for another reason (entry hub/{index})"),
            "a withdrawal is not changed",
        )),
    }
}

async fn check_syllabus(node: &Node, descriptor: &KitDescriptor) -> Result<(), NodeError> {
    let mut tx = node.db.read().await?;
    if syllabus::find(&mut tx, &descriptor.syllabus).await?.is_some() {
        return Ok(());
    }
    Err(Refusal::precondition(
        format!(
            "the kit teaches syllabus {}, which is not published",
            descriptor.syllabus
        ),
        "publish the syllabus first, or correct the descriptor",
    )
    .into())
}

/// Every published version.
pub async fn list(tx: &mut Tx) -> Result<Listing, StoreError> {
    type Row = (
        String,
        String,
        String,
        String,
        i64,
        i64,
        Vec<u8>,
        i64,
        i64,
        Option<i64>,
        String,
    );
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    let mut listing = Listing::new(&[
        "kit",
        "version",
        "title",
        "syllabus",
        "files",
        "bytes",
        "digest",
        "index",
        "published_at",
        "withdrawn",
        "reason",
    ]);
    for (id, version, title, syllabus, files, bytes, manifest, index, at, withdrawn, reason) in rows {
        listing.push(vec![
            id,
            version,
            title,
            syllabus,
            files.to_string(),
            bytes.to_string(),
            hex::encode(manifest),
            index.to_string(),
            instant(Some(at)),
            withdrawn.is_some().to_string(),
            reason,
        ]);
    }
    Ok(listing)
}

/// Identifier and version of every published version, in the order of publication.
pub async fn versions(tx: &mut Tx) -> Result<Vec<(String, String)>, StoreError> {
    type Row = (
        String,
        String,
        String,
        String,
        i64,
        i64,
        Vec<u8>,
        i64,
        i64,
        Option<i64>,
        String,
    );
    let rows: Vec<Row> = tx.query(LIST).fetch_all().await?;
    Ok(rows.into_iter().map(|row| (row.0, row.1)).collect())
}

/// Applies `kit.published`.
pub async fn apply_published(tx: &mut Tx, entry: &Entry, act: &Act, kit: &Kit) -> Result<(), ApplyError> {
    let ManifestDigest(manifest) = kit.manifest;
    if entry.header.content != [kit.manifest] {
        return Err(ApplyError::refused(
            "the header does not name the manifest of the kit",
            "publish the kit again under a new version",
        ));
    }
    tx.query(INSERT)
        .bind(kit.descriptor.kit.id.to_string())
        .bind(kit.descriptor.kit.version.to_string())
        .bind(content_of(act))
        .bind(kit.descriptor.title.it.clone())
        .bind(kit.descriptor.syllabus.to_string())
        .bind(manifest.to_vec())
        .bind(kit.files as i64)
        .bind(kit.bytes as i64)
        .bind(entry.index as i64)
        .bind(entry.header.recorded_at.0)
        .execute()
        .await?;
    Ok(())
}

/// Applies `kit.withdrawn`.
pub async fn apply_withdrawn(
    tx: &mut Tx,
    entry: &Entry,
    kit: &Versioned,
    reason: &str,
) -> Result<(), ApplyError> {
    let query = tx
        .query(WITHDRAW)
        .bind(kit.id.to_string())
        .bind(kit.version.to_string());
    match query
        .bind(entry.index as i64)
        .bind(reason.to_owned())
        .execute()
        .await?
    {
        1 => Ok(()),
        _ => Err(ApplyError::refused(
            format!("kit {kit} is not there, or was withdrawn before"),
            "see `kit list`",
        )),
    }
}

async fn find(tx: &mut Tx, kit: &Versioned) -> Result<Option<Published>, StoreError> {
    let query = tx
        .query(GET)
        .bind(kit.id.to_string())
        .bind(kit.version.to_string());
    let row: Option<(i64, Vec<u8>, Option<i64>, String)> = query.fetch_optional().await?;
    Ok(row.map(|(index, content, withdrawn, reason)| Published {
        known: Known {
            index: index as u64,
            content,
        },
        withdrawn: withdrawn.map(|index| (index as u64, reason)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use raccordo_node::status::RefusalKind;

    #[test]
    fn nothing_of_the_nodes_own_folder_is_published() {
        let place = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let folder = place.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            canonical(&folder).unwrap()
        };
        let (data, inside, kit, alike) = (of("data"), of("data/packs"), of("kit"), of("data-kit"));
        let whole = canonical(place.path()).unwrap();
        for folder in [&data, &inside, &whole, &canonical(&kit.join("../data")).unwrap()] {
            let kind = not_of_the_node(folder, &data).map_err(|refusal| refusal.kind);
            assert_eq!(kind, Err(RefusalKind::Forbidden), "{}", folder.display());
        }
        // A neighbour whose name only begins alike is not inside.
        for folder in [&kit, &alike] {
            assert_eq!(not_of_the_node(folder, &data), Ok(()), "{}", folder.display());
        }
        #[cfg(unix)]
        {
            let link = place.path().join("link");
            std::os::unix::fs::symlink(&data, &link).unwrap();
            assert!(not_of_the_node(&canonical(&link).unwrap(), &data).is_err());
        }
        assert_eq!(
            canonical(&place.path().join("absent")).unwrap_err().kind,
            RefusalKind::InvalidInput
        );
    }

    #[test]
    fn a_version_is_withdrawn_once() {
        let kit: Versioned = "KIT@1.0.0".parse().unwrap();
        let published = |withdrawn: Option<(u64, &str)>| {
            let withdrawn = withdrawn.map(|(index, reason)| (index, reason.to_owned()));
            Some(Published {
                known: Known {
                    index: 3,
                    content: vec![],
                },
                withdrawn,
            })
        };
        assert_eq!(decide_withdrawal(published(None), &kit, "errori"), Ok(None));
        assert_eq!(
            decide_withdrawal(published(Some((9, "errori"))), &kit, "errori"),
            Ok(Some(9))
        );
        let kind = |published| decide_withdrawal(published, &kit, "errori").unwrap_err().kind;
        assert_eq!(kind(published(Some((9, "altro")))), RefusalKind::Conflict);
        assert_eq!(kind(None), RefusalKind::NotFound);
    }
}
