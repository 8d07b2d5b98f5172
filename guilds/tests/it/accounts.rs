//! Registration, passwords, tokens, applications, changes of users.

use crate::rig::{Rig, json};
use crate::{ask, refused};
use futures_util::future::join_all;
use model::EventKind;
use model::limits::USER_TOKENS_MAX;
use proto::failure::code;
use proto::v1;
use proto::v1::accounts_server::Accounts;
use proto::v1::guilds_server::Guilds;

fn register(name: &str) -> v1::RegisterRequest {
    v1::RegisterRequest { username: name.into(), password: "correct horse".into(), global_name: None }
}

fn token(token: &str) -> v1::AuthenticateRequest {
    v1::AuthenticateRequest::of(token.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_who_register_one_name_one_wins() {
    let rig = Rig::new().await;
    let names = ["alice", "Alice", "ALICE"];
    let outcomes = join_all((0..100).map(|index| {
        let request = register(names[index % 3]);
        async { ask!(rig, register, request) }
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    for failure in lost.into_iter().map(Result::unwrap_err) {
        assert_eq!(failure.fields[0].code, "USERNAME_ALREADY_TAKEN", "{failure}");
    }
    let found = ask!(rig, find_user, v1::FindUserRequest { username: "aLiCe".into() }).unwrap();
    assert_eq!(Some(found), won.into_iter().next().unwrap().unwrap().user);
}

#[tokio::test]
async fn wrong_names_and_passwords_are_named() {
    let rig = Rig::new().await;
    let cases = [
        ("a", "correct horse", "username", "BASE_TYPE_BAD_LENGTH"),
        ("white space", "correct horse", "username", "USERNAME_INVALID_CONTAINS"),
        ("alice", "short", "password", "BASE_TYPE_BAD_LENGTH"),
    ];
    for (username, password, path, code) in cases {
        let request =
            v1::RegisterRequest { username: username.into(), password: password.into(), global_name: None };
        let failure = ask!(rig, register, request).unwrap_err();
        let field = &failure.fields[0];
        assert_eq!((field.path.as_str(), field.code.as_str()), (path, code), "{username} {password}");
    }
}

#[tokio::test]
async fn who_logs_in_gets_another_token_and_a_revoked_one_is_dead_at_once() {
    let rig = Rig::new().await;
    let alice = ask!(rig, register, register("Alice")).unwrap();
    let id = alice.user.as_ref().unwrap().id;
    for (username, password) in [("alice", "wrong horse"), ("nobody", "correct horse"), ("alice", "")] {
        let request = v1::LoginRequest { username: username.into(), password: password.into() };
        assert_eq!(ask!(rig, login, request).unwrap_err().fields[0].code, "INVALID_LOGIN");
    }
    let request = v1::LoginRequest { username: "ALICE".into(), password: "correct horse".into() };
    let second = ask!(rig, login, request).unwrap();
    assert_ne!(second.token, alice.token);
    assert_eq!(token(&second.token).user_id, Some(id), "a token says whose it is");
    for text in [second.token.clone(), format!("Bearer {}", second.token), format!("Bot {}", alice.token)] {
        assert_eq!(ask!(rig, authenticate, token(&text)).unwrap().user.unwrap().username, "Alice");
    }
    let tokens = ask!(rig, list_tokens, v1::ListTokensRequest { user_id: id }).unwrap().tokens;
    assert_eq!(
        tokens.iter().map(|token| token.token_id).collect::<Vec<_>>(),
        [alice.token_id, second.token_id]
    );

    let which = Some(v1::revoke_token_request::Which::Token(second.token.clone()));
    ask!(rig, revoke_token, v1::RevokeTokenRequest { which: which.clone() }).unwrap();
    ask!(rig, authenticate, token(&second.token)).unwrap_err();
    ask!(rig, authenticate, token(&alice.token)).unwrap();
    refused!(ask!(rig, revoke_token, v1::RevokeTokenRequest { which }), code::UNKNOWN_TOKEN);
    let which = Some(v1::revoke_token_request::Which::TokenId(alice.token_id));
    ask!(rig, revoke_token, v1::RevokeTokenRequest { which }).unwrap();
    ask!(rig, authenticate, token(&alice.token)).unwrap_err();
    for text in ["", "Bot ", "a.b", &"x".repeat(10_000)] {
        ask!(rig, authenticate, token(text)).unwrap_err();
    }

    let events = rig.of_user(model::UserId::new(id).unwrap()).await;
    let told: Vec<_> = events.iter().map(|event| (event.kind, event.token_id)).collect();
    let revoked = EventKind::TokenRevoked;
    assert_eq!(told, [(revoked, Some(second.token_id)), (revoked, Some(alice.token_id))]);
}

#[tokio::test]
async fn tokens_live_through_a_restart_and_are_not_in_the_store_as_they_are() {
    let rig = Rig::new().await;
    let alice = ask!(rig, register, register("alice")).unwrap();
    let rig = rig.restart().await;
    assert_eq!(ask!(rig, authenticate, token(&alice.token)).unwrap().token_id, alice.token_id);
    let rows = rig.rows("accounts");
    assert!(rows.len() > 4, "there is nothing to look at");
    for secret in
        [alice.token.as_bytes(), &alice.token.as_bytes()[alice.token.len() - 20..], b"correct horse"]
    {
        let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!rows.iter().any(|(key, value)| holds(key) || holds(value)));
    }
}

#[tokio::test]
async fn a_bot_has_its_applications_id_and_a_reset_cuts_old_tokens_off() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let request = v1::CreateApplicationRequest {
        owner_id: alice.get(),
        name: "Demo Bot".into(),
        description: "d".into(),
        privileged_intents: u32::MAX,
    };
    let made = ask!(rig, create_application, request).unwrap();
    let application = made.application.unwrap();
    assert_eq!(application.privileged_intents, model::Intents::PRIVILEGED.bits());
    let identity = ask!(rig, authenticate, token(&format!("Bot {}", made.bot_token))).unwrap();
    assert_eq!(identity.application.as_ref(), Some(&application));
    let bot = identity.user.unwrap();
    assert_eq!((bot.id, bot.bot, bot.username.as_str()), (application.id, true, "Demo Bot"));

    let reset = |actor_id| v1::ResetBotTokenRequest { application_id: application.id, actor_id };
    refused!(ask!(rig, reset_bot_token, reset(bob.get())), code::MISSING_ACCESS);
    let new = ask!(rig, reset_bot_token, reset(alice.get())).unwrap();
    ask!(rig, authenticate, token(&made.bot_token)).unwrap_err();
    ask!(rig, authenticate, token(&new.token)).unwrap();
    let list = ask!(rig, list_applications, v1::ListApplicationsRequest { owner_id: alice.get() }).unwrap();
    assert_eq!(list.applications, [application]);
    let unknown = ask!(rig, get_application, v1::GetApplicationRequest { application_id: 5 });
    refused!(unknown, code::UNKNOWN_APPLICATION);
}

#[tokio::test]
async fn a_changed_user_is_told_to_themselves_and_in_each_guild() {
    let rig = Rig::new().await;
    let (alice, bob) = (rig.user("alice").await, rig.user("bob").await);
    let mut guilds = Vec::new();
    for _ in 0..3 {
        let guild = rig.guild(alice).await.guild.unwrap().id;
        rig.add(guild, bob, alice).await;
        guilds.push(guild);
    }
    let edit = |username: &str| v1::EditUserRequest {
        user_id: bob.get(),
        username: Some(username.into()),
        global_name: Some("Bobby".into()),
        avatar: None,
    };
    let taken = ask!(rig, edit_user, edit("ALICE")).unwrap_err();
    assert_eq!(taken.fields[0].code, "USERNAME_ALREADY_TAKEN");
    ask!(rig, edit_user, edit("robert")).unwrap();

    let own = rig.of_user(bob).await;
    let update = own.last().unwrap();
    assert_eq!((update.kind, json(update)["username"].as_str()), (EventKind::UserUpdate, Some("robert")));
    for guild in guilds {
        let events = rig.of_guild(guild).await;
        let update = events.last().unwrap();
        assert_eq!(update.kind, EventKind::GuildMemberUpdate);
        assert_eq!(json(update)["user"]["global_name"], "Bobby");
        let search = v1::SearchMembersRequest { guild_id: guild, query: "ROB".into(), limit: 10 };
        assert_eq!(ask!(rig, search_members, search).unwrap().members.len(), 1);
        let search = v1::SearchMembersRequest { guild_id: guild, query: "bob".into(), limit: 10 };
        assert_eq!(ask!(rig, search_members, search).unwrap().members.len(), 1, "by global name");
    }
    ask!(rig, find_user, v1::FindUserRequest { username: "bob".into() }).unwrap_err();
    // The old name is free again.
    rig.user("bob").await;
}

#[tokio::test]
async fn whose_token_it_is_is_never_older_than_the_last_change() {
    let rig = Rig::new().await;
    let alice = ask!(rig, register, register("alice")).unwrap();
    let user_id = alice.user.as_ref().unwrap().id;
    let name =
        async || ask!(rig, authenticate, token(&alice.token)).map(|found| found.user.unwrap().username);
    assert_eq!(name().await.unwrap(), "alice");
    let edit = v1::EditUserRequest { user_id, username: Some("alicia".into()), ..Default::default() };
    ask!(rig, edit_user, edit).unwrap();
    assert_eq!(name().await.unwrap(), "alicia");
    // A hundred tokens are kept; the oldest goes, and whoever has it is out at once.
    for _ in 1..USER_TOKENS_MAX {
        ask!(rig, issue_token, v1::IssueTokenRequest { user_id }).unwrap();
        name().await.unwrap();
    }
    let newest = ask!(rig, issue_token, v1::IssueTokenRequest { user_id }).unwrap();
    name().await.unwrap_err();
    ask!(rig, authenticate, token(&newest.token)).unwrap();
    let told = rig.of_user(model::UserId::new(user_id).unwrap()).await;
    let revoked = told.iter().find(|event| event.kind == EventKind::TokenRevoked).unwrap();
    assert_eq!(revoked.token_id, Some(alice.token_id));
}
