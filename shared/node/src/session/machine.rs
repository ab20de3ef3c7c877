//! The session as a pure state machine: events in, actions out; no IO, no clock.
//!
//! Both ends run the same machine. The driver carries each action out to its end and feeds the
//! result back as the next event, so that a simulation with the same seed does the same.

use super::{NACKS_PER_BATCH_MAX, PROTOCOL_VERSION, WINDOW};
use crate::projection::{Held, Retry};
use raccordo_model::node::NodeId;
use raccordo_proto::wire::{
    Batch, Cosigned, Goodbye, GoodbyeCode, Hello, Nack, Ready, RetryClass, Stored, Welcome, frame::Step,
};
use std::collections::VecDeque;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The stream is open; a Spoke speaks first.
    Opened,
    /// A frame came from the peer.
    Frame(Step),
    /// Our own ledger has this size now.
    OwnGrew(u64),
    /// Result of [`Action::Greet`].
    Greeting(Hello),
    /// Result of [`Action::Admit`] or [`Action::Enter`].
    Admitted(Admission),
    /// Result of [`Action::Load`]: nothing when the ledger has no more.
    Loaded(Option<Batch>),
    /// Result of [`Action::Receive`].
    Received {
        /// How much of the peer's ledger is durable here.
        size: u64,
        /// What was put in quarantine.
        held: Vec<Held>,
    },
    /// Result of [`Action::Cosign`].
    Cosignature(Option<(u64, String)>),
}

/// What the handshake established.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Our answer, at the Hub.
    pub welcome: Option<Welcome>,
    /// The epoch of this session.
    pub epoch: u64,
    /// The peer holds our ledger up to here.
    pub send_from: u64,
    /// Our own ledger's size.
    pub own_size: u64,
    /// The size of the peer's ledger, by its last signed checkpoint.
    pub peer_size: u64,
    /// How much of it we hold.
    pub held: u64,
}

/// What the driver must do.
#[derive(Debug)]
pub enum Action {
    /// Send a frame.
    Send(Step),
    /// Spoke: make Hello from what is stored.
    Greet,
    /// Hub: judge Hello, issue an epoch durably.
    Admit(Hello),
    /// Spoke: judge Welcome, store the epoch durably.
    Enter(Welcome),
    /// Hub: the Spoke has stored the epoch.
    ConfirmEpoch(u64),
    /// Read the next batch of our own ledger from this entry on.
    Load(u64),
    /// Verify, store and apply a batch.
    Receive(Batch),
    /// Cosign the peer's ledger at what we hold.
    Cosign,
    /// Verify and keep the peer's cosignature of our ledger.
    Keep(Cosigned),
    /// A refusal of one of our entries was told.
    NoteNack(Nack),
    /// The peer said goodbye.
    PeerLeft(Goodbye),
    /// Say goodbye and end.
    Close(Goodbye),
}

/// Which end this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Answers.
    Hub,
    /// Opens.
    Spoke,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Spoke: Hello is being made or on its way. Hub: Hello is awaited or judged.
    Greeting,
    /// Hub: Welcome is sent, Ready is awaited.
    AwaitingReady,
    /// Entries flow.
    Exchanging,
    /// Nothing more happens.
    Closed,
}

/// One session.
#[derive(Debug)]
pub struct Machine {
    side: Side,
    me: NodeId,
    peer: NodeId,
    state: State,
    epoch: u64,
    /// Own ledger: entries handed to the network.
    sent: u64,
    own_size: u64,
    unanswered: u32,
    loading: bool,
    /// Peer's ledger: the last signed size seen, and what is durable here.
    peer_size: u64,
    held: u64,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A session between `me` and `peer`, before anything happened.
    pub fn new(side: Side, me: NodeId, peer: NodeId) -> Self {
        Self {
            side,
            me,
            peer,
            state: State::Greeting,
            epoch: 0,
            sent: 0,
            own_size: 0,
            unanswered: 0,
            loading: false,
            peer_size: 0,
            held: 0,
            actions: VecDeque::new(),
        }
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether entries flow.
    pub fn is_exchanging(&self) -> bool {
        self.state == State::Exchanging
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes note of an event.
    pub fn handle(&mut self, event: Event) {
        match (self.state, event) {
            (State::Closed, _) => {}
            (State::Greeting, Event::Opened) => {
                if self.side == Side::Spoke {
                    self.act(Action::Greet);
                }
            }
            (_, Event::Greeting(hello)) => self.send(Step::Hello(hello)),
            (_, Event::Admitted(admission)) => self.admitted(admission),
            (_, Event::OwnGrew(size)) => {
                self.own_size = self.own_size.max(size);
                self.fill_window();
            }
            (_, Event::Loaded(batch)) => self.loaded(batch),
            (_, Event::Received { size, held }) => self.received(size, held),
            (_, Event::Cosignature(made)) => {
                if let Some((size, line)) = made {
                    self.send(Step::Cosigned(Cosigned {
                        node: self.peer.to_string(),
                        size,
                        line,
                    }));
                }
            }
            (state, Event::Frame(step)) => self.frame(state, step),
            (_, Event::Opened) => {}
        }
    }

    /// Ends the session for a reason of our own.
    pub fn close(&mut self, goodbye: Goodbye) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.actions.clear();
            self.act(Action::Close(goodbye));
        }
    }

    fn frame(&mut self, state: State, step: Step) {
        match (self.side, state, step) {
            (_, _, Step::Goodbye(goodbye)) => {
                self.state = State::Closed;
                self.actions.clear();
                self.act(Action::PeerLeft(goodbye));
            }
            (Side::Hub, State::Greeting, Step::Hello(hello)) => {
                if hello.protocol_version < PROTOCOL_VERSION {
                    return self.close(goodbye(
                        GoodbyeCode::Mismatch,
                        "no common protocol version",
                        "upgrade the Spoke",
                    ));
                }
                self.act(Action::Admit(hello));
            }
            (Side::Spoke, State::Greeting, Step::Welcome(welcome)) => self.act(Action::Enter(welcome)),
            (Side::Hub, State::AwaitingReady, Step::Ready(ready)) if ready.epoch == self.epoch => {
                self.act(Action::ConfirmEpoch(ready.epoch));
                self.begin();
            }
            (_, State::Exchanging, Step::Batch(batch)) if batch.node == self.peer.to_string() => {
                self.act(Action::Receive(batch));
            }
            // Whoever signed it: a session is about the two ledgers of its two ends.
            (_, State::Exchanging, Step::Batch(batch)) => {
                let named: String = batch.node.chars().take(20).collect();
                let text = format!(
                    "a batch of the ledger of `{named}` in a session with {}",
                    self.peer
                );
                self.close(goodbye(
                    GoodbyeCode::Protocol,
                    &text,
                    "send only the entries of the own ledger",
                ));
            }
            (_, State::Exchanging, Step::Stored(stored)) => self.stored(&stored),
            (_, State::Exchanging, Step::Cosigned(cosigned)) if cosigned.node == self.me.to_string() => {
                self.act(Action::Keep(cosigned));
            }
            (_, State::Exchanging, Step::Nack(nack))
                if nack.node == self.me.to_string() && nack.index < self.own_size =>
            {
                self.act(Action::NoteNack(nack));
            }
            // Content goes up only when asked; this program's entries name none that the Hub lacks.
            (Side::Spoke, State::Exchanging, Step::WantContent(_)) => {}
            _ => self.close(goodbye(
                GoodbyeCode::Protocol,
                "a frame came out of turn",
                "compare the two programs' versions",
            )),
        }
    }

    fn admitted(&mut self, admission: Admission) {
        self.epoch = admission.epoch;
        self.sent = admission.send_from;
        self.own_size = self.own_size.max(admission.own_size);
        self.peer_size = admission.peer_size;
        self.held = admission.held;
        match admission.welcome {
            Some(welcome) => {
                self.state = State::AwaitingReady;
                self.send(Step::Welcome(welcome));
            }
            None => {
                self.send(Step::Ready(Ready { epoch: self.epoch }));
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        self.state = State::Exchanging;
        // A cosignature that was made but not heard is told again.
        if self.held > 0 && self.held == self.peer_size {
            self.act(Action::Cosign);
        }
        self.fill_window();
    }

    fn fill_window(&mut self) {
        let room = self.state == State::Exchanging && self.unanswered < WINDOW && !self.loading;
        if room && self.sent < self.own_size {
            self.loading = true;
            self.act(Action::Load(self.sent));
        }
    }

    fn loaded(&mut self, batch: Option<Batch>) {
        self.loading = false;
        if let Some(batch) = batch {
            self.sent = batch.first + batch.leaves.len() as u64;
            self.unanswered += 1;
            self.send(Step::Batch(batch));
            self.fill_window();
        }
    }

    fn stored(&mut self, stored: &Stored) {
        if stored.node != self.me.to_string() || stored.size > self.sent || self.unanswered == 0 {
            return self.close(goodbye(
                GoodbyeCode::Protocol,
                "an answer to a batch that was not sent",
                "compare the two programs' versions",
            ));
        }
        self.unanswered -= 1;
        self.fill_window();
    }

    fn received(&mut self, size: u64, held: Vec<Held>) {
        self.held = size;
        self.peer_size = self.peer_size.max(size);
        self.send(Step::Stored(Stored {
            node: self.peer.to_string(),
            size,
        }));
        for refused in held.into_iter().take(NACKS_PER_BATCH_MAX) {
            self.send(Step::Nack(nack(refused)));
        }
        if self.held == self.peer_size {
            self.act(Action::Cosign);
        }
    }

    fn send(&mut self, step: Step) {
        self.act(Action::Send(step));
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

/// A farewell.
pub fn goodbye(code: GoodbyeCode, text: &str, remedy: &str) -> Goodbye {
    Goodbye {
        code: code.into(),
        text: text.into(),
        remedy: remedy.into(),
        retry_after_ms: 0,
    }
}

fn nack(held: Held) -> Nack {
    let retry = match held.retry {
        Retry::Never => RetryClass::Never,
        Retry::AfterUpgrade => RetryClass::AfterUpgrade,
    };
    Nack {
        node: held.node.to_string(),
        index: held.index,
        code: held.code.into(),
        retry: retry.into(),
        text: held.text,
        remedy: held.remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> NodeId {
        "090".parse().unwrap()
    }

    fn exchanging(own_size: u64) -> Machine {
        let mut machine = Machine::new(Side::Spoke, region(), NodeId::Hub);
        machine.handle(Event::Opened);
        assert!(matches!(machine.poll(), Some(Action::Greet)));
        machine.handle(Event::Frame(Step::Welcome(Welcome::default())));
        assert!(matches!(machine.poll(), Some(Action::Enter(_))));
        machine.handle(Event::Admitted(Admission {
            welcome: None,
            epoch: 3,
            send_from: 0,
            own_size,
            peer_size: 0,
            held: 0,
        }));
        assert!(matches!(
            machine.poll(),
            Some(Action::Send(Step::Ready(Ready { epoch: 3 })))
        ));
        machine
    }

    fn batch(first: u64) -> Batch {
        Batch {
            node: "090".into(),
            first,
            leaves: vec![Default::default()],
            checkpoint: String::new(),
        }
    }

    #[test]
    fn at_most_four_batches_are_unanswered() {
        let mut machine = exchanging(100);
        let mut sent = 0;
        while let Some(action) = machine.poll() {
            match action {
                Action::Load(from) => machine.handle(Event::Loaded(Some(batch(from)))),
                Action::Send(Step::Batch(_)) => sent += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(sent, 4);
        machine.handle(Event::Frame(Step::Stored(Stored {
            node: "090".into(),
            size: 1,
        })));
        assert!(matches!(machine.poll(), Some(Action::Load(4))));
    }

    #[test]
    fn it_cosigns_when_level_and_not_before() {
        let mut machine = exchanging(0);
        machine.peer_size = 2;
        machine.handle(Event::Received {
            size: 1,
            held: vec![],
        });
        assert!(matches!(machine.poll(), Some(Action::Send(Step::Stored(_)))));
        assert!(machine.poll().is_none(), "not level: nothing is confirmed");
        machine.handle(Event::Received {
            size: 2,
            held: vec![],
        });
        assert!(matches!(machine.poll(), Some(Action::Send(Step::Stored(_)))));
        assert!(matches!(machine.poll(), Some(Action::Cosign)));
    }

    #[test]
    fn a_frame_out_of_turn_ends_the_session() {
        let mut machine = Machine::new(Side::Hub, NodeId::Hub, region());
        machine.handle(Event::Opened);
        machine.handle(Event::Frame(Step::Batch(batch(0))));
        assert!(matches!(machine.poll(), Some(Action::Close(g)) if g.code() == GoodbyeCode::Protocol));
        assert!(machine.is_closed());
    }

    #[test]
    fn a_batch_of_a_third_ledger_ends_the_session() {
        for node in ["090", "140", "", "nobody"] {
            let mut machine = exchanging(0);
            machine.handle(Event::Frame(Step::Batch(Batch {
                node: node.into(),
                ..batch(0)
            })));
            assert!(
                matches!(machine.poll(), Some(Action::Close(g)) if g.code() == GoodbyeCode::Protocol),
                "{node}"
            );
        }
        let mut machine = exchanging(0);
        machine.handle(Event::Frame(Step::Batch(Batch {
            node: "hub".into(),
            ..batch(0)
        })));
        assert!(matches!(machine.poll(), Some(Action::Receive(_))));
    }

    #[test]
    fn an_answer_to_nothing_ends_the_session() {
        let mut machine = exchanging(0);
        machine.handle(Event::Frame(Step::Stored(Stored {
            node: "090".into(),
            size: 1,
        })));
        assert!(machine.is_closed());
    }
}
