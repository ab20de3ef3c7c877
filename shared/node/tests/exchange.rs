//! The exchange between two nodes in one process: what crosses, what is held, who is fenced.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod kit;

use kit::{Line, append, confirmed, introduce, node, note, opened, region};
use raccordo_model::{node::NodeId, scope::Scope};
use raccordo_node::{
    Node, projection, rebuild,
    session::{
        OUTBOUND_FRAMES_MAX,
        driver::{self, End},
        machine::{Side, goodbye},
        peers::Peers,
    },
    verify::verify,
};
use raccordo_proto::wire::{GoodbyeCode, frame::Step};
use raccordo_store::{cosignatures, entries, epochs, fences, heads};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

async fn pair(folder: &std::path::Path) -> (Arc<Node>, Arc<Node>) {
    let (hub, spoke) = (node(folder, NodeId::Hub).await, node(folder, region("090")).await);
    introduce(&hub, &spoke).await;
    (hub, spoke)
}

async fn size(at: &Node, ledger: NodeId) -> u64 {
    let mut tx = at.db.read().await.unwrap();
    heads::get(&mut tx, ledger).await.unwrap().map_or(0, |h| h.size)
}

async fn sound(node: &Node) {
    let seen = verify(node).await.unwrap();
    assert_eq!(seen.damage, [], "{seen:?}");
}

#[tokio::test]
async fn both_ledgers_cross_and_are_confirmed() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(
        &hub,
        (0..300)
            .map(|n| note(&format!("kit/{n}"), 700, Scope::Public))
            .collect(),
        7,
    )
    .await;
    append(
        &spoke,
        (0..300)
            .map(|n| note(&format!("rep/{n}"), 9_000, Scope::Centre))
            .collect(),
        50,
    )
    .await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&hub, spoke.me()).await;
    confirmed(&spoke, NodeId::Hub).await;
    // What is appended meanwhile follows at once.
    append(&hub, vec![note("kit/live", 1, Scope::Public)], 1).await;
    append(&spoke, vec![note("rep/live", 1, Scope::Centre)], 1).await;
    confirmed(&hub, spoke.me()).await;
    confirmed(&spoke, NodeId::Hub).await;
    line.close().await;
    assert_eq!(
        (size(&spoke, NodeId::Hub).await, size(&hub, spoke.me()).await),
        (301, 301)
    );
    sound(&hub).await;
    sound(&spoke).await;
}

#[tokio::test]
async fn a_body_reaches_only_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    let (ours, theirs) = (
        Scope::region("090".parse().unwrap()),
        Scope::region("140".parse().unwrap()),
    );
    let drafts = vec![
        opened("a/ours", ours),
        opened("a/theirs", theirs),
        opened("a/centre", Scope::Centre),
    ];
    append(&hub, drafts, 3).await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&hub, spoke.me()).await;
    line.close().await;
    let mut tx = spoke.db.read().await.unwrap();
    let bodies: Vec<bool> = entries::range(&mut tx, NodeId::Hub, 0, 9)
        .await
        .unwrap()
        .iter()
        .map(|e| e.body.is_some())
        .collect();
    assert_eq!(bodies, [true, false, false]);
    drop(tx);
    sound(&spoke).await;
}

#[tokio::test]
async fn a_withheld_body_is_not_confirmed_and_fences() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(&hub, vec![opened("a/1", Scope::Public)], 1).await;
    let line = Line::open(&hub, &spoke, |step| match step {
        Step::Batch(mut batch) => {
            batch.leaves[0].body = None;
            Some(Step::Batch(batch))
        }
        other => Some(other),
    });
    let (_, end) = line.ended().await;
    assert!(matches!(end, End::Goodbye(g) if g.code() == GoodbyeCode::Verification));
    assert_eq!(size(&spoke, NodeId::Hub).await, 0);
    let mut tx = spoke.db.read().await.unwrap();
    let fence = fences::of(&mut tx, NodeId::Hub).await.unwrap().unwrap();
    assert!(
        fence.reason.contains("does not") || fence.reason.contains("body"),
        "{}",
        fence.reason
    );
    let mut tx = hub.db.read().await.unwrap();
    assert_eq!(
        cosignatures::last(&mut tx, NodeId::Hub, spoke.me())
            .await
            .unwrap(),
        None
    );
    drop(tx);
    // No reconnect loop: the next session ends at the handshake.
    let (_, end) = Line::open(&hub, &spoke, Some).ended().await;
    assert!(matches!(end, End::Goodbye(g) if g.code() == GoodbyeCode::Fenced));
}

#[tokio::test]
async fn a_changed_leaf_changes_nothing_and_fences() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(
        &hub,
        vec![opened("a/1", Scope::Public), opened("a/2", Scope::Public)],
        2,
    )
    .await;
    let line = Line::open(&hub, &spoke, |step| match step {
        Step::Batch(mut batch) => {
            batch.leaves.swap(0, 1);
            Some(Step::Batch(batch))
        }
        other => Some(other),
    });
    let (_, end) = line.ended().await;
    assert!(matches!(end, End::Goodbye(g) if g.code() == GoodbyeCode::Verification));
    assert_eq!(size(&spoke, NodeId::Hub).await, 0);
}

#[tokio::test]
async fn quarantine_holds_a_subject_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    let mut dependant = opened("a/after", Scope::Centre);
    dependant.depends_on = vec!["poison/1".parse().unwrap()];
    let drafts = vec![
        opened("a/1", Scope::Centre),
        opened("poison/1", Scope::Centre),
        opened("a/2", Scope::Centre),
    ];
    append(&spoke, drafts, 3).await;
    append(&spoke, vec![dependant, opened("a/3", Scope::Centre)], 2).await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&spoke, NodeId::Hub).await;
    line.close().await;
    let mut tx = hub.db.read().await.unwrap();
    let held: Vec<_> = projection::held(&mut tx)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.1, row.4))
        .collect();
    assert_eq!(
        held,
        [(1, "refused".to_owned()), (3, "depends_on_held".to_owned())]
    );
    let noted: Vec<(i64,)> = tx
        .query("SELECT idx FROM proj_note WHERE ledger = '090' ORDER BY idx")
        .fetch_all()
        .await
        .unwrap();
    assert_eq!(noted, [(0,), (2,), (4,)]);
    drop(tx);
    // The owner was told.
    let mut tx = spoke.db.read().await.unwrap();
    let told = raccordo_store::nacks::list(&mut tx).await.unwrap();
    assert_eq!(
        told.iter()
            .map(|n| n.index)
            .collect::<std::collections::BTreeSet<_>>(),
        [1, 3].into()
    );
    drop(tx);
    // A replay from nothing comes to the same tables.
    let rebuilt = rebuild::rebuild(&hub).await.unwrap();
    assert_eq!(rebuilt.before, rebuilt.after);
}

#[tokio::test]
async fn a_cut_anywhere_loses_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(
        &hub,
        (0..1_000)
            .map(|n| note(&format!("kit/{n}"), 100, Scope::Public))
            .collect(),
        40,
    )
    .await;
    for passed in 0..12 {
        let mut left = passed;
        let line = Line::open(&hub, &spoke, move |step| {
            left -= 1;
            (left >= 0).then_some(step)
        });
        // Whatever the moment is, nothing may be lost: how far each side came does not matter.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        line.cut().await;
    }
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&hub, spoke.me()).await;
    line.close().await;
    assert_eq!(size(&spoke, NodeId::Hub).await, 1_000);
    sound(&spoke).await;
    let mut tx = hub.db.read().await.unwrap();
    assert_eq!(fences::list(&mut tx).await.unwrap(), []);
}

#[tokio::test]
async fn a_copied_disk_is_caught_at_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(&spoke, vec![note("rep/1", 10, Scope::Centre)], 1).await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&spoke, NodeId::Hub).await;
    line.close().await;
    // An older copy of the disk, from before another session.
    spoke.db.close().await;
    let clone_folder = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("090.db"), clone_folder.path().join("090.db")).unwrap();
    let spoke = node(folder.path(), region("090")).await;
    let line = Line::open(&hub, &spoke, Some);
    append(&spoke, vec![note("rep/2", 10, Scope::Centre)], 1).await;
    confirmed(&spoke, NodeId::Hub).await;
    line.close().await;
    let copy = node(clone_folder.path(), region("090")).await;
    let (at_hub, at_copy) = Line::open(&hub, &copy, Some).ended().await;
    assert!(matches!(at_hub, End::Goodbye(g) if g.code() == GoodbyeCode::Rewound));
    assert!(matches!(at_copy, End::Goodbye(g) if g.code() == GoodbyeCode::Rewound));
    // The rewound disk appends nothing any more: it would sign a second tree of a size.
    assert!(copy.act().await.is_err());
}

#[tokio::test]
async fn an_epoch_that_is_not_current_is_a_clone() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    for _ in 0..3 {
        let line = Line::open(&hub, &spoke, Some);
        append(&spoke, vec![note("rep/1", 10, Scope::Centre)], 1).await;
        confirmed(&spoke, NodeId::Hub).await;
        line.close().await;
    }
    let mut tx = spoke.db.write().await.unwrap();
    let epoch = epochs::get(&mut tx, NodeId::Hub).await.unwrap().unwrap();
    assert!(epoch.current >= 3, "{epoch:?}");
    epochs::put(
        &mut tx,
        NodeId::Hub,
        epochs::Epoch {
            current: epoch.current - 1,
            ..epoch
        },
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let (at_hub, _) = Line::open(&hub, &spoke, Some).ended().await;
    assert!(matches!(at_hub, End::Goodbye(g) if g.code() == GoodbyeCode::Epoch));
}

#[tokio::test]
async fn verify_names_what_was_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(
        &hub,
        (0..5)
            .map(|n| opened(&format!("kit/{n}"), Scope::Public))
            .collect(),
        2,
    )
    .await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&hub, spoke.me()).await;
    line.close().await;
    sound(&spoke).await;
    let damages = [
        ("UPDATE ledger_body SET stored = $1 WHERE idx = 3", "entry hub/3"),
        ("UPDATE ledger_entry SET header = $1 WHERE idx = 2", "entry hub/2"),
        (
            "DELETE FROM ledger_body WHERE idx = 1 AND salt <> $1",
            "entry hub/1",
        ),
        (
            "DELETE FROM ledger_entry WHERE idx = 4 AND header <> $1",
            "entry hub/4",
        ),
        (
            "DELETE FROM ledger_checkpoint WHERE size = 5 AND note <> CAST($1 AS TEXT)",
            "checkpoint hub/5",
        ),
        (
            "UPDATE proj_note SET subject = 'x' WHERE idx = 0 AND subject <> CAST($1 AS TEXT)",
            "projections",
        ),
    ];
    for (sql, named) in damages {
        spoke.db.close().await;
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(folder.path().join("090.db"), copy.path().join("090.db")).unwrap();
        let damaged = node(copy.path(), region("090")).await;
        let mut tx = damaged.db.write().await.unwrap();
        assert_eq!(
            tx.query(sql).bind(b"guasto".to_vec()).execute().await.unwrap(),
            1,
            "{sql}"
        );
        tx.commit().await.unwrap();
        let seen = verify(&damaged).await.unwrap();
        assert!(
            seen.damage.iter().any(|d| d.item == named),
            "{named}: {:?}",
            seen.damage
        );
    }
}

#[tokio::test]
async fn no_word_of_a_peer_fences_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    for code in [
        GoodbyeCode::Rewound,
        GoodbyeCode::Epoch,
        GoodbyeCode::Fenced,
        GoodbyeCode::Verification,
        GoodbyeCode::Mismatch,
        GoodbyeCode::Closing,
    ] {
        let said = Step::Goodbye(goodbye(code, "credimi", ""));
        let (outbound, _frames) = mpsc::channel(OUTBOUND_FRAMES_MAX);
        let (_stop, stopped) = watch::channel(false);
        let inbound = futures::stream::iter([Ok(said)]);
        let peers = Peers::default();
        let end = driver::run(&hub, &peers, Side::Hub, spoke.me(), inbound, outbound, stopped).await;
        assert!(matches!(end, End::Goodbye(g) if g.code() == code));
    }
    let mut tx = hub.db.read().await.unwrap();
    assert_eq!(fences::list(&mut tx).await.unwrap(), []);
    drop(tx);
    // The Hub works on, and so does the region once it behaves.
    append(&hub, vec![opened("a/1", Scope::Public)], 1).await;
    let line = Line::open(&hub, &spoke, Some);
    confirmed(&hub, spoke.me()).await;
    line.close().await;
}

#[tokio::test]
async fn a_claim_of_erasure_hides_no_body() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, spoke) = pair(folder.path()).await;
    append(&hub, vec![opened("a/1", Scope::Public)], 1).await;
    let line = Line::open(&hub, &spoke, |step| match step {
        Step::Batch(mut batch) => {
            batch.leaves[0].body = None;
            batch.leaves[0].erased_by = Some(7);
            Some(Step::Batch(batch))
        }
        other => Some(other),
    });
    let (_, end) = line.ended().await;
    assert!(matches!(end, End::Goodbye(g) if g.code() == GoodbyeCode::Verification));
    assert_eq!(size(&spoke, NodeId::Hub).await, 0);
}
