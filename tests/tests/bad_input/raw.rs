//! gRPC calls whose messages are whatever bytes a test likes.

use bytes::{Buf, BufMut};
use futures::Stream;
use tonic::{
    Request, Status, Streaming,
    client::{Grpc, GrpcService},
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{Body, StdError, http::uri::PathAndQuery},
};

/// Bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length).to_vec()))
    }
}

/// A call with these bytes for its message.
pub(crate) async fn call<C>(channel: C, path: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, Status>
where
    C: GrpcService<tonic::body::Body>,
    C::ResponseBody: Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as Body>::Error: Into<StdError> + Send,
{
    let mut grpc = Grpc::new(channel);
    ready(&mut grpc).await?;
    let answer = grpc
        .unary(Request::new(bytes), PathAndQuery::from_static(path), Raw)
        .await?;
    Ok(answer.into_inner())
}

/// A call with a stream of messages of these bytes, answered by a stream.
pub(crate) async fn stream<C>(
    channel: C,
    path: &'static str,
    messages: impl Stream<Item = Vec<u8>> + Send + 'static,
) -> Result<Streaming<Vec<u8>>, Status>
where
    C: GrpcService<tonic::body::Body>,
    C::ResponseBody: Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as Body>::Error: Into<StdError> + Send,
{
    let mut grpc = Grpc::new(channel);
    ready(&mut grpc).await?;
    let path = PathAndQuery::from_static(path);
    Ok(grpc
        .streaming(Request::new(messages), path, Raw)
        .await?
        .into_inner())
}

async fn ready<C>(grpc: &mut Grpc<C>) -> Result<(), Status>
where
    C: GrpcService<tonic::body::Body>,
{
    grpc.ready().await.map_err(|e| {
        let error: StdError = e.into();
        Status::unavailable(error.to_string())
    })
}
