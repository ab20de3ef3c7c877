//! Connections to other nodes: gRPC over our own TLS, through a dialer that is a parameter.
//!
//! Each [`channel`] is an HTTP/2 connection of its own: the ledger, content down and content up do
//! not wait for each other.

use crate::identity::{IdentityError, ca::node_name, tls::server_name};
use futures::future::BoxFuture;
use hyper_util::rt::TokioIo;
use raccordo_model::node::NodeId;
use rustls::ClientConfig;
use std::{fmt::Debug, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// HTTP/2 window of one stream, in bytes.
pub const STREAM_WINDOW: u32 = 2 << 20;
/// HTTP/2 window of a connection, in bytes.
pub const CONNECTION_WINDOW: u32 = 8 << 20;
/// How long connecting with TLS may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_PATIENCE: Duration = Duration::from_secs(20);
/// Longest answer of a proxy to CONNECT, in bytes.
const PROXY_ANSWER_MAX: usize = 8 * 1_024;

/// A two-way stream of bytes.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens streams to addresses: TCP, a proxy, or the network of a simulation.
pub trait Dialer: Send + Sync + Debug {
    /// Opens a stream to `host:port`.
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Io>>>;
}

/// Plain TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpDialer;

impl Dialer for TcpDialer {
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

/// Through an HTTP proxy, by CONNECT.
#[derive(Debug, Clone)]
pub struct ProxyDialer {
    /// `host:port` of the proxy.
    pub proxy: String,
}

impl Dialer for ProxyDialer {
    fn dial(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        let proxy = self.proxy.clone();
        Box::pin(async move {
            let mut stream = TcpStream::connect(&proxy).await?;
            stream.set_nodelay(true)?;
            ask_proxy(&mut stream, &address).await?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    }
}

async fn ask_proxy(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), address: &str) -> io::Result<()> {
    stream
        .write_all(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
        .await?;
    // One byte at a time, so that nothing of what follows the answer is taken.
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == PROXY_ANSWER_MAX {
            return Err(io::Error::other("the proxy's answer to CONNECT is too long"));
        }
        answer.push(stream.read_u8().await?);
    }
    let line = String::from_utf8_lossy(&answer);
    let line = line.lines().next().unwrap_or_default();
    let granted =
        line.starts_with("HTTP/1.") && line.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
    if granted {
        Ok(())
    } else {
        Err(io::Error::other(format!("the proxy refused CONNECT: {line}")))
    }
}

/// A connection to `node` at `address` (`host:port`), made when first used and again after it broke.
/// The other side's certificate must carry the node's own name, whatever the address.
pub fn channel(
    dialer: Arc<dyn Dialer>,
    address: &str,
    node: NodeId,
    tls: Arc<ClientConfig>,
) -> Result<Channel, IdentityError> {
    let name = server_name(node)?;
    let refused =
        |e: &dyn std::fmt::Display| IdentityError::unacceptable(format!("cannot connect to {address}: {e}"));
    let origin: Uri = format!("https://{}", node_name(node))
        .parse()
        .map_err(|e| refused(&e))?;
    // The scheme is http because TLS is in our connector (tonic would refuse https); the origin says
    // what the server must see.
    let endpoint = Endpoint::from_shared(format!("http://{}", node_name(node)))
        .map_err(|e| refused(&e))?
        .origin(origin)
        .connect_timeout(CONNECT_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_PATIENCE)
        .keep_alive_while_idle(true);
    let (connector, address) = (TlsConnector::from(tls), address.to_owned());
    Ok(
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_: Uri| {
            let (dialer, address, connector, name) =
                (dialer.clone(), address.clone(), connector.clone(), name.clone());
            async move {
                let connect = async {
                    let stream = dialer.dial(address).await?;
                    let stream = connector.connect(name, stream).await?;
                    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                        return Err(io::Error::other("the server does not speak HTTP/2"));
                    }
                    Ok(TokioIo::new(stream))
                };
                timeout(CONNECT_TIMEOUT, connect)
                    .await
                    .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            }
        })),
    )
}

/// A failed call in one line with its causes: a refusal in the TLS handshake shows only there.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text.truncate(text.floor_char_boundary(1_024));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_proxy_is_asked_and_its_answer_read_exactly() {
        let (mut us, mut proxy) = tokio::io::duplex(1_024);
        proxy
            .write_all(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nafter")
            .await
            .unwrap();
        ask_proxy(&mut us, "hub:7443").await.unwrap();
        let mut rest = [0; 5];
        us.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"after");
        let mut asked = vec![0; 19];
        proxy.read_exact(&mut asked).await.unwrap();
        assert_eq!(asked, b"CONNECT hub:7443 HT");

        proxy
            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            .await
            .unwrap();
        let error = ask_proxy(&mut us, "hub:7443").await.unwrap_err().to_string();
        assert!(error.contains("407"), "{error}");
    }
}
