//! The Hub's end of the stream.

use super::{OUTBOUND_FRAMES_MAX, driver, machine::Side, peers::Peers};
use crate::{identity::peer::Peer, node::Node};
use futures::{Stream, StreamExt};
use raccordo_model::node::NodeId;
use raccordo_proto::wire::{
    Frame, SessionRequest, SessionResponse, exchange_service_server::ExchangeService, frame::Step,
};
use std::{pin::Pin, sync::Arc};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

/// Serves sessions; the certificate says with which region.
pub struct Exchange {
    /// This node.
    pub node: Arc<Node>,
    /// Who is connected.
    pub peers: Arc<Peers>,
    /// Turns true when the node drains.
    pub shutdown: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl ExchangeService for Exchange {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = match request.extensions().get::<Peer>().map(|p| p.node) {
            Some(NodeId::Region(code)) => NodeId::Region(code),
            _ => {
                return Err(Status::permission_denied(
                    "only a region's certificate opens a session",
                ));
            }
        };
        let (outbound, frames) = mpsc::channel::<Step>(OUTBOUND_FRAMES_MAX);
        let inbound = request.into_inner().map(|message| match message {
            Ok(SessionRequest {
                frame: Some(Frame { step: Some(step) }),
            }) => Ok(step),
            Ok(_) => Err("an empty frame".to_owned()),
            Err(status) => Err(status.message().to_owned()),
        });
        let (node, peers, shutdown) = (self.node.clone(), self.peers.clone(), self.shutdown.clone());
        let span = tracing::info_span!("node.session", %peer);
        // Owned by the stream: it ends when either end of the stream does, and on shutdown.
        tokio::spawn(
            async move {
                let end = driver::run(&node, &peers, Side::Hub, peer, inbound, outbound, shutdown).await;
                tracing::info!(?end, "session over");
            }
            .instrument(span),
        );
        let answers = ReceiverStream::new(frames).map(|step| {
            Ok(SessionResponse {
                frame: Some(Frame { step: Some(step) }),
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
