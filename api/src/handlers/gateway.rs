//! Where the gateway is, and the list of voice regions.

use backplane::StartCount;
use model::UserId;
use model::limits::{IDENTIFY_DAY_MS, identifies_per_day};
use proto::v1;
use serde_json::json;

use crate::call::Call;
use crate::error::ApiResult;
use crate::reply::Reply;

/// As Discord recommends: a shard for every so many guilds.
const GUILDS_PER_SHARD: usize = 1000;

pub(crate) async fn url(call: Call) -> ApiResult<Reply> {
    Reply::json(&json!({"url": call.shared.config.public_gateway_url}))
}

pub(crate) async fn bot(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let request = v1::ListUserGuildsRequest { user_id, ..v1::ListUserGuildsRequest::default() };
    let guilds = call.guilds().list_user_guilds(request).await?.into_inner().guilds.len();
    let config = &call.shared.config;
    let total = identifies_per_day(guilds);
    let StartCount { count, reset_after_ms } = starts(&call, user_id).await;
    Reply::json(&json!({
        "url": config.public_gateway_url,
        "shards": guilds / GUILDS_PER_SHARD + 1,
        "session_start_limit": {
            "total": total,
            "remaining": total.saturating_sub(count),
            "reset_after": reset_after_ms,
            "max_concurrency": config.identify_concurrency,
        },
    }))
}

/// What a bot has used of its day. While nobody knows, gateways let it in, so nothing is.
async fn starts(call: &Call, user_id: u64) -> StartCount {
    let unused = StartCount { count: 0, reset_after_ms: IDENTIFY_DAY_MS };
    match (&call.shared.config.starts, UserId::new(user_id)) {
        (Some(starts), Some(bot)) => starts.count(bot).await.unwrap_or(unused),
        _ => unused,
    }
}

pub(crate) async fn voice_regions(_: Call) -> ApiResult<Reply> {
    let region = |id: &str, name: &str, optimal: bool| json!({"id": id, "name": name, "optimal": optimal, "deprecated": false, "custom": false});
    Reply::json(&[region("automatic", "Automatic", true)])
}
