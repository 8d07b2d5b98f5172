//! Traces to a collector, over OTLP: off without an address, and then nothing of it runs.
//!
//! Which requests are traced is drawn once, where a request arrives; everything that follows from it goes along with the
//! choice, in whatever process. Spans are sent in batches by a thread of their own; what a collector does not take in
//! time is dropped, and no request waits for it.

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::Settings;

/// Sends spans, if there is somebody to send them to.
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Nobody gets them.
    pub fn off() -> Self {
        Self(None)
    }

    /// Begins to send, for a role. Must be called on the process's runtime.
    pub fn start(settings: &Settings, role: &'static str) -> anyhow::Result<Self> {
        let Some(endpoint) = &settings.otlp_endpoint.0 else { return Ok(Self::off()) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
        let exporter = exporter.with_context(|| format!("send traces to {endpoint} (otlp_endpoint)"))?;
        let resource = Resource::builder()
            .with_service_name(format!("starling-{role}"))
            .with_attribute(KeyValue::new("service.namespace", "starling"))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("service.instance.id", instance()))
            .build();
        let share = 1.0 / settings.trace_every.get() as f64;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(sampler)
            .build();
        Ok(Self(Some(provider)))
    }

    /// What takes the spans that belong to traces, and no others.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> Option<impl Layer<S> + use<S>> {
        let tracer = self.0.as_ref()?.tracer("starling");
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(Targets::new().with_target(proto::trace::TARGET, Level::INFO)))
    }

    /// Sends what is left.
    pub fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }
}

/// Tells processes of the same role apart.
fn instance() -> String {
    format!("{:016x}", model::entropy::number())
}
