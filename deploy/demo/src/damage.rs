//! Damage to copies of data folders: what the shipped `verify` must refuse, and by name.

use anyhow::{Context as _, Result, bail};
use raccordo_store::Db;
use std::{fs, path::Path};

/// An entry of a ledger: (ledger, index).
pub(crate) type At = (String, i64);

/// What is done to a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Nothing: the copy itself must be no reason to refuse.
    None,
    /// One bit of a body.
    FlippedByte,
    /// A body is deleted.
    MissingBody,
    /// An entry is deleted with its body.
    DeletedEntry,
    /// The Hub's figures of the region are deleted from the projections.
    MissingFigure,
}

/// Copies a stopped node's folder. Files of content are linked, not copied: nobody writes them here.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    copy(from, to, false).with_context(|| format!("copia di {}", from.display()))
}

fn copy(from: &Path, to: &Path, content: bool) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target, content || entry.file_name() == "content")?;
        } else if !content || fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Does the damage to the database of a copied folder; `at` is the entry that it hits.
pub(crate) async fn damage(folder: &Path, damage: Damage, at: &At) -> Result<()> {
    let db = open(folder).await?;
    let mut tx = db.write().await?;
    let (ledger, index) = at.clone();
    let changed = match damage {
        Damage::None => 1,
        Damage::FlippedByte => {
            let (mut stored,): (Vec<u8>,) = tx
                .query("SELECT stored FROM ledger_body WHERE ledger = $1 AND idx = $2")
                .bind(ledger.clone())
                .bind(index)
                .fetch_one()
                .await?;
            if let Some(byte) = stored.last_mut() {
                *byte ^= 1;
            }
            let update = tx.query("UPDATE ledger_body SET stored = $1 WHERE ledger = $2 AND idx = $3");
            update.bind(stored).bind(ledger).bind(index).execute().await?
        }
        Damage::MissingBody => {
            let delete = tx.query("DELETE FROM ledger_body WHERE ledger = $1 AND idx = $2");
            delete.bind(ledger).bind(index).execute().await?
        }
        Damage::DeletedEntry => {
            let delete = tx.query("DELETE FROM ledger_body WHERE ledger = $1 AND idx = $2");
            delete.bind(ledger.clone()).bind(index).execute().await?;
            let delete = tx.query("DELETE FROM ledger_entry WHERE ledger = $1 AND idx = $2");
            delete.bind(ledger).bind(index).execute().await?
        }
        Damage::MissingFigure => {
            let delete = tx.query("DELETE FROM proj_cell WHERE region = $1");
            delete.bind(ledger).execute().await?
        }
    };
    if changed == 0 {
        bail!("il danno non ha toccato nulla: {damage:?} {at:?}");
    }
    tx.commit().await?;
    db.close().await;
    Ok(())
}

/// Puts the body of `at`, taken from the folder `from`, into the folder `to`, whose node may not read it.
pub(crate) async fn smuggle(from: &Path, to: &Path, at: &At) -> Result<()> {
    let source = open(from).await?;
    let mut tx = source.read().await?;
    let (salt, stored): (Vec<u8>, Vec<u8>) = tx
        .query("SELECT salt, stored FROM ledger_body WHERE ledger = $1 AND idx = $2")
        .bind(at.0.clone())
        .bind(at.1)
        .fetch_one()
        .await?;
    drop(tx);
    source.close().await;
    let target = open(to).await?;
    let mut tx = target.write().await?;
    let insert = tx.query("INSERT INTO ledger_body (ledger, idx, salt, stored) VALUES ($1, $2, $3, $4)");
    insert
        .bind(at.0.clone())
        .bind(at.1)
        .bind(salt)
        .bind(stored)
        .execute()
        .await?;
    tx.commit().await?;
    target.close().await;
    Ok(())
}

/// What a stopped node's folder holds of the ledgers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Size and root of every ledger, by name.
    pub(crate) heads: Vec<(String, i64, Vec<u8>)>,
    /// Entries of the Hub's ledger whose body is not here.
    pub(crate) withheld: Vec<i64>,
    /// Entries, with their kind's name in the header, that report a month: (ledger, index).
    pub(crate) reports: Vec<At>,
}

/// Reads them.
pub(crate) async fn holdings(folder: &Path) -> Result<Holdings> {
    let db = open(folder).await?;
    let mut tx = db.read().await?;
    let heads = tx
        .query("SELECT ledger, size, root FROM ledger_head ORDER BY ledger")
        .fetch_all()
        .await?;
    let withheld: Vec<(i64,)> = tx
        .query(
            "SELECT e.idx FROM ledger_entry e LEFT JOIN ledger_body b ON b.ledger = e.ledger AND b.idx = e.idx \
             WHERE e.ledger = 'hub' AND b.idx IS NULL AND e.erased_by IS NULL ORDER BY e.idx",
        )
        .fetch_all()
        .await?;
    let headers: Vec<(String, i64, Vec<u8>)> = tx
        .query("SELECT ledger, idx, header FROM ledger_entry ORDER BY ledger, idx")
        .fetch_all()
        .await?;
    drop(tx);
    db.close().await;
    let kind = b"report.submitted";
    let reports = headers
        .into_iter()
        .filter(|(_, _, header)| header.windows(kind.len()).any(|w| w == kind))
        .map(|(ledger, index, _)| (ledger, index))
        .collect();
    Ok(Holdings {
        heads,
        withheld: withheld.into_iter().map(|(index,)| index).collect(),
        reports,
    })
}

async fn open(folder: &Path) -> Result<Db> {
    let path = folder.join("node.db");
    // Opening would make an empty one.
    if !path.is_file() {
        bail!("{} non c'è", path.display());
    }
    Ok(Db::open(&format!("sqlite:{}", path.display())).await?)
}
