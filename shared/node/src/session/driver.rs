//! Carries the machine's actions out, each to its end before the next event.

use super::{
    build,
    machine::{Action, Admission, Event, Machine, Side, goodbye},
    peers::Peers,
    standing::{Breach, Claim, judge_followed, judge_own},
};
use crate::{
    follow::{ReceiveError, verifier},
    node::{Node, NodeError, parse},
};
use futures::{Stream, StreamExt};
use raccordo_ledger::handshake::{self, EpochRefused, EpochState};
use raccordo_model::{
    entry::{BATCH_BYTES_MAX, BATCH_ENTRIES_MAX},
    node::NodeId,
    timestamp::Timestamp,
};
use raccordo_proto::{
    entry::leaf_from_entry,
    wire::{Batch, Goodbye, GoodbyeCode, Hello, LedgerState, Welcome, frame::Step},
};
use raccordo_store::{
    Tx, checkpoints, entries,
    epochs::{self, Epoch},
    fences, heads,
    nacks::{self, Refused},
};
use tokio::sync::{mpsc, watch};

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The network broke.
    Cut(String),
    /// One of the two said goodbye.
    Goodbye(Goodbye),
    /// This node is shutting down, or a newer session took over.
    Stopped,
}

impl End {
    /// Whether only a person can make the exchange go on.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Goodbye(said) => matches!(
                said.code(),
                GoodbyeCode::Verification | GoodbyeCode::Epoch | GoodbyeCode::Rewound
            ),
            Self::Cut(_) | Self::Stopped => false,
        }
    }

    /// Whether one of the two nodes is fenced: tried again, seldom, until a person has decided.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Goodbye(said) if said.code() == GoodbyeCode::Fenced)
    }
}

/// Runs one session to its end.
pub async fn run(
    node: &Node,
    peers: &Peers,
    side: Side,
    peer: NodeId,
    mut inbound: impl Stream<Item = Result<Step, String>> + Unpin,
    outbound: mpsc::Sender<Step>,
    mut shutdown: watch::Receiver<bool>,
) -> End {
    let mut seat = peers.enter(peer);
    let mut growth = node.watch_growth();
    let mut machine = Machine::new(side, node.me(), peer);
    let mut driver = Driver {
        node,
        peer,
        outbound: &outbound,
        ended: None,
    };
    machine.handle(Event::Opened);
    loop {
        while let Some(action) = machine.poll() {
            if let Some(event) = driver.perform(action).await {
                match event {
                    Ok(event) => machine.handle(event),
                    Err(farewell) => machine.close(farewell),
                }
            }
        }
        if let Some(end) = driver.ended.take() {
            return end;
        }
        if machine.is_exchanging() {
            seat.exchanging();
        }
        tokio::select! {
            frame = inbound.next() => match frame {
                Some(Ok(step)) => machine.handle(Event::Frame(step)),
                Some(Err(why)) => {
                    // Heard where the stream still stands: a message that is none, or over its bound.
                    let text = format!("what came is no frame: {}", why.chars().take(300).collect::<String>());
                    driver.send(Step::Goodbye(goodbye(
                        GoodbyeCode::Protocol, &text, "compare the two programs' versions")));
                    return End::Cut(why);
                }
                None => return End::Cut("the stream ended".into()),
            },
            grown = growth.changed() => if grown.is_ok() {
                let size = *growth.borrow_and_update();
                machine.handle(Event::OwnGrew(size));
            },
            _ = seat.stop.changed() => machine.close(goodbye(
                GoodbyeCode::Closing, "another session took over, or access ended", "")),
            _ = shutdown.changed() => machine.close(goodbye(
                GoodbyeCode::Closing, "this node is shutting down", "try again shortly")),
        }
    }
}

struct Driver<'a> {
    node: &'a Node,
    peer: NodeId,
    outbound: &'a mpsc::Sender<Step>,
    ended: Option<End>,
}

impl Driver<'_> {
    /// `None` when nothing follows from the action.
    async fn perform(&mut self, action: Action) -> Option<Result<Event, Goodbye>> {
        match action {
            Action::Send(step) => {
                self.send(step);
                None
            }
            Action::Greet => Some(self.ours(self.hello().await).map(Event::Greeting)),
            Action::Admit(hello) => Some(self.admit(hello).await.map(Event::Admitted)),
            Action::Enter(welcome) => Some(self.enter(welcome).await.map(Event::Admitted)),
            Action::ConfirmEpoch(epoch) => self.confirm(epoch).await.err().map(Err),
            Action::Load(from) => Some(self.ours(self.load(from).await).map(Event::Loaded)),
            Action::Receive(batch) => Some(self.receive(batch).await),
            Action::Cosign => Some(
                self.ours(self.node.cosign(self.peer).await)
                    .map(Event::Cosignature),
            ),
            Action::Keep(cosigned) => {
                let kept = self
                    .node
                    .keep_cosignature(self.peer, cosigned.size, &cosigned.line)
                    .await;
                match kept {
                    Ok(_) => None,
                    Err(error) => Some(Err(self.refuse(error).await)),
                }
            }
            Action::NoteNack(nack) => {
                tracing::warn!(peer = %self.peer, index = nack.index, code = nack.code, text = nack.text, "refused by peer");
                let kept = self.keep_nack(nack).await;
                self.ours(kept).err().map(Err)
            }
            Action::PeerLeft(said) => {
                self.heed(&said).await;
                self.ended = Some(End::Goodbye(said));
                None
            }
            Action::Close(farewell) => {
                self.send(Step::Goodbye(farewell.clone()));
                self.ended = Some(match farewell.code() {
                    GoodbyeCode::Closing => End::Stopped,
                    _ => End::Goodbye(farewell),
                });
                None
            }
        }
    }

    /// A Spoke believes the Hub that its disk was rewound or cloned: it would sign a second tree of a
    /// size, so it appends nothing more. Any other farewell is only a word: a peer's word never fences
    /// the Hub, and nobody is fenced because somebody else is.
    async fn heed(&self, said: &Goodbye) {
        let cloned = matches!(said.code(), GoodbyeCode::Rewound | GoodbyeCode::Epoch);
        if self.node.me() == NodeId::Hub || !cloned {
            return;
        }
        let reason = printable(&said.text, 300);
        if let Err(error) = self.node.fence(self.node.me(), &reason, "told by the Hub").await {
            tracing::error!(%error, "the fence could not be stored");
        }
    }

    fn send(&mut self, step: Step) {
        // The window bounds what can be on its way; a full queue means a peer that breaks it.
        if self.outbound.try_send(step).is_err() {
            self.ended = Some(End::Cut("the peer does not read".into()));
        }
    }

    /// A failure of our own: the session ends, the peer tries again.
    fn ours<T>(&self, result: Result<T, NodeError>) -> Result<T, Goodbye> {
        result.map_err(|error| {
            tracing::error!(peer = %self.peer, %error, "session ends");
            goodbye(GoodbyeCode::Closing, "an internal failure", "try again later")
        })
    }

    async fn refuse(&self, error: ReceiveError) -> Goodbye {
        match error {
            ReceiveError::Node(error) => self.ours::<()>(Err(error)).err().unwrap_or_default(),
            ReceiveError::Protocol(why) => {
                goodbye(GoodbyeCode::Protocol, &why, "compare the two programs' versions")
            }
            ReceiveError::Verification(why) => self.fence_peer(GoodbyeCode::Verification, &why).await,
        }
    }

    async fn fence_peer(&self, code: GoodbyeCode, why: &str) -> Goodbye {
        if let Err(error) = self.node.fence(self.peer, why, why).await {
            tracing::error!(peer = %self.peer, %error, "the fence could not be stored");
        }
        goodbye(
            code,
            why,
            "compare checkpoints outside this stream, then let a person decide",
        )
    }

    async fn receive(&self, batch: Batch) -> Result<Event, Goodbye> {
        match self.node.receive(batch).await {
            Ok(received) => Ok(Event::Received {
                size: received.size,
                held: received.held,
            }),
            Err(error) => Err(self.refuse(error).await),
        }
    }

    async fn load(&self, from: u64) -> Result<Option<Batch>, NodeError> {
        let me = self.node.me();
        let mut tx = self.node.db.read().await?;
        let marks = checkpoints::after(&mut tx, me, from, BATCH_ENTRIES_MAX as u32).await?;
        let sizes = entries::sizes(&mut tx, me, from, from + BATCH_ENTRIES_MAX as u64).await?;
        let Some((to, checkpoint)) = last_that_fits(from, marks, &sizes) else {
            return Ok(None);
        };
        let mut leaves = Vec::with_capacity((to - from) as usize);
        for stored in entries::range(&mut tx, me, from, to).await? {
            let erased_by = stored.erased_by;
            let entry = parse(stored)?;
            let mut leaf = leaf_from_entry(&entry, entry.header.scope.admits(self.peer));
            leaf.erased_by = erased_by;
            leaves.push(leaf);
        }
        Ok(Some(Batch {
            node: me.to_string(),
            first: from,
            leaves,
            checkpoint,
        }))
    }

    async fn hello(&self) -> Result<Hello, NodeError> {
        let mut tx = self.node.db.read().await?;
        let epoch = epochs::get(&mut tx, self.peer).await?.map_or(0, |e| e.current);
        Ok(Hello {
            protocol_version: super::PROTOCOL_VERSION,
            federation: self.node.identity.federation.to_string(),
            node: self.node.me().to_string(),
            epoch,
            build: build(),
            capabilities: Vec::new(),
            ledgers: self.states(&mut tx).await?,
        })
    }

    /// Hub: judges Hello and issues the next epoch. Dying after the commit and before Welcome is
    /// heard, the Spoke presents the epoch that is still current.
    async fn admit(&self, hello: Hello) -> Result<Admission, Goodbye> {
        let named =
            hello.federation == self.node.identity.federation.as_str() && hello.node == self.peer.to_string();
        if !named {
            return Err(goodbye(
                GoodbyeCode::Mismatch,
                "another federation or region",
                "check the join bundle",
            ));
        }
        self.refuse_fenced().await?;
        let (send_from, held, peer_size) = self.stand(&hello.ledgers).await?;
        let next = match self.ours(
            self.turn_epoch(|state| handshake::present(state, hello.epoch))
                .await,
        )? {
            Ok(next) => next,
            Err(refused) => {
                let why = format!(
                    "epoch {} is neither the current {} nor the just issued {}: a clone or a rewound disk",
                    refused.presented, refused.state.current, refused.state.issued
                );
                return Err(self.fence_peer(GoodbyeCode::Epoch, &why).await);
            }
        };
        let mut tx = self.ours(self.node.db.read().await.map_err(NodeError::from))?;
        let ledgers = self.ours(self.states(&mut tx).await)?;
        let own_size = own_size(&ledgers);
        let welcome = Welcome {
            protocol_version: super::PROTOCOL_VERSION,
            epoch: next.issued,
            build: build(),
            capabilities: Vec::new(),
            ledgers,
        };
        Ok(Admission {
            welcome: Some(welcome),
            epoch: next.issued,
            send_from,
            own_size,
            peer_size,
            held,
        })
    }

    /// Spoke: judges Welcome and stores the epoch before it answers Ready. Dying in between, it
    /// presents the old epoch, which the Hub still accepts as current.
    async fn enter(&self, welcome: Welcome) -> Result<Admission, Goodbye> {
        self.refuse_fenced().await?;
        let (send_from, held, peer_size) = self.stand(&welcome.ledgers).await?;
        let epoch = Epoch {
            current: welcome.epoch,
            issued: welcome.epoch,
            last_contact: self.now(),
        };
        self.ours(self.store_epoch(epoch).await)?;
        let mut tx = self.ours(self.node.db.read().await.map_err(NodeError::from))?;
        let own_size = own_size(&self.ours(self.states(&mut tx).await)?);
        Ok(Admission {
            welcome: None,
            epoch: welcome.epoch,
            send_from,
            own_size,
            peer_size,
            held,
        })
    }

    async fn refuse_fenced(&self) -> Result<(), Goodbye> {
        let fence = async {
            let mut tx = self.node.db.read().await?;
            let own = fences::of(&mut tx, self.node.me()).await?;
            Ok(match own {
                Some(fence) => Some(fence),
                None => fences::of(&mut tx, self.peer).await?,
            })
        };
        match self.ours(fence.await)? {
            None => Ok(()),
            Some(fence) => Err(goodbye(
                GoodbyeCode::Fenced,
                &fence.reason,
                "`sync status` shows what was found; this version has no command that lifts a fence",
            )),
        }
    }

    /// Judges what the peer says of both ledgers: (where to send from, what we hold of the peer's
    /// ledger, how large that is).
    async fn stand(&self, states: &[LedgerState]) -> Result<(u64, u64, u64), Goodbye> {
        let of = |node: NodeId| {
            states
                .iter()
                .find(|s| s.node == node.to_string())
                .cloned()
                .unwrap_or_else(|| LedgerState {
                    node: node.to_string(),
                    size: 0,
                    checkpoint: String::new(),
                })
        };
        let own = self.ours(self.claim(self.node.me(), &of(self.node.me())).await)?;
        let followed = self.ours(self.claim(self.peer, &of(self.peer)).await)?;
        let send_from = match judge_own(&own) {
            Ok(from) => from,
            Err(breach @ Breach::Unproved { .. }) => {
                return Err(self
                    .fence_peer(GoodbyeCode::Verification, &breach.to_string())
                    .await);
            }
            Err(breach) => {
                let evidence = own.shown.map(|s| s.note).unwrap_or_default();
                self.ours(
                    self.node
                        .fence(self.node.me(), &breach.to_string(), &evidence)
                        .await,
                )?;
                return Err(goodbye(
                    GoodbyeCode::Fenced,
                    &breach.to_string(),
                    "this node recovers its ledger first",
                ));
            }
        };
        if let Err(breach) = judge_followed(&followed) {
            let code = match breach {
                Breach::Rewound { .. } => GoodbyeCode::Rewound,
                _ => GoodbyeCode::Verification,
            };
            return Err(self.fence_peer(code, &breach.to_string()).await);
        }
        Ok((send_from, followed.held, followed.claimed))
    }

    async fn claim(&self, ledger: NodeId, state: &LedgerState) -> Result<Claim, NodeError> {
        let mut tx = self.node.db.read().await?;
        let held = heads::get(&mut tx, ledger).await?.map_or(0, |h| h.size);
        let verifier = match verifier(&mut tx, ledger, state.size).await {
            Ok(verifier) => verifier,
            Err(ReceiveError::Node(error)) => return Err(error),
            Err(_) => {
                return Ok(Claim {
                    held,
                    root_at_claim: None,
                    claimed: state.size,
                    shown: None,
                });
            }
        };
        let kept = checkpoints::get(&mut tx, ledger, state.size).await?;
        let root_at_claim = kept
            .and_then(|note| verifier.open(&note).ok())
            .map(|s| s.checkpoint.root);
        let shown = if state.size == 0 {
            None
        } else {
            verifier.open(&state.checkpoint).ok()
        };
        Ok(Claim {
            held,
            root_at_claim,
            claimed: state.size,
            shown,
        })
    }

    async fn states(&self, tx: &mut Tx) -> Result<Vec<LedgerState>, NodeError> {
        let mut states = Vec::new();
        for node in [self.node.me(), self.peer] {
            if let Some(head) = heads::get(tx, node).await? {
                states.push(LedgerState {
                    node: node.to_string(),
                    size: head.size,
                    checkpoint: head.note,
                });
            }
        }
        Ok(states)
    }

    /// Hub: the Spoke has stored the epoch. A Ready of a session that a newer one overtook is late.
    async fn confirm(&self, epoch: u64) -> Result<(), Goodbye> {
        let confirmed = self.ours(self.turn_epoch(|state| handshake::confirm(state, epoch)).await)?;
        confirmed.map(drop).map_err(|late| {
            goodbye(
                GoodbyeCode::Closing,
                &late.to_string(),
                "a newer session took over",
            )
        })
    }

    /// Reads the epoch, decides and stores, in one transaction: of two clones that come at once, the
    /// second decides on what the first has left.
    async fn turn_epoch(
        &self,
        decide: impl FnOnce(EpochState) -> Result<EpochState, EpochRefused>,
    ) -> Result<Result<EpochState, EpochRefused>, NodeError> {
        let mut tx = self.node.db.write().await?;
        let stored = epochs::get(&mut tx, self.peer).await?;
        let state = stored.map_or(EpochState::default(), |e| EpochState {
            current: e.current,
            issued: e.issued,
        });
        let next = match decide(state) {
            Ok(next) => next,
            Err(refused) => return Ok(Err(refused)),
        };
        let epoch = Epoch {
            current: next.current,
            issued: next.issued,
            last_contact: self.now(),
        };
        epochs::put(&mut tx, self.peer, epoch).await?;
        tx.commit().await?;
        Ok(Ok(next))
    }

    async fn store_epoch(&self, epoch: Epoch) -> Result<(), NodeError> {
        let mut tx = self.node.db.write().await?;
        epochs::put(&mut tx, self.peer, epoch).await?;
        Ok(tx.commit().await?)
    }

    async fn keep_nack(&self, nack: raccordo_proto::wire::Nack) -> Result<(), NodeError> {
        let mut tx = self.node.db.write().await?;
        let refused = Refused {
            peer: self.peer,
            index: nack.index,
            code: printable(&nack.code, 40),
            text: printable(&nack.text, 1_024),
            remedy: printable(&nack.remedy, 1_024),
            at: self.now(),
        };
        nacks::put(&mut tx, &refused).await?;
        Ok(tx.commit().await?)
    }

    fn now(&self) -> Timestamp {
        self.node.system_clock.now()
    }
}

/// What a peer wrote, as it may be stored and shown: at most `most` characters, none of control.
fn printable(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

fn own_size(states: &[LedgerState]) -> u64 {
    states.first().map_or(0, |s| s.size)
}

/// The largest checkpoint that a batch from `from` on may end at; the next one always fits, as no
/// append is larger than a batch.
fn last_that_fits(from: u64, marks: Vec<(u64, String)>, sizes: &[u64]) -> Option<(u64, String)> {
    let mut chosen = None;
    for (size, note) in marks {
        let count = (size - from) as usize;
        if count > BATCH_ENTRIES_MAX || count > sizes.len() {
            break;
        }
        let bytes: u64 = sizes[..count].iter().sum();
        if chosen.is_some() && bytes > BATCH_BYTES_MAX as u64 {
            break;
        }
        chosen = Some((size, note));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_ends_at_the_last_checkpoint_that_fits() {
        let marks = |sizes: &[u64]| sizes.iter().map(|s| (*s, String::new())).collect::<Vec<_>>();
        let fits = |m: &[u64], sizes: &[u64]| last_that_fits(10, marks(m), sizes).map(|(s, _)| s);
        assert_eq!(fits(&[11, 12, 14], &[1, 1, 1, 1]), Some(14));
        assert_eq!(fits(&[11, 12], &[700_000, 700_000]), Some(11));
        assert_eq!(fits(&[], &[]), None);
    }
}
