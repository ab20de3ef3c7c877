//! A region made by hand: its own keys and certificates, a ledger that it signs as it likes.

use anyhow::{Context, Result, bail};
use raccordo_ledger::{hash, note::LedgerSigner, owner::prepare, tree::Frontier};
use raccordo_model::{
    digest::LeafHash,
    entry::{AccountId, Actor, BodyEncoding, Header},
    kind::{Criticality, Kind},
    node::NodeId,
    scope::Scope,
    timestamp::Timestamp,
};
use raccordo_node::{
    channel::{TcpDialer, channel},
    clock::{Clock, SystemClock},
    identity::{
        ca::Ca,
        keys::NodeSecrets,
        node_file::NodeFile,
        tls::{Hot, client_config, read_certificate},
    },
    random::OsRandom,
};
use raccordo_proto::{
    body::Act,
    entry::encode_header,
    wire::{
        Batch, Body, Frame, Goodbye, GoodbyeCode, Hello, Leaf, LedgerState, Nack, Ready, SessionRequest,
        SessionResponse, exchange_service_client::ExchangeServiceClient, frame::Step,
    },
};
use rustls::pki_types::CertificateDer;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which certificate a caller shows on the exchange port.
pub(crate) enum Shown<'a> {
    /// None.
    Nothing,
    /// The one in its folder.
    Own,
    /// Another of the same key, issued by this CA for this node at this many seconds from now.
    Issued(&'a Ca, NodeId, i64),
}

/// The system's time, seconds from now.
pub(crate) fn in_seconds(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(SystemClock.now().as_seconds() + seconds)
}

/// A connection to the Hub's exchange port by whoever owns the folder `data`.
pub(crate) fn connect(data: &Path, exchange: &str, shown: &Shown<'_>) -> Result<Channel> {
    let secrets = NodeSecrets::open(data)?;
    let ca = read_certificate(&data.join("tls/ca.pem"))?;
    let certificate: Option<CertificateDer<'static>> = match shown {
        Shown::Nothing => None,
        Shown::Own => Some(read_certificate(&data.join("tls/node.pem"))?),
        Shown::Issued(ca, node, from) => {
            let request = secrets.certificate_request()?;
            Some(
                ca.issue(&request, *node, &[], in_seconds(*from), 600, &OsRandom)?
                    .der,
            )
        }
    };
    let hot = certificate
        .map(|c| Hot::new(c, &secrets.tls_key()?))
        .transpose()?;
    Ok(channel(
        Arc::new(TcpDialer),
        exchange,
        NodeId::Hub,
        client_config(&ca, hot)?,
    )?)
}

/// A region's ledger, written by hand.
pub(crate) struct Region {
    pub(crate) file: NodeFile,
    pub(crate) channel: Channel,
    signer: LedgerSigner,
    frontier: Frontier,
    note: String,
    epoch: u64,
}

/// An entry to be written: what it says, about what.
pub(crate) struct Writing {
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// What came of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Stored and confirmed; what was refused of it.
    Stored(Vec<Nack>),
    /// The Hub ended the session.
    Goodbye(Goodbye),
    /// The stream broke.
    Cut(Status),
}

impl Outcome {
    /// The farewell.
    pub(crate) fn goodbye(self) -> Result<(GoodbyeCode, String)> {
        match self {
            Self::Goodbye(said) => Ok((said.code(), format!("{} ({})", said.text, said.remedy))),
            Self::Cut(status) => bail!("the stream broke: {status}"),
            other => bail!("a farewell was expected: {other:?}"),
        }
    }

    /// What was refused of a stored batch.
    pub(crate) fn nacks(self) -> Result<Vec<Nack>> {
        match self {
            Self::Stored(nacks) => Ok(nacks),
            other => bail!("the batch was not stored: {other:?}"),
        }
    }
}

impl Region {
    /// The region that joined in the folder `data` and never served.
    pub(crate) fn open(data: &Path, exchange: &str) -> Result<Self> {
        let file = NodeFile::read(data)?;
        let secrets = NodeSecrets::open(data)?;
        Ok(Self {
            signer: LedgerSigner::new(&file.origin, secrets.ledger_seed()),
            channel: connect(data, exchange, &Shown::Own)?,
            frontier: Frontier::new(),
            note: String::new(),
            epoch: 0,
            file,
        })
    }

    /// How many entries of it the Hub confirmed.
    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// A sound Hello.
    pub(crate) fn hello(&self) -> Hello {
        Hello {
            protocol_version: 1,
            federation: self.file.federation.to_string(),
            node: self.file.node.to_string(),
            epoch: self.epoch,
            build: "prova".into(),
            capabilities: Vec::new(),
            ledgers: vec![
                LedgerState {
                    node: self.file.node.to_string(),
                    size: self.size(),
                    checkpoint: self.note.clone(),
                },
                LedgerState {
                    node: "hub".into(),
                    size: 0,
                    checkpoint: String::new(),
                },
            ],
        }
    }

    /// An entry of this ledger, with a header that says so.
    pub(crate) fn entry(&self, subject: &str, act: &Act) -> Result<Writing> {
        Ok(Writing {
            header: encode_header(&self.header(subject, Kind::from(act.kind()))?),
            body: act.encode(),
        })
    }

    /// A sound header.
    pub(crate) fn header(&self, subject: &str, kind: Kind) -> Result<Header> {
        Ok(Header {
            ledger: self.file.origin.clone(),
            kind,
            subject: subject.parse()?,
            depends_on: Vec::new(),
            seen: Vec::new(),
            scope: Scope::Centre,
            actors: vec![Actor {
                account: AccountId([7; 16]),
                institution: "REG".into(),
            }],
            recorded_at: Timestamp::from_seconds(1_693_600_000),
            supersedes: None,
            minimum_reader: 1,
            criticality: Criticality::Critical,
            not_before: None,
            content: Vec::new(),
            body_encoding: BodyEncoding::Identity,
        })
    }

    /// A signed batch of entries that follow the ledger, and the tree with it.
    pub(crate) fn batch(&self, entries: &[Writing]) -> Result<(Batch, Frontier)> {
        let mut leaves = Vec::new();
        let mut hashes: Vec<LeafHash> = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let salt = [place as u8; 32];
            let body_hash = hash::body_hash(&salt, &entry.body);
            hashes.push(hash::leaf_hash(&entry.header, &body_hash));
            leaves.push(Leaf {
                header: entry.header.clone(),
                body_hash: body_hash.0.to_vec(),
                body: Some(Body {
                    salt: salt.to_vec(),
                    stored: entry.body.clone(),
                }),
                erased_by: None,
            });
        }
        let appended = prepare(
            &self.frontier,
            &hashes[..hashes.len().min(256)],
            &self.file.origin,
            &self.signer,
        )?;
        let batch = Batch {
            node: self.file.node.to_string(),
            first: self.size(),
            leaves,
            checkpoint: appended.signed.note,
        };
        Ok((batch, appended.frontier))
    }

    /// Opens a session and speaks the handshake.
    pub(crate) async fn session(&mut self) -> Result<Session> {
        let mut session = Session::open(&self.channel).await?;
        session.send(Step::Hello(self.hello())).await?;
        match session.next().await? {
            Ok(Step::Welcome(welcome)) => self.epoch = welcome.epoch,
            other => bail!("a Welcome was expected: {other:?}"),
        }
        session.send(Step::Ready(Ready { epoch: self.epoch })).await?;
        Ok(session)
    }

    /// Sends entries in a session of their own and remembers what was stored.
    pub(crate) async fn append(&mut self, entries: &[Writing]) -> Result<Outcome> {
        let (batch, frontier) = self.batch(entries)?;
        let (size, note) = (frontier.size(), batch.checkpoint.clone());
        let mut session = self.session().await?;
        session.send(Step::Batch(batch)).await?;
        let outcome = session.outcome(size).await?;
        if matches!(outcome, Outcome::Stored(_)) {
            (self.frontier, self.note) = (frontier, note);
        }
        Ok(outcome)
    }
}

/// One stream with the Hub.
pub(crate) struct Session {
    to: mpsc::Sender<SessionRequest>,
    from: Streaming<SessionResponse>,
}

impl Session {
    /// Opens the stream and says nothing.
    pub(crate) async fn open(channel: &Channel) -> Result<Self> {
        let (to, frames) = mpsc::channel(16);
        let mut client =
            ExchangeServiceClient::new(channel.clone()).max_decoding_message_size(2 * 1_024 * 1_024);
        let call = client.session(ReceiverStream::new(frames));
        let from = timeout(PATIENCE, call)
            .await
            .context("the Hub opens the stream")??
            .into_inner();
        Ok(Self { to, from })
    }

    /// Sends a frame.
    pub(crate) async fn send(&self, step: Step) -> Result<()> {
        self.message(SessionRequest {
            frame: Some(Frame { step: Some(step) }),
        })
        .await
    }

    /// Sends a message as it is.
    pub(crate) async fn message(&self, message: SessionRequest) -> Result<()> {
        self.to.send(message).await.context("the stream is open")
    }

    /// The Hub's next frame, or how the stream ended.
    pub(crate) async fn next(&mut self) -> Result<Result<Step, Status>> {
        Ok(
            match timeout(PATIENCE, self.from.message())
                .await
                .context("the Hub answers in time")?
            {
                Ok(Some(SessionResponse {
                    frame: Some(Frame { step: Some(step) }),
                })) => Ok(step),
                Ok(Some(_)) => Err(Status::data_loss("an empty frame")),
                Ok(None) => Err(Status::cancelled("the stream ended")),
                Err(status) => Err(status),
            },
        )
    }

    /// What comes of a batch that makes the ledger `size` entries long: read until it is confirmed.
    pub(crate) async fn outcome(&mut self, size: u64) -> Result<Outcome> {
        let mut nacks = Vec::new();
        loop {
            match self.next().await? {
                Ok(Step::Nack(nack)) => nacks.push(nack),
                Ok(Step::Cosigned(cosigned)) if cosigned.size == size => return Ok(Outcome::Stored(nacks)),
                Ok(Step::Goodbye(said)) => return Ok(Outcome::Goodbye(said)),
                Ok(_) => {}
                Err(status) => return Ok(Outcome::Cut(status)),
            }
        }
    }

    /// How the session ends.
    pub(crate) async fn end(&mut self) -> Result<Outcome> {
        self.outcome(u64::MAX).await
    }
}
