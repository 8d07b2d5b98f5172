//! The table of routes.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::routing::{MethodFilter, on};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Method, StatusCode};

use crate::app::Shared;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::handlers as h;
use crate::reply::Reply;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everybody.
    Open,
    /// Whoever has a token.
    Token,
}

/// Which limit a route has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Reads,
    Writes,
    /// Guesses at passwords.
    Logins,
    /// The service behind counts.
    Service,
}

type Handler = fn(Call) -> BoxFuture<'static, ApiResult<Reply>>;

/// One row of the table.
pub(crate) struct Route {
    pub(crate) index: u16,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) access: Access,
    pub(crate) limit: Limit,
    pub(crate) handler: Handler,
    /// What clients know the route's limit by.
    pub(crate) bucket: String,
}

/// A route as others may list it, for tests and documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    pub method: Method,
    /// Below `/api/v10`, with parameters in braces.
    pub path: &'static str,
    pub needs_token: bool,
}

/// Every route there is.
pub fn route_list() -> Vec<RouteInfo> {
    let info = |route: &Route| RouteInfo {
        method: route.method.clone(),
        path: route.path,
        needs_token: route.access == Access::Token,
    };
    ROUTES.iter().map(info).collect()
}

/// A router over the table.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for route in ROUTES.iter() {
        let filter = MethodFilter::try_from(route.method.clone()).expect("the table has plain methods only");
        let shared = shared.clone();
        let handler = move |params: Result<RawPathParams, RawPathParamsRejection>, request: Request| {
            shared.clone().serve(route, params, request)
        };
        router = router.route(route.path, on(filter, handler));
    }
    router
        .fallback(|| async { ApiError::plain(StatusCode::NOT_FOUND).into_response() })
        .method_not_allowed_fallback(|| async {
            ApiError::plain(StatusCode::METHOD_NOT_ALLOWED).into_response()
        })
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $limit:ident $handler:path;)*) => {
        /// The rows in their order; a row's place is its identity.
        static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
            let rows: Vec<(Method, &'static str, Access, Limit, Handler)> =
                vec![$((Method::$method, $path, Access::$access, Limit::$limit, |call| $handler(call).boxed())),*];
            let row = |(index, (method, path, access, limit, handler)): (usize, _)| {
                let bucket = bucket(&method, path);
                let index = u16::try_from(index).expect("the table has fewer than 65,536 rows");
                Route { index, method, path, access, limit, handler, bucket }
            };
            rows.into_iter().enumerate().map(row).collect()
        });
    };
}

routes! {
    POST "/auth/register" Open Logins h::auth::register;
    POST "/auth/login" Open Logins h::auth::login;
    POST "/auth/logout" Token Writes h::auth::logout;

    GET "/gateway" Open Reads h::gateway::url;
    GET "/gateway/bot" Token Reads h::gateway::bot;
    GET "/voice/regions" Token Reads h::gateway::voice_regions;

    GET "/users/@me" Token Reads h::users::me;
    PATCH "/users/@me" Token Writes h::users::edit_me;
    GET "/users/@me/guilds" Token Reads h::users::guilds;
    DELETE "/users/@me/guilds/{guild_id}" Token Writes h::users::leave;
    GET "/users/@me/guilds/{guild_id}/member" Token Reads h::members::me;
    GET "/users/@me/channels" Token Reads h::directs::list;
    POST "/users/@me/channels" Token Writes h::directs::open;
    GET "/users/{user_id}" Token Reads h::users::get;

    POST "/applications" Token Writes h::applications::create;
    GET "/applications" Token Reads h::applications::list;
    GET "/applications/@me" Token Reads h::applications::me;
    GET "/oauth2/applications/@me" Token Reads h::applications::me;
    GET "/applications/{application_id}" Token Reads h::applications::get;
    POST "/applications/{application_id}/bot/reset" Token Writes h::applications::reset_bot;
    POST "/oauth2/authorize" Token Writes h::applications::authorize;

    POST "/guilds" Token Writes h::guilds::create;
    GET "/guilds/{guild_id}" Token Reads h::guilds::get;
    PATCH "/guilds/{guild_id}" Token Writes h::guilds::edit;
    DELETE "/guilds/{guild_id}" Token Writes h::guilds::delete;
    GET "/guilds/{guild_id}/channels" Token Reads h::channels::list;
    POST "/guilds/{guild_id}/channels" Token Writes h::channels::create;
    PATCH "/guilds/{guild_id}/channels" Token Writes h::channels::arrange;
    GET "/guilds/{guild_id}/roles" Token Reads h::roles::list;
    POST "/guilds/{guild_id}/roles" Token Writes h::roles::create;
    PATCH "/guilds/{guild_id}/roles" Token Writes h::roles::arrange;
    GET "/guilds/{guild_id}/roles/{role_id}" Token Reads h::roles::get;
    PATCH "/guilds/{guild_id}/roles/{role_id}" Token Writes h::roles::edit;
    DELETE "/guilds/{guild_id}/roles/{role_id}" Token Writes h::roles::delete;
    GET "/guilds/{guild_id}/members" Token Reads h::members::list;
    GET "/guilds/{guild_id}/members/search" Token Reads h::members::search;
    PATCH "/guilds/{guild_id}/members/@me/nick" Token Writes h::members::edit_nick;
    GET "/guilds/{guild_id}/members/{user_id}" Token Reads h::members::get;
    PATCH "/guilds/{guild_id}/members/{user_id}" Token Writes h::members::edit;
    DELETE "/guilds/{guild_id}/members/{user_id}" Token Writes h::members::remove;
    PUT "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Token Writes h::members::add_role;
    DELETE "/guilds/{guild_id}/members/{user_id}/roles/{role_id}" Token Writes h::members::remove_role;
    GET "/guilds/{guild_id}/invites" Token Reads h::invites::of_guild;

    GET "/channels/{channel_id}" Token Reads h::channels::get;
    PATCH "/channels/{channel_id}" Token Writes h::channels::edit;
    PUT "/channels/{channel_id}" Token Writes h::channels::edit;
    DELETE "/channels/{channel_id}" Token Writes h::channels::delete;
    PUT "/channels/{channel_id}/permissions/{overwrite_id}" Token Writes h::channels::set_overwrite;
    DELETE "/channels/{channel_id}/permissions/{overwrite_id}" Token Writes h::channels::delete_overwrite;
    GET "/channels/{channel_id}/invites" Token Reads h::invites::of_channel;
    POST "/channels/{channel_id}/invites" Token Writes h::invites::create;
    POST "/channels/{channel_id}/typing" Token Writes h::messages::typing;

    GET "/channels/{channel_id}/messages" Token Reads h::messages::list;
    POST "/channels/{channel_id}/messages" Token Service h::messages::create;
    POST "/channels/{channel_id}/messages/bulk-delete" Token Writes h::messages::bulk_delete;
    GET "/channels/{channel_id}/messages/{message_id}" Token Reads h::messages::get;
    PATCH "/channels/{channel_id}/messages/{message_id}" Token Writes h::messages::edit;
    DELETE "/channels/{channel_id}/messages/{message_id}" Token Writes h::messages::delete;
    DELETE "/channels/{channel_id}/messages/{message_id}/reactions" Token Writes h::reactions::remove_all;
    GET "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}" Token Reads h::reactions::list;
    DELETE "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}" Token Writes h::reactions::remove_emoji;
    PUT "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/{user_id}" Token Writes h::reactions::add;
    DELETE "/channels/{channel_id}/messages/{message_id}/reactions/{emoji}/{user_id}" Token Writes h::reactions::remove;

    GET "/invites/{code}" Open Reads h::invites::get;
    POST "/invites/{code}" Token Writes h::invites::accept;
    DELETE "/invites/{code}" Token Writes h::invites::delete;
}

/// A name that is the same on every replica: FNV-1a of method and path.
fn bucket(method: &Method, path: &str) -> String {
    let bytes = method.as_str().bytes().chain(path.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
