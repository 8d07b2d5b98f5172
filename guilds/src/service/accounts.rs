//! `Accounts`.

use model::UserId;
use proto::convert::{id, ids};
use proto::v1::accounts_server::Accounts;
use proto::{Failure, v1};
use tonic::{Request, Response, Status};

use super::answer;
use crate::directory::Directory;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Accounts for Directory {
    async fn register(&self, request: Request<v1::RegisterRequest>) -> Answer<v1::TokenReply> {
        answer(self.accounts.register(request.into_inner()).await)
    }

    async fn login(&self, request: Request<v1::LoginRequest>) -> Answer<v1::TokenReply> {
        answer(self.accounts.login(request.into_inner()).await)
    }

    async fn revoke_token(&self, request: Request<v1::RevokeTokenRequest>) -> Answer<v1::Empty> {
        answer(self.accounts.revoke_token(request.into_inner()).await.map(|()| v1::Empty {}))
    }

    async fn list_tokens(&self, request: Request<v1::ListTokensRequest>) -> Answer<v1::ListTokensReply> {
        answer(self.accounts.list_tokens(user(request.into_inner().user_id)?).await)
    }

    async fn issue_token(&self, request: Request<v1::IssueTokenRequest>) -> Answer<v1::TokenReply> {
        answer(self.accounts.issue_token(user(request.into_inner().user_id)?).await)
    }

    async fn authenticate(&self, request: Request<v1::AuthenticateRequest>) -> Answer<v1::Identity> {
        let request = request.into_inner();
        answer(Self::identify(self, &request.token, request.with_places).await)
    }

    async fn get_users(&self, request: Request<v1::GetUsersRequest>) -> Answer<v1::GetUsersReply> {
        let users: Vec<UserId> = ids("user_ids", &request.into_inner().user_ids).map_err(Failure::from)?;
        let mut found = Vec::with_capacity(users.len());
        for user in users {
            let user = self.changes.store.user(user).await.map_err(Failure::from)?;
            found.extend(user.map(|user| v1::User::from(&user)));
        }
        Ok(Response::new(v1::GetUsersReply { users: found }))
    }

    async fn find_user(&self, request: Request<v1::FindUserRequest>) -> Answer<v1::User> {
        let user = self.accounts.find_user(&request.into_inner().username).await;
        answer(user.map(|user| (&user).into()))
    }

    async fn edit_user(&self, request: Request<v1::EditUserRequest>) -> Answer<v1::User> {
        let user = self.accounts.edit_user(request.into_inner()).await;
        answer(user.map(|user| (&user).into()))
    }

    async fn create_application(
        &self,
        request: Request<v1::CreateApplicationRequest>,
    ) -> Answer<v1::CreateApplicationReply> {
        answer(self.accounts.create_application(request.into_inner()).await)
    }

    async fn get_application(&self, request: Request<v1::GetApplicationRequest>) -> Answer<v1::Application> {
        answer(self.accounts.application(request.into_inner().application_id).await)
    }

    async fn list_applications(
        &self,
        request: Request<v1::ListApplicationsRequest>,
    ) -> Answer<v1::ListApplicationsReply> {
        let owner = user(request.into_inner().owner_id)?;
        let applications = self.changes.store.applications_of(owner).await.map_err(Failure::from);
        answer(applications.map(|applications| v1::ListApplicationsReply { applications }))
    }

    async fn reset_bot_token(&self, request: Request<v1::ResetBotTokenRequest>) -> Answer<v1::TokenReply> {
        answer(self.accounts.reset_bot_token(request.into_inner()).await)
    }
}

fn user(number: u64) -> Result<UserId, Failure> {
    Ok(id("user_id", number)?)
}
