//! The own ledger. A decision reads state, decides, and appends, all in one write transaction:
//!
//! ```text
//! let mut act = node.act().await?;             // begins the transaction
//! let state = po::load(act.tx(), …).await?;    // reads what the decision is about
//! let draft = decide(&state, input)?;          // a plain function
//! let entry = act.append(draft).await?;        // hashes, stores and projects the entry
//! act.commit().await?;                         // signs one checkpoint, moves the head, commits
//! ```
//!
//! Dropped before `commit`, an [`Acting`] leaves no trace.

use crate::{
    node::{self, Node, NodeError, frontier_of},
    projection,
    random::Random,
    status::{Refusal, RefusalKind},
};
use raccordo_ledger::{
    hash,
    owner::{AppendError, prepare},
    tree::Frontier,
};
use raccordo_model::{
    digest::{LeafHash, ManifestDigest},
    entry::{
        Actor, BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, BODY_BYTES_MAX, Body, Entry, EntryRef, HEADER_BYTES_MAX,
        Header, READER_VERSION, Subject,
    },
    kind::{Criticality, Kind},
    node::NodeId,
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_proto::{body::Act, entry as wire_entry};
use raccordo_store::{
    StoreError, Tx, checkpoints,
    entries::{self, StoredEntry},
    fences,
    heads::{self, Head},
};

/// An entry before it has a place.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is about.
    pub subject: Subject,
    /// Who may read the body.
    pub scope: Scope,
    /// Who acted, 1 to 4.
    pub actors: Vec<Actor>,
    /// What it says.
    pub payload: Payload,
    /// Subjects that must be sound before it is applied.
    pub depends_on: Vec<Subject>,
    /// The entry of this ledger that it replaces.
    pub supersedes: Option<u64>,
    /// The instant before which it has no effect.
    pub not_before: Option<Timestamp>,
    /// Manifests of public content that it names.
    pub content: Vec<ManifestDigest>,
}

/// What a draft says.
#[derive(Debug, Clone)]
pub enum Payload {
    /// An act that this program knows; a reader that does not must hold its subject.
    Act(Act),
    /// A body of a kind that is none of this program's business, optional for every reader.
    Opaque {
        /// Its kind.
        kind: Kind,
        /// Its body.
        body: Vec<u8>,
    },
}

impl Draft {
    /// A draft of `act` by `actor`, without the rarer fields.
    pub fn new(act: Act, subject: Subject, scope: Scope, actors: Vec<Actor>) -> Self {
        Self {
            subject,
            scope,
            actors,
            payload: Payload::Act(act),
            depends_on: Vec::new(),
            supersedes: None,
            not_before: None,
            content: Vec::new(),
        }
    }
}

/// One append transaction on the way.
pub struct Acting<'n> {
    node: &'n Node,
    tx: Tx,
    head: Head,
    frontier: Frontier,
    seen: Vec<(NodeId, u64)>,
    leaves: Vec<LeafHash>,
    bytes: usize,
    now: Timestamp,
}

/// What an act left in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The ledger's size after it.
    pub size: u64,
    /// The signed checkpoint at that size; the latest one when nothing was appended.
    pub note: String,
}

impl Node {
    /// Begins an act. Other writers wait until it is committed or dropped.
    pub async fn act(&self) -> Result<Acting<'_>, NodeError> {
        let mut tx = self.db.write().await?;
        if let Some(fence) = fences::of(&mut tx, self.me()).await? {
            return Err(Refusal::new(
                RefusalKind::Precondition,
                format!("this node is fenced and appends nothing: {}", fence.reason),
                "keep the folder as it is and call the national team: `sync status` shows what was found; this version has no command that lifts a fence",
            )
            .into());
        }
        let head = heads::get(&mut tx, self.me())
            .await?
            .ok_or(StoreError::Moved("the ledger's head"))?;
        let frontier = frontier_of(&head)?;
        let seen = projection::cursors(&mut tx).await?;
        let seen = seen.into_iter().filter(|(node, _)| *node != self.me()).collect();
        let now = self.clock.now();
        Ok(Acting {
            node: self,
            tx,
            head,
            frontier,
            seen,
            leaves: Vec::new(),
            bytes: 0,
            now,
        })
    }
}

impl Acting<'_> {
    /// The transaction, to read the state that the decision is about.
    pub fn tx(&mut self) -> &mut Tx {
        &mut self.tx
    }

    /// The instant of this act; every entry of it is recorded at it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds an entry and projects it, so that what follows in this act sees it. At most 256
    /// entries and 768 KiB per act.
    pub async fn append(&mut self, draft: Draft) -> Result<EntryRef, NodeError> {
        let (kind, criticality, body) = match &draft.payload {
            Payload::Act(act) => (Kind::from(act.kind()), Criticality::Critical, act.encode()),
            Payload::Opaque { kind, body } => (kind.clone(), Criticality::Optional, body.clone()),
        };
        let (body_encoding, stored) = wire_entry::pack_body(body);
        let header = Header {
            ledger: self.node.identity.origin.clone(),
            kind,
            subject: draft.subject,
            depends_on: draft.depends_on,
            seen: self.seen.clone(),
            scope: draft.scope,
            actors: draft.actors,
            recorded_at: self.now,
            supersedes: draft.supersedes,
            minimum_reader: READER_VERSION,
            criticality,
            not_before: draft.not_before,
            content: draft.content,
            body_encoding,
        };
        let header_bytes = wire_entry::encode_header(&header);
        self.admit(&header_bytes, &stored)?;
        let body = Body {
            salt: salt(&*self.node.random),
            stored,
        };
        let body_hash = hash::body_hash(&body.salt, &body.stored);
        let entry = StoredEntry {
            node: self.node.me(),
            index: self.head.size + self.leaves.len() as u64,
            leaf_hash: hash::leaf_hash(&header_bytes, &body_hash),
            header: header_bytes,
            body_hash,
            erased_by: None,
            body: Some(body),
        };
        entries::insert(&mut self.tx, std::slice::from_ref(&entry)).await?;
        self.leaves.push(entry.leaf_hash);
        // Parsed from the bytes, as every reader will: what our own reader refuses never leaves.
        let entry: Entry = node::parse(entry)?;
        projection::apply_one(self.node.projector.as_ref(), &mut self.tx, &entry).await?;
        projection::move_cursor(&mut self.tx, entry.node, std::slice::from_ref(&entry)).await?;
        Ok(entry.reference())
    }

    /// Signs one checkpoint over everything appended and makes it durable.
    ///
    /// Dying before the database's commit leaves nothing. Dying after it leaves entries and
    /// checkpoint that nobody was told of: the next session sends them. The checkpoint is signed
    /// inside the transaction and told only after the commit, so no signed tree is ever lost.
    pub async fn commit(mut self) -> Result<Committed, NodeError> {
        let identity = &self.node.identity;
        let appended = match prepare(&self.frontier, &self.leaves, &identity.origin, &identity.signer) {
            Ok(appended) => appended,
            Err(AppendError::Empty) => {
                let committed = Committed {
                    size: self.head.size,
                    note: self.head.note,
                };
                self.tx.commit().await?;
                return Ok(committed);
            }
            Err(error) => return Err(too_large("act", &error.to_string())),
        };
        let size = appended.frontier.size();
        let next = Head {
            node: self.node.me(),
            origin: identity.origin.clone(),
            size,
            root: appended.frontier.root(),
            frontier: appended.frontier.to_bytes(),
            note: appended.signed.note,
        };
        checkpoints::insert(&mut self.tx, self.node.me(), size, &next.note).await?;
        heads::swap(&mut self.tx, self.head.size, &next).await?;
        if let Err(error) = self.tx.commit().await {
            // The outcome is unknown: only the stored head can tell.
            let mut tx = self.node.db.read().await?;
            let stored = heads::get(&mut tx, self.node.me()).await?;
            if stored.as_ref() != Some(&next) {
                return Err(error.into());
            }
        }
        self.node.grown.send_replace(size);
        Ok(Committed {
            size,
            note: next.note,
        })
    }

    fn admit(&mut self, header: &[u8], stored: &[u8]) -> Result<(), NodeError> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(too_large(
                "header",
                &format!("{} bytes, at most {HEADER_BYTES_MAX}", header.len()),
            ));
        }
        if stored.len() > BODY_BYTES_MAX {
            return Err(too_large(
                "body",
                &format!("{} bytes, at most {BODY_BYTES_MAX}", stored.len()),
            ));
        }
        self.bytes += header.len() + stored.len();
        if self.leaves.len() >= BATCH_ENTRIES_MAX || self.bytes > BATCH_BYTES_MAX {
            return Err(too_large("act", "more than 256 entries or 768 KiB"));
        }
        Ok(())
    }
}

fn too_large(what: &str, why: &str) -> NodeError {
    Refusal::new(
        RefusalKind::TooLarge,
        format!("the {what} of the entry is too large: {why}"),
        "split it, or attach the large part as content",
    )
    .into()
}

fn salt(random: &dyn Random) -> [u8; 32] {
    let mut salt = [0; 32];
    random.fill(&mut salt);
    salt
}
