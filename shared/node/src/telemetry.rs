//! Logs and traces: `tracing` to standard error, spans to an OTLP collector when one is configured,
//! and the trace carried along in gRPC metadata.

use opentelemetry::{
    KeyValue, global,
    propagation::{Extractor, Injector},
    trace::TracerProvider,
};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use std::io;
use tonic::{
    Request, Status,
    metadata::{MetadataKey, MetadataMap, MetadataValue},
};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, Layer, prelude::*};

/// What is logged unless told otherwise: the libraries below HTTP only warn.
const FILTER: &str = "info,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,sqlx=warn,rustls=warn";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// How to log and trace.
#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    /// Name of the program, `raccordo-hub`.
    pub service: &'static str,
    /// The node: `hub`, or a region's code.
    pub node: String,
    /// The federation.
    pub federation: String,
    /// The form of log lines.
    pub format: LogFormat,
    /// Directives of `tracing`, for example `info,raccordo_node=debug`; `RUST_LOG` goes before it.
    pub filter: Option<String>,
    /// An OTLP collector (gRPC), for example `http://localhost:4317`.
    pub otlp: Option<String>,
}

/// Why logging did not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not a filter.
    #[error("`{0}` is not a log filter: write for example info,raccordo_node=debug")]
    Filter(String),
    /// The exporter could not be made.
    #[error("traces cannot be sent to `{address}`: {why}")]
    Exporter {
        /// The collector.
        address: String,
        /// Why not.
        why: String,
    },
    /// Something logs already in this process.
    #[error("logging was started before in this process")]
    Twice,
}

/// Logging and tracing of this process; flushed by [`Telemetry::shutdown`].
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Starts logging, and tracing when a collector is configured. Needs a Tokio runtime.
    pub fn start(config: &TelemetryConfig) -> Result<Self, TelemetryError> {
        global::set_text_map_propagator(TraceContextPropagator::new());
        let filter = filter(config)?;
        let provider = config
            .otlp
            .as_deref()
            .map(|address| provider(config, address))
            .transpose()?;
        let traces = provider
            .as_ref()
            .map(|p| tracing_opentelemetry::layer().with_tracer(p.tracer(config.service)));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let lines = match config.format {
            LogFormat::Json => lines.json().boxed(),
            LogFormat::Human => lines.with_ansi(false).boxed(),
        };
        tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .with(traces)
            .try_init()
            .map_err(|_| TelemetryError::Twice)?;
        if let Some(provider) = &provider {
            global::set_tracer_provider(provider.clone());
        }
        Ok(Self(provider))
    }

    /// Sends what was not sent; call it last, after the tasks have drained.
    pub async fn shutdown(self) {
        let Some(provider) = self.0 else { return };
        // The exporter waits for its own task: on a thread of ours it would wait for itself.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

fn filter(config: &TelemetryConfig) -> Result<EnvFilter, TelemetryError> {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .filter(|text| !text.is_empty())
        .or_else(|| config.filter.clone());
    let text = asked.unwrap_or_else(|| FILTER.into());
    EnvFilter::try_new(&text).map_err(|_| TelemetryError::Filter(text))
}

fn provider(config: &TelemetryConfig, address: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(address)
        .build()
        .map_err(|e| TelemetryError::Exporter {
            address: address.into(),
            why: e.to_string(),
        })?;
    let resource = Resource::builder()
        .with_service_name(config.service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("raccordo.node", config.node.clone()))
        .with_attribute(KeyValue::new("raccordo.federation", config.federation.clone()))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_resource(resource)
        .with_batch_exporter(exporter)
        .build())
}

struct Outgoing<'a>(&'a mut MetadataMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (
            MetadataKey::from_bytes(key.as_bytes()),
            MetadataValue::try_from(&value),
        ) {
            self.0.insert(key, value);
        }
    }
}

struct Incoming<'a>(&'a http::HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|key| key.as_str()).collect()
    }
}

/// Interceptor of clients: the current trace goes along.
#[allow(clippy::result_large_err, reason = "the type of tonic's interceptors")]
pub fn inject(mut request: Request<()>) -> Result<Request<()>, Status> {
    let context = tracing::Span::current().context();
    global::get_text_map_propagator(|p| p.inject_context(&context, &mut Outgoing(request.metadata_mut())));
    Ok(request)
}

/// A span for a request, under the caller's when it sent one.
pub fn span_of(headers: &http::HeaderMap, path: &str) -> tracing::Span {
    let span = tracing::info_span!("node.request.serve", otel.kind = "server", path);
    let _ = span.set_parent(global::get_text_map_propagator(|p| p.extract(&Incoming(headers))));
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let config = TelemetryConfig {
            filter: Some("info,[".into()),
            ..TelemetryConfig::default()
        };
        if std::env::var_os("RUST_LOG").is_none() {
            assert!(filter(&config).unwrap_err().to_string().contains("info,["));
        }
        assert!(EnvFilter::try_new(FILTER).is_ok());
    }
}
