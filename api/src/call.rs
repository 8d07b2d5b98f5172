//! What a handler is given: one request, read as far as all routes have it in common.

use std::sync::Arc;

use bytes::Bytes;
use model::{Id, User};
use proto::clients::{AccountsClient, GuildsClient, MessagesClient};
use proto::failure::{Failure, FailureKind, code};
use proto::v1;

use crate::app::Shared;
use crate::auth::Caller;
use crate::body::ReadBody;
use crate::error::{ApiError, ApiResult, BOTS_CANNOT};
use crate::json::{self, Fields};
use crate::multipart;
use crate::query::Query;

/// One request.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Query,
    pub(crate) content_type: String,
    pub(crate) body: ReadBody,
    /// `None` for the routes that need no token.
    pub(crate) caller: Option<Caller>,
}

impl Call {
    pub(crate) fn accounts(&self) -> AccountsClient {
        self.shared.config.accounts.clone()
    }

    pub(crate) fn guilds(&self) -> GuildsClient {
        self.shared.config.guilds.clone()
    }

    pub(crate) fn messages(&self) -> MessagesClient {
        self.shared.config.messages.clone()
    }

    pub(crate) fn caller(&self) -> ApiResult<&Caller> {
        self.caller.as_ref().ok_or_else(|| Failure::unauthenticated().into())
    }

    pub(crate) fn user(&self) -> ApiResult<&User> {
        Ok(&self.caller()?.user)
    }

    pub(crate) fn user_id(&self) -> ApiResult<u64> {
        Ok(self.user()?.id.get())
    }

    /// The caller, who must be a person.
    pub(crate) fn person_id(&self) -> ApiResult<u64> {
        let user = self.user()?;
        if user.bot {
            let message = "Bots cannot use this endpoint";
            return Err(Failure::new(FailureKind::Forbidden, BOTS_CANNOT, message).into());
        }
        Ok(user.id.get())
    }

    /// The caller's application, which only bots have.
    pub(crate) fn application(&self) -> ApiResult<&v1::Application> {
        let message = "Only bots have an application; use a bot token";
        let refused = || Failure::new(FailureKind::Forbidden, code::INVALID_ACCOUNT_TYPE, message).into();
        self.caller()?.application.as_ref().ok_or_else(refused)
    }

    /// The text of a parameter of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        let param = self.params.iter().find(|(key, _)| key == name);
        param.map(|(_, value)| value.as_str()).expect("the route's path has the parameter")
    }

    /// The id in a parameter of the path.
    pub(crate) fn id(&self, name: &str) -> ApiResult<u64> {
        json::read_id(name, self.param(name))
    }

    /// The same; `@me` is the caller.
    pub(crate) fn user_param(&self, name: &str) -> ApiResult<u64> {
        if self.param(name) == "@me" { self.user_id() } else { self.id(name) }
    }

    /// Reads the body, which is to be an object.
    pub(crate) fn form<T>(&self, read: impl FnOnce(&Fields<'_>) -> T) -> ApiResult<T> {
        json::read_object(&json::parse(&self.json_bytes()?)?, read)
    }

    /// Reads the body, which is to be an array of objects.
    pub(crate) fn forms<T>(&self, max: usize, read: impl FnMut(Fields<'_>) -> T) -> ApiResult<Vec<T>> {
        json::read_array(&json::parse(&self.json_bytes()?)?, max, read)
    }

    fn json_bytes(&self) -> ApiResult<Bytes> {
        match multipart::boundary(&self.content_type) {
            Some(boundary) => multipart::payload(&self.body.bytes, boundary),
            None => Ok(self.body.bytes.clone()),
        }
    }

    /// The caller and other members of a guild. What is not the caller's guild does not exist for them.
    pub(crate) async fn fellow_members(&self, guild_id: u64, others: &[u64]) -> ApiResult<Vec<v1::Member>> {
        let user_id = self.user_id()?;
        let mut user_ids = vec![user_id];
        user_ids.extend(others.iter().filter(|id| **id != user_id));
        let request = v1::GetMembersRequest { guild_id, user_ids };
        let members = self.guilds().get_members(request).await?.into_inner().members;
        if members.iter().any(|member| is_user(member, user_id)) {
            Ok(members)
        } else {
            Err(Failure::unknown(code::UNKNOWN_GUILD, "Guild").into())
        }
    }

    /// Users by their ids, those that exist.
    pub(crate) async fn users(&self, user_ids: Vec<u64>) -> ApiResult<Vec<User>> {
        let request = v1::GetUsersRequest { user_ids };
        let users = self.accounts().get_users(request).await?.into_inner().users;
        users.into_iter().map(|user| User::try_from(user).map_err(ApiError::from)).collect()
    }

    pub(crate) async fn find_user(&self, user_id: u64) -> ApiResult<Option<User>> {
        let users = self.users(vec![user_id]).await?;
        Ok(users.into_iter().find(|user| Some(user.id) == Id::new(user_id)))
    }
}

pub(crate) fn is_user(member: &v1::Member, user_id: u64) -> bool {
    member.user.as_ref().is_some_and(|user| user.id == user_id)
}
