//! One suite for the store, run on SQLite and on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "in a test a failed `unwrap` is a failed test")]

use raccordo_model::{
    checkpoint::Cosignature,
    digest::{BodyHash, LeafHash, TreeHash},
    entry::Body,
    node::{Federation, NodeId},
    timestamp::Timestamp,
};
use raccordo_store::{
    StoreError, Tx, checkpoints, cosignatures, dump, entries,
    entries::StoredEntry,
    epochs::{self, Epoch},
    fences::{self, Fence},
    heads::{self, Head},
    keys::{self, PublicKeys},
    migration::{self, LEDGER, Migration},
    nacks::{self, Refused},
    statements, table,
};
use raccordo_tests::database::{TestDb, engines};

fn hub_origin() -> raccordo_model::node::Origin {
    "prova".parse::<Federation>().unwrap().origin(NodeId::Hub)
}

fn region() -> NodeId {
    "090".parse().unwrap()
}

async fn migrated(name: &str) -> Vec<TestDb> {
    let engines = engines(name).await;
    for engine in &engines {
        engine.db.migrate(LEDGER).await.unwrap();
    }
    engines
}

fn entry(index: u64, body: Option<&[u8]>) -> StoredEntry {
    StoredEntry {
        node: NodeId::Hub,
        index,
        header: vec![index as u8; 40],
        body_hash: BodyHash([1; 32]),
        leaf_hash: LeafHash([index as u8; 32]),
        erased_by: (index == 2).then_some(7),
        body: body.map(|b| Body {
            salt: [9; 32],
            stored: b.to_vec(),
        }),
    }
}

#[tokio::test]
async fn every_statement_is_understood_by_both_databases() {
    for engine in migrated("statements").await {
        for sql in statements::ALL {
            let mut tx = engine.db.write().await.unwrap();
            if let Err(error) = tx.prepare(sql).await {
                panic!("{}: {sql}: {error}", engine.db.engine());
            }
        }
    }
}

#[tokio::test]
async fn migrations_run_once_and_a_changed_one_is_refused() {
    const CHANGED: &[Migration] = &[Migration {
        component: "ledger",
        version: 1,
        sqlite: "SELECT 1",
        postgres: "SELECT 1",
    }];
    for engine in migrated("migrations").await {
        engine.db.migrate(LEDGER).await.unwrap();
        let error = engine.db.migrate(CHANGED).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Migration { version: 1, .. }),
            "{error}"
        );
        let mut tx = engine.db.write().await.unwrap();
        migration::forget(&mut tx, "ledger").await.unwrap();
        drop(tx);
        engine.db.migrate(LEDGER).await.unwrap();
    }
}

#[tokio::test]
async fn entries_come_back_byte_for_byte() {
    for engine in migrated("entries").await {
        let written = [
            entry(0, Some(b"corpo")),
            entry(1, None),
            entry(2, None),
            entry(3, Some(b"")),
        ];
        let mut tx = engine.db.write().await.unwrap();
        entries::insert(&mut tx, &written).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = engine.db.read().await.unwrap();
        assert_eq!(
            entries::range(&mut tx, NodeId::Hub, 0, 10).await.unwrap(),
            written
        );
        assert_eq!(
            entries::get(&mut tx, NodeId::Hub, 2).await.unwrap(),
            Some(written[2].clone())
        );
        assert_eq!(entries::get(&mut tx, NodeId::Hub, 4).await.unwrap(), None);
        assert_eq!(entries::get(&mut tx, region(), 0).await.unwrap(), None);
        assert_eq!(
            entries::sizes(&mut tx, NodeId::Hub, 0, 10).await.unwrap(),
            [45, 40, 40, 40]
        );
        let hashes = entries::leaf_hashes(&mut tx, NodeId::Hub, 1, 3).await.unwrap();
        assert_eq!(hashes, [LeafHash([1; 32]), LeafHash([2; 32])]);
        drop(tx);
        let mut tx = engine.db.write().await.unwrap();
        let error = entries::insert(&mut tx, &[entry(1, None)]).await.unwrap_err();
        assert!(error.is_duplicate(), "{error}");
    }
}

#[tokio::test]
async fn many_entries_at_once_are_the_same_as_one_by_one() {
    for engine in migrated("many entries").await {
        // Sixteen rows make a statement: none, one less, as many, two statements and a rest.
        let mut from = 0;
        let mut tx = engine.db.write().await.unwrap();
        for count in [0, 15, 16, 37] {
            let body = |n: u64| (!n.is_multiple_of(3)).then_some(vec![n as u8; n as usize]);
            let written: Vec<_> = (from..from + count)
                .map(|n| entry(n, body(n).as_deref()))
                .collect();
            entries::insert(&mut tx, &written).await.unwrap();
            assert_eq!(
                entries::range(&mut tx, NodeId::Hub, from, from + count)
                    .await
                    .unwrap(),
                written
            );
            from += count;
        }
        let mut other: Vec<_> = (0..20).map(|n| entry(n, None)).collect();
        other.iter_mut().for_each(|e| e.node = region());
        other.extend((from..from + 20).map(|n| entry(n, Some(b"corpo"))));
        entries::insert(&mut tx, &other).await.unwrap();
        assert_eq!(
            entries::range(&mut tx, region(), 0, 99).await.unwrap(),
            other[..20]
        );
        assert_eq!(
            entries::range(&mut tx, NodeId::Hub, from, 999).await.unwrap(),
            other[20..]
        );
    }
}

#[tokio::test]
async fn the_head_moves_by_compare_and_swap_only() {
    for engine in migrated("heads").await {
        let mut tx = engine.db.write().await.unwrap();
        heads::create(&mut tx, NodeId::Hub, &hub_origin(), TreeHash([0; 32]), vec![0; 8])
            .await
            .unwrap();
        let next = Head {
            node: NodeId::Hub,
            origin: hub_origin(),
            size: 3,
            root: TreeHash([3; 32]),
            frontier: vec![1, 2],
            note: "nota".into(),
        };
        heads::swap(&mut tx, 0, &next).await.unwrap();
        let error = heads::swap(&mut tx, 0, &next).await.unwrap_err();
        assert!(matches!(error, StoreError::Moved(_)), "{error}");
        assert_eq!(heads::get(&mut tx, NodeId::Hub).await.unwrap(), Some(next));
        assert_eq!(heads::get(&mut tx, region()).await.unwrap(), None);
        assert_eq!(heads::list(&mut tx).await.unwrap(), [(NodeId::Hub, 3)]);
    }
}

#[tokio::test]
async fn what_is_not_committed_leaves_no_trace() {
    for engine in migrated("rollback").await {
        let mut tx = engine.db.write().await.unwrap();
        entries::insert(&mut tx, &[entry(0, None)]).await.unwrap();
        drop(tx);
        let mut tx = engine.db.write().await.unwrap();
        tx.mark().await.unwrap();
        entries::insert(&mut tx, &[entry(1, None)]).await.unwrap();
        tx.undo().await.unwrap();
        tx.mark().await.unwrap();
        entries::insert(&mut tx, &[entry(2, None)]).await.unwrap();
        tx.keep().await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = engine.db.read().await.unwrap();
        let kept = entries::range(&mut tx, NodeId::Hub, 0, 10).await.unwrap();
        assert_eq!(kept.iter().map(|e| e.index).collect::<Vec<_>>(), [2]);
    }
}

#[tokio::test]
async fn a_failed_statement_behind_a_mark_spoils_nothing_else() {
    for engine in migrated("savepoint after an error").await {
        let mut tx = engine.db.write().await.unwrap();
        entries::insert(&mut tx, &[entry(0, None)]).await.unwrap();
        tx.mark().await.unwrap();
        entries::insert(&mut tx, &[entry(0, None)]).await.unwrap_err();
        tx.undo().await.unwrap();
        entries::insert(&mut tx, &[entry(1, None)]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn writers_stand_in_line() {
    for engine in migrated("writers").await {
        let count = |mut tx: Tx| async move {
            let next = entries::range(&mut tx, NodeId::Hub, 0, 100).await.unwrap().len() as u64;
            tokio::task::yield_now().await;
            entries::insert(&mut tx, &[entry(next, None)]).await.unwrap();
            tx.commit().await.unwrap();
        };
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let db = engine.db.clone();
                tokio::spawn(async move { count(db.write().await.unwrap()).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let mut tx = engine.db.read().await.unwrap();
        assert_eq!(
            entries::range(&mut tx, NodeId::Hub, 0, 100).await.unwrap().len(),
            10
        );
    }
}

#[tokio::test]
async fn the_small_tables_keep_what_they_are_told() {
    for engine in migrated("small tables").await {
        let mut tx = engine.db.write().await.unwrap();
        for size in [2, 5] {
            checkpoints::insert(&mut tx, NodeId::Hub, size, &format!("nota {size}"))
                .await
                .unwrap();
        }
        checkpoints::insert(&mut tx, NodeId::Hub, 5, "un'altra")
            .await
            .unwrap();
        assert_eq!(
            checkpoints::get(&mut tx, NodeId::Hub, 5).await.unwrap().unwrap(),
            "nota 5"
        );
        let after = checkpoints::after(&mut tx, NodeId::Hub, 2, 9).await.unwrap();
        assert_eq!(after, [(5, "nota 5".to_owned())]);

        let cosignature = |size| Cosignature {
            size,
            at: Timestamp(size as i64),
            line: format!("— {size}"),
        };
        for size in [2, 5] {
            cosignatures::insert(&mut tx, NodeId::Hub, region(), &cosignature(size))
                .await
                .unwrap();
        }
        let last = cosignatures::last(&mut tx, NodeId::Hub, region()).await.unwrap();
        assert_eq!(last, Some(cosignature(5)));
        let covering = cosignatures::covering(&mut tx, NodeId::Hub, region(), 1)
            .await
            .unwrap();
        assert_eq!(covering, Some(cosignature(2)));
        assert_eq!(
            cosignatures::covering(&mut tx, NodeId::Hub, region(), 5)
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            cosignatures::all_last(&mut tx, NodeId::Hub).await.unwrap(),
            [(region(), 5)]
        );

        let epoch = Epoch {
            current: 3,
            issued: 4,
            last_contact: Timestamp(1),
        };
        epochs::put(&mut tx, region(), epoch).await.unwrap();
        epochs::touch(&mut tx, region(), Timestamp(9)).await.unwrap();
        let kept = epochs::get(&mut tx, region()).await.unwrap();
        assert_eq!(
            kept,
            Some(Epoch {
                last_contact: Timestamp(9),
                ..epoch
            })
        );

        let fence = Fence {
            peer: region(),
            at: Timestamp(4),
            reason: "r".into(),
            evidence: "e".into(),
        };
        fences::insert(&mut tx, &fence).await.unwrap();
        assert_eq!(fences::of(&mut tx, region()).await.unwrap(), Some(fence.clone()));
        assert_eq!(fences::list(&mut tx).await.unwrap(), [fence]);

        let refused = Refused {
            peer: region(),
            index: 4,
            code: "refused".into(),
            text: "t".into(),
            remedy: "r".into(),
            at: Timestamp(2),
        };
        nacks::put(&mut tx, &refused).await.unwrap();
        assert_eq!(nacks::list(&mut tx).await.unwrap(), [refused]);

        let key = |from_size, byte| PublicKeys {
            node: NodeId::Hub,
            origin: hub_origin(),
            from_size,
            ledger_key: [byte; 32],
            cosigner_key: [byte; 32],
        };
        keys::insert(&mut tx, &key(0, 1)).await.unwrap();
        keys::insert(&mut tx, &key(10, 2)).await.unwrap();
        assert_eq!(keys::at(&mut tx, NodeId::Hub, 9).await.unwrap(), Some(key(0, 1)));
        assert_eq!(
            keys::at(&mut tx, NodeId::Hub, u64::MAX).await.unwrap(),
            Some(key(10, 2))
        );
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn one_content_gives_one_digest_on_both_databases() {
    const TABLES: &[dump::Table] = &[table!("proj_prova", "a")];
    const MAKE: &[Migration] = &[Migration {
        component: "prova",
        version: 1,
        sqlite: "CREATE TABLE proj_prova (a TEXT NOT NULL, b INTEGER, c BLOB) STRICT",
        postgres: "CREATE TABLE proj_prova (a TEXT NOT NULL, b BIGINT, c BYTEA)",
    }];
    let mut digests = Vec::new();
    for engine in migrated("digest").await {
        engine.db.migrate(MAKE).await.unwrap();
        let empty = dump::digest(&engine.db, TABLES).await.unwrap();
        let mut tx = engine.db.write().await.unwrap();
        for (a, b) in [("è", Some(-3_i64)), ("Z", None), ("a", Some(7))] {
            tx.query("INSERT INTO proj_prova (a, b, c) VALUES ($1, $2, $3)")
                .bind(a.to_owned())
                .bind(b)
                .bind(vec![0_u8, 255])
                .execute()
                .await
                .unwrap();
        }
        assert_eq!(dump::projection_tables(&mut tx).await.unwrap(), ["proj_prova"]);
        tx.commit().await.unwrap();
        let full = dump::digest(&engine.db, TABLES).await.unwrap();
        assert_ne!(empty, full);
        digests.push((empty, full));
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "the engines disagree: {digests:?}");
}
