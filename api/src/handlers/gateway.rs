//! Where the gateway is, and the list of voice regions.

use model::limits::IDENTIFIES_PER_DAY;
use proto::v1;
use serde_json::json;

use crate::call::Call;
use crate::error::ApiResult;
use crate::reply::Reply;

/// As Discord recommends: a shard for every so many guilds.
const GUILDS_PER_SHARD: usize = 1000;
const DAY_MS: u64 = 86_400_000;

pub(crate) async fn url(call: Call) -> ApiResult<Reply> {
    Reply::json(&json!({"url": call.shared.config.public_gateway_url}))
}

pub(crate) async fn bot(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let request = v1::ListUserGuildsRequest { user_id, ..v1::ListUserGuildsRequest::default() };
    let guilds = call.guilds().list_user_guilds(request).await?.into_inner().guilds.len();
    let config = &call.shared.config;
    Reply::json(&json!({
        "url": config.public_gateway_url,
        "shards": guilds / GUILDS_PER_SHARD + 1,
        "session_start_limit": {
            "total": IDENTIFIES_PER_DAY,
            "remaining": IDENTIFIES_PER_DAY,
            "reset_after": DAY_MS,
            "max_concurrency": config.identify_concurrency,
        },
    }))
}

pub(crate) async fn voice_regions(_: Call) -> ApiResult<Reply> {
    let region = |id: &str, name: &str, optimal: bool| json!({"id": id, "name": name, "optimal": optimal, "deprecated": false, "custom": false});
    Reply::json(&[region("automatic", "Automatic", true)])
}
