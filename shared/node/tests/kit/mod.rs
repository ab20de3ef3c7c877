//! Two nodes in one process, and the wire between them made of channels.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, reason = "each test binary uses its part")]

use futures::{StreamExt, future::BoxFuture};
use raccordo_ledger::{
    cosign::{Cosigner, cosigner_name},
    note::LedgerSigner,
};
use raccordo_model::{
    entry::{AccountId, Actor, Entry},
    kind::Kind,
    node::{Federation, NodeId},
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_node::{
    Node,
    clock::ManualClock,
    journal::{Draft, Payload},
    node::Identity,
    projection::{ApplyError, Projector},
    random::SeededRandom,
    session::{
        OUTBOUND_FRAMES_MAX,
        driver::{self, End},
        machine::Side,
        peers::Peers,
    },
};
use raccordo_proto::{body::Act, wire::frame::Step};
use raccordo_store::{Db, Tx, dump::Table, keys::PublicKeys, migration::Migration, table};
use std::{path::Path, sync::Arc};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Notes every entry that it is given; refuses others' subjects that start with `poison/`.
pub(crate) struct Notes {
    pub(crate) me: NodeId,
}

const TABLES: &[Table] = &[table!("proj_note", "ledger, idx")];
const MIGRATIONS: &[Migration] = &[Migration {
    component: "notes_proj",
    version: 1,
    sqlite: "CREATE TABLE proj_note (ledger TEXT NOT NULL, idx INTEGER NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, read INTEGER NOT NULL, PRIMARY KEY (ledger, idx)) STRICT",
    postgres: "CREATE TABLE proj_note (ledger TEXT NOT NULL, idx BIGINT NOT NULL, kind TEXT NOT NULL,
        subject TEXT NOT NULL, read BIGINT NOT NULL, PRIMARY KEY (ledger, idx))",
}];

impl Projector for Notes {
    fn migrations(&self) -> &'static [Migration] {
        MIGRATIONS
    }

    fn tables(&self) -> &'static [Table] {
        TABLES
    }

    fn apply<'a>(
        &'a self,
        tx: &'a mut Tx,
        entry: &'a Entry,
        act: Option<&'a Act>,
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async move {
            tx.query("INSERT INTO proj_note (ledger, idx, kind, subject, read) VALUES ($1, $2, $3, $4, $5)")
                .bind(entry.node.to_string())
                .bind(entry.index as i64)
                .bind(entry.header.kind.to_string())
                .bind(entry.header.subject.to_string())
                .bind(i64::from(act.is_some()))
                .execute()
                .await?;
            if entry.header.subject.as_str().starts_with("poison/") && entry.node != self.me {
                return Err(ApplyError::refused("poison", "send a corrected entry"));
            }
            Ok(())
        })
    }
}

pub(crate) fn federation() -> Federation {
    "fse-prova".parse().unwrap()
}

pub(crate) fn region(code: &str) -> NodeId {
    code.parse().unwrap()
}

/// A node on a SQLite file of `folder`; the same name opens the same file and keys again.
pub(crate) async fn node(folder: &Path, id: NodeId) -> Arc<Node> {
    let file = folder.join(format!("{id}.db"));
    let db = Db::open(&format!("sqlite:{}", file.display())).await.unwrap();
    node_on(db, id).await
}

/// A node on a database.
pub(crate) async fn node_on(db: Db, id: NodeId) -> Arc<Node> {
    let origin = federation().origin(id);
    let seed = [id.to_string().as_bytes()[0] ^ id.to_string().as_bytes()[1]; 32];
    let mut cosigner_seed = seed;
    cosigner_seed[0] ^= 0xff;
    let identity = Identity {
        node: id,
        federation: federation(),
        test: true,
        signer: LedgerSigner::new(&origin, &seed),
        cosigner: Cosigner::new(&cosigner_name(&origin), &cosigner_seed),
        origin,
    };
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
    let random = Arc::new(SeededRandom::new(u64::from(seed[0])));
    let node = Node::open(
        db,
        identity,
        Arc::new(Notes { me: id }),
        clock.clone(),
        clock,
        random,
    )
    .await
    .unwrap();
    Arc::new(node)
}

/// The public keys of a node.
pub(crate) fn keys(node: &Node) -> PublicKeys {
    PublicKeys {
        node: node.me(),
        origin: node.identity.origin.clone(),
        from_size: 0,
        ledger_key: node.identity.signer.verifying_key(),
        cosigner_key: node.identity.cosigner.verifying_key(),
    }
}

/// Makes two nodes follow each other.
pub(crate) async fn introduce(a: &Node, b: &Node) {
    a.follow(&keys(b)).await.unwrap();
    b.follow(&keys(a)).await.unwrap();
}

/// An entry of a kind that is nobody's business.
pub(crate) fn note(subject: &str, body: usize, scope: Scope) -> Draft {
    Draft {
        subject: subject.parse().unwrap(),
        scope,
        actors: vec![Actor {
            account: AccountId([7; 16]),
            institution: "MDS".into(),
        }],
        payload: Payload::Opaque {
            kind: "x.note".parse::<Kind>().unwrap(),
            body: vec![b'x'; body],
        },
        depends_on: Vec::new(),
        supersedes: None,
        not_before: None,
        content: Vec::new(),
    }
}

/// An entry of a known kind, so that it is applied.
pub(crate) fn opened(subject: &str, scope: Scope) -> Draft {
    let act = Act::RegionRevoked {
        region: "140".parse().unwrap(),
        reason: "prova".into(),
    };
    Draft {
        payload: Payload::Act(act),
        ..note(subject, 0, scope)
    }
}

/// Appends entries in acts of at most `per_act`.
pub(crate) async fn append(node: &Node, drafts: Vec<Draft>, per_act: usize) {
    for chunk in drafts.chunks(per_act) {
        let mut act = node.act().await.unwrap();
        for draft in chunk {
            act.append(draft.clone()).await.unwrap();
        }
        act.commit().await.unwrap();
    }
}

/// A session between a Hub and a Spoke that ends when `until` says so.
pub(crate) struct Line {
    stop: watch::Sender<bool>,
    hub: tokio::task::JoinHandle<End>,
    spoke: tokio::task::JoinHandle<End>,
}

impl Line {
    /// Connects the two; `meddle` may change or drop what the Hub sends.
    pub(crate) fn open(
        hub: &Arc<Node>,
        spoke: &Arc<Node>,
        mut meddle: impl FnMut(Step) -> Option<Step> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (to_spoke, from_hub) = mpsc::channel(OUTBOUND_FRAMES_MAX);
        let (to_hub, from_spoke) = mpsc::channel(OUTBOUND_FRAMES_MAX);
        let (hub, spoke, peer) = (hub.clone(), spoke.clone(), spoke.me());
        let other = stopped.clone();
        let hub = tokio::spawn(async move {
            let inbound = ReceiverStream::new(from_spoke).map(Ok);
            driver::run(
                &hub,
                &Peers::default(),
                Side::Hub,
                peer,
                inbound,
                to_spoke,
                stopped,
            )
            .await
        });
        let spoke = tokio::spawn(async move {
            let inbound = ReceiverStream::new(from_hub)
                .filter_map(move |step| std::future::ready(meddle(step)))
                .map(Ok);
            let mut other = other;
            other.mark_unchanged();
            driver::run(
                &spoke,
                &Peers::default(),
                Side::Spoke,
                NodeId::Hub,
                inbound,
                to_hub,
                other,
            )
            .await
        });
        Self { stop, hub, spoke }
    }

    /// Ends it from both sides; returns how each saw the end.
    pub(crate) async fn close(self) -> (End, End) {
        self.stop.send_replace(true);
        (self.hub.await.unwrap(), self.spoke.await.unwrap())
    }

    /// Ends both sides where they stand, as when the network breaks or the processes are killed.
    pub(crate) async fn cut(self) {
        for side in [self.hub, self.spoke] {
            side.abort();
            // Waits for the end, so that the next session is alone, as a region's sessions are.
            side.await.ok();
        }
    }

    /// Waits until one side ends it by itself.
    pub(crate) async fn ended(self) -> (End, End) {
        (self.hub.await.unwrap(), self.spoke.await.unwrap())
    }
}

/// Waits until `owner`'s ledger is cosigned by `cosigner` at its present size.
pub(crate) async fn confirmed(owner: &Node, cosigner: NodeId) {
    let size = *owner.watch_growth().borrow();
    for _ in 0..6_000 {
        let mut tx = owner.db.read().await.unwrap();
        let last = raccordo_store::cosignatures::last(&mut tx, owner.me(), cosigner)
            .await
            .unwrap();
        drop(tx);
        if last.is_some_and(|c| c.size == size) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut tx = owner.db.read().await.unwrap();
    let last = raccordo_store::cosignatures::last(&mut tx, owner.me(), cosigner)
        .await
        .unwrap();
    panic!("ledger {} is confirmed at {last:?}, not at {size}", owner.me());
}
