//! Any bytes as a request to the API, with the services of its own tests behind it.

#![no_main]

#[expect(dead_code, reason = "the API's tests use the rest of it")]
#[path = "../../api/tests/edge/client.rs"]
mod client;
#[expect(dead_code, reason = "the API's tests use the rest of it")]
#[path = "../../api/tests/edge/fakes.rs"]
mod fakes;
#[path = "../../api/tests/edge/request.rs"]
mod request;

use std::sync::LazyLock;

use api::App;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
static APP: LazyLock<App> = LazyLock::new(|| RUNTIME.block_on(async { request::app() }));

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(request) = request::parse(data) {
        RUNTIME.block_on(request::ask(&APP, request));
    }
});
