//! What every store of the directory has to do.

use std::sync::Arc;

use async_trait::async_trait;
use guilds::store::{Commit, DirectoryStore, GuildRows, PrivatePlace, TokenRow, Write};
use model::{
    Channel, ChannelId, ChannelKind, Guild, GuildId, Invite, Member, MessageId, Pair, Permissions, Role,
    RoleId, Subject, Timestamp, User, UserId, entropy, snowflake,
};
use proto::v1;
use storage::{
    Bucket, Epoch, Lease, OutboxEvent, OutboxRow, Pass, Republish, RepublishError, Scope, Slot, SlotSet,
    Unpublished, Watermark,
};

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn DirectoryStore>>` of a store whose
/// clock says about [`NOW_MS`](crate::conformance::directory::NOW_MS).
#[macro_export]
macro_rules! directory_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::directory]
            users_have_names_and_passwords
            tokens_are_found_by_hash_id_and_user
            applications_are_found_by_owner
            a_guild_is_its_parts
            members_are_found_by_guild_user_and_name
            invites_are_found_by_code_and_guild
            private_channels_are_found_by_id_pair_and_user
            what_is_left_to_do_is_found_by_slot
            of_writes_to_one_row_the_last_counts
            events_of_an_earlier_owner_are_swept
        }
    };
}

/// The time in these tests.
pub const NOW_MS: u64 = 1_790_000_000_000;

const YEAR_MS: u64 = 365 * 86_400_000;

/// An id of so many years ago, that nobody has used.
fn made<T>(years_ago: u64) -> model::Id<T> {
    let random = entropy::below(1 << 30);
    model::Id::new(snowflake::lowest_at(NOW_MS - years_ago * YEAR_MS) - random).expect("above zero")
}

fn user(id: UserId, name: &str) -> User {
    User::new(id, name, false)
}

/// A name that nobody has.
fn name() -> String {
    format!("u{:x}", entropy::number())
}

fn of_user(id: UserId) -> Lease {
    Lease { set: SlotSet::Users, slot: Slot::of(id.get()), epoch: Epoch(1) }
}

fn of_guild(id: GuildId) -> Lease {
    Lease { set: SlotSet::Guilds, slot: Slot::of(id.get()), epoch: Epoch(1) }
}

async fn commit(store: &Arc<dyn DirectoryStore>, lease: Lease, writes: Vec<Write>) {
    let commit = Commit { writes, ..Commit::default() };
    store.commit(&lease, commit.clone()).await.expect("it is stored");
    store.commit(&lease, commit).await.expect("twice is once");
}

pub async fn users_have_names_and_passwords(store: Arc<dyn DirectoryStore>) {
    let (id, other): (UserId, UserId) = (made(1), made(1));
    let (old, new) = (name(), name());
    assert_eq!((store.user(id).await, store.user_named(&old).await), (Ok(None), Ok(None)));
    let mut alice = user(id, &old.to_uppercase());
    let writes = vec![
        Write::PutUser(alice.clone()),
        Write::PutUsername(old.clone(), id),
        Write::PutPassword(id, "phc".into()),
    ];
    commit(&store, of_user(id), writes).await;
    assert_eq!(store.user(id).await, Ok(Some(alice.clone())));
    assert_eq!(store.user_named(&old).await, Ok(Some(id)));
    assert_eq!((store.password(id).await, store.password(other).await), (Ok(Some("phc".into())), Ok(None)));

    alice.username = new.clone();
    let writes = vec![
        Write::DeleteUsername(old.clone(), id),
        Write::PutUsername(new.clone(), id),
        Write::PutUser(alice),
    ];
    commit(&store, of_user(id), writes).await;
    assert_eq!((store.user_named(&old).await, store.user_named(&new).await), (Ok(None), Ok(Some(id))));
    let writes = vec![Write::PutUser(user(other, &old)), Write::PutUsername(old.clone(), other)];
    commit(&store, of_user(other), writes).await;
    assert_eq!(store.user_named(&old).await, Ok(Some(other)), "the old name is free");
}

pub async fn tokens_are_found_by_hash_id_and_user(store: Arc<dyn DirectoryStore>) {
    let (id, other): (UserId, UserId) = (made(1), made(1));
    let token = |user_id: UserId, token_id: u64| TokenRow {
        hash: entropy::bytes(),
        token_id,
        user_id,
        created_at_ms: NOW_MS + token_id,
    };
    let first = snowflake::lowest_at(NOW_MS) + entropy::below(1 << 20);
    let tokens = [first + 9, first, first + 5].map(|token_id| token(id, token_id));
    let others = token(other, first + 1);
    commit(&store, of_user(id), tokens.map(Write::PutToken).into()).await;
    commit(&store, of_user(other), vec![Write::PutToken(others)]).await;
    assert_eq!(store.token(&tokens[0].hash).await, Ok(Some(tokens[0])));
    assert_eq!(store.token_by_id(first).await, Ok(Some(tokens[1])));
    assert_eq!(store.tokens_of(id).await, Ok(vec![tokens[1], tokens[2], tokens[0]]), "oldest first");
    assert_eq!(store.tokens_of(other).await, Ok(vec![others]));

    commit(&store, of_user(id), vec![Write::DeleteToken(tokens[1])]).await;
    assert_eq!((store.token(&tokens[1].hash).await, store.token_by_id(first).await), (Ok(None), Ok(None)));
    assert_eq!(store.tokens_of(id).await, Ok(vec![tokens[2], tokens[0]]));
}

pub async fn applications_are_found_by_owner(store: Arc<dyn DirectoryStore>) {
    let owner: UserId = made(1);
    let application = |id: UserId, text: &str| v1::Application {
        id: id.get(),
        name: text.into(),
        owner_id: owner.get(),
        bot_id: id.get(),
        ..v1::Application::default()
    };
    let mut ids: [UserId; 2] = [made(0), made(0)];
    ids.sort_unstable();
    let [one, other] = ids.map(|id| application(id, "first"));
    for application in [&other, &one] {
        let id = UserId::new(application.id).expect("above zero");
        commit(&store, of_user(id), vec![Write::PutApplication(application.clone())]).await;
    }
    assert_eq!(store.applications_of(owner).await, Ok(vec![one, other.clone()]));
    let edited = application(ids[0], "edited");
    commit(&store, of_user(ids[0]), vec![Write::PutApplication(edited.clone())]).await;
    assert_eq!(store.application(ids[0].cast()).await, Ok(Some(edited.clone())));
    assert_eq!(store.applications_of(owner).await, Ok(vec![edited, other]));
    assert_eq!(store.applications_of(ids[0]).await, Ok(vec![]));
}

fn role(id: u64, name: &str) -> Role {
    Role::new(RoleId::new(id).expect("above zero"), name, Permissions::NONE)
}

fn channel(guild: GuildId, id: ChannelId, name: &str) -> Channel {
    Channel::new(id, guild, ChannelKind::Text, name)
}

pub async fn a_guild_is_its_parts(store: Arc<dyn DirectoryStore>) {
    let (id, empty): (GuildId, GuildId) = (made(2), made(2));
    let guild = Guild::new(id, "Demo", made(3));
    let mut channels: [ChannelId; 2] = [made(1), made(1)];
    channels.sort_unstable();
    assert_eq!(store.guild(id).await, Ok(None));
    let writes = vec![
        Write::PutGuild(guild.clone()),
        Write::PutRole(id, role(9, "second")),
        Write::PutRole(id, role(3, "first")),
        Write::PutChannel(channel(id, channels[1], "second")),
        Write::PutChannel(channel(id, channels[0], "first")),
    ];
    commit(&store, of_guild(id), writes).await;
    let mut rows = GuildRows {
        guild,
        roles: vec![role(3, "first"), role(9, "second")],
        channels: vec![channel(id, channels[0], "first"), channel(id, channels[1], "second")],
    };
    assert_eq!(store.guild(id).await, Ok(Some(rows.clone())));
    assert_eq!(store.guild_of_channel(channels[1]).await, Ok(Some(id)));

    rows.guild.name = "Renamed".into();
    rows.roles = vec![role(9, "renamed")];
    rows.channels.truncate(1);
    let writes = vec![
        Write::PutGuild(rows.guild.clone()),
        Write::DeleteRole(id, RoleId::new(3).expect("above zero")),
        Write::PutRole(id, role(9, "renamed")),
        Write::DeleteChannel(id, channels[1]),
    ];
    commit(&store, of_guild(id), writes).await;
    assert_eq!(store.guild(id).await, Ok(Some(rows.clone())));
    assert_eq!(store.guild_of_channel(channels[1]).await, Ok(None));
    assert_eq!((store.guild_exists(id).await, store.guild_exists(empty).await), (Ok(true), Ok(false)));

    commit(&store, of_guild(id), vec![Write::DeleteGuild(Box::new(rows))]).await;
    assert_eq!((store.guild(id).await, store.guild_exists(id).await), (Ok(None), Ok(false)));
    assert_eq!(store.guild_of_channel(channels[0]).await, Ok(None));
    commit(&store, of_guild(id), vec![Write::EndDeletion(id)]).await;
}

pub async fn members_are_found_by_guild_user_and_name(store: Arc<dyn DirectoryStore>) {
    let (guild, other): (GuildId, GuildId) = (made(2), made(2));
    let join = |guild, user| Member::new(guild, user, Timestamp::from_ms(NOW_MS));
    // Of users of many years, several of one.
    let mut ids: Vec<UserId> = [0, 0, 1, 2, 2, 5, 9, 11].map(made).into();
    ids.sort_unstable();
    let members: Vec<Member> =
        ids.iter().zip(0..).map(|(id, number)| join(guild, user(*id, &format!("Name{number}")))).collect();
    for member in members.iter().rev() {
        commit(&store, of_guild(guild), vec![Write::PutMember(Box::new(member.clone()), None)]).await;
    }
    let elsewhere = join(other, user(ids[3], "name3"));
    commit(&store, of_guild(other), vec![Write::PutMember(Box::new(elsewhere.clone()), None)]).await;

    assert_eq!(store.member(guild, ids[5]).await, Ok(Some(members[5].clone())));
    assert_eq!(store.member(other, ids[5]).await, Ok(None));
    for limit in [1, 3, 8, 100] {
        for after in [None, Some(0), Some(2), Some(6), Some(7)] {
            let found = store.members_after(guild, after.map(|index: usize| ids[index]), limit).await;
            let expected = members.iter().skip(after.map_or(0, |index| index + 1)).take(limit);
            assert_eq!(found, Ok(expected.cloned().collect()), "{limit} after {after:?}");
        }
    }
    let search = async |text: &str, limit| store.search_members(guild, text, limit).await;
    assert_eq!(search("name", 100).await, Ok(ids.clone()));
    assert_eq!(search("name", 2).await, Ok(ids[..2].into()));
    assert_eq!((search("name3", 9).await, search("nami", 9).await), (Ok(vec![ids[3]]), Ok(vec![])));

    let renamed = Member { nick: Some("Élan".into()), ..members[3].clone() };
    let write = Write::PutMember(Box::new(renamed.clone()), Some(Box::new(members[3].clone())));
    commit(&store, of_guild(guild), vec![write]).await;
    assert_eq!((search("élan", 9).await, search("name3", 9).await), (Ok(vec![ids[3]]), Ok(vec![ids[3]])));
    let named_back = Write::PutMember(Box::new(members[3].clone()), Some(Box::new(renamed)));
    commit(&store, of_guild(guild), vec![named_back]).await;
    assert_eq!(search("é", 9).await, Ok(vec![]));

    let mut guilds = vec![guild, other];
    guilds.sort_unstable();
    assert_eq!(store.guilds_after(ids[3], None, 9).await, Ok(guilds.clone()));
    assert_eq!(store.guilds_after(ids[3], None, 1).await, Ok(guilds[..1].into()));
    assert_eq!(store.guilds_after(ids[3], Some(guilds[0]), 9).await, Ok(guilds[1..].into()));
    commit(&store, of_guild(guild), vec![Write::DeleteMember(Box::new(members[3].clone()))]).await;
    assert_eq!(store.member(guild, ids[3]).await, Ok(None));
    assert_eq!(store.guilds_after(ids[3], None, 9).await, Ok(vec![other]));
    assert_eq!(search("name3", 9).await, Ok(vec![]));
    assert_eq!(store.search_members(other, "name3", 9).await, Ok(vec![ids[3]]));
}

pub async fn invites_are_found_by_code_and_guild(store: Arc<dyn DirectoryStore>) {
    let guild: GuildId = made(1);
    let invite = |code: &str| Invite {
        code: code.into(),
        guild_id: guild,
        channel_id: ChannelId::new(7).expect("above zero"),
        inviter_id: UserId::new(8).expect("above zero"),
        created_at: Timestamp::from_ms(NOW_MS),
        max_age: 3_600,
        max_uses: 2,
        uses: 0,
        temporary: false,
    };
    let [one, other] = [format!("a{}", name()), format!("b{}", name())].map(|code| invite(&code));
    commit(&store, of_guild(guild), vec![Write::PutInvite(other.clone()), Write::PutInvite(one.clone())])
        .await;
    assert_eq!(store.invites_of(guild).await, Ok(vec![one.clone(), other.clone()]));
    let used = Invite { uses: 1, ..one.clone() };
    commit(&store, of_guild(guild), vec![Write::PutInvite(used.clone()), Write::DeleteInvite(other.clone())])
        .await;
    assert_eq!(
        (store.invite(&used.code).await, store.invite(&other.code).await),
        (Ok(Some(used.clone())), Ok(None))
    );
    assert_eq!(store.invites_of(guild).await, Ok(vec![used]));
}

pub async fn private_channels_are_found_by_id_pair_and_user(store: Arc<dyn DirectoryStore>) {
    let [alice, bob, carol]: [UserId; 3] = [made(3), made(2), made(1)];
    let mut channels: [ChannelId; 2] = [made(0), made(0)];
    channels.sort_unstable();
    let place = |user, other, channel, closed_at: Option<u64>| {
        let closed_at = closed_at.and_then(MessageId::new);
        PrivatePlace { user, channel, other, closed_at }
    };
    let pairs = [bob, carol].map(|other| Pair::new(alice, other).expect("they are two"));
    assert_eq!(store.private_channel_of(pairs[0]).await, Ok(None));
    assert_eq!(store.private_channel(channels[0]).await, Ok(None));
    let with_bob = [place(alice, bob, channels[0], None), place(bob, alice, channels[0], Some(1))];
    let with_carol = [place(alice, carol, channels[1], Some(7)), place(carol, alice, channels[1], None)];
    for (pair, channel, places) in [(pairs[0], channels[0], with_bob), (pairs[1], channels[1], with_carol)] {
        let mut writes = vec![Write::PutPrivateChannel(channel, pair)];
        writes.extend(places.map(Write::PutPrivatePlace));
        commit(&store, of_user(pair.lower()), writes).await;
        assert_eq!(store.private_channel_of(pair).await, Ok(Some(channel)));
        assert_eq!(store.private_channel(channel).await, Ok(Some(pair)));
        for place in places {
            assert_eq!(store.private_place(place.user, channel).await, Ok(Some(place)));
        }
    }
    assert_eq!(store.private_place(carol, channels[0]).await, Ok(None));
    assert_eq!(
        store.private_places(alice, 9).await,
        Ok(vec![with_carol[0], with_bob[0]]),
        "the newest first"
    );
    assert_eq!(store.private_places(alice, 1).await, Ok(vec![with_carol[0]]));
    assert_eq!(store.private_places(bob, 9).await, Ok(vec![with_bob[1]]));

    let closed = place(alice, bob, channels[0], Some(u64::MAX >> 1));
    let opened = place(alice, carol, channels[1], None);
    let writes = vec![Write::PutPrivatePlace(closed), Write::PutPrivatePlace(opened)];
    commit(&store, of_user(alice), writes).await;
    assert_eq!(store.private_places(alice, 9).await, Ok(vec![opened, closed]));
    let twice =
        [None, Some(9)].map(|closed_at| Write::PutPrivatePlace(place(alice, bob, channels[0], closed_at)));
    commit(&store, of_user(alice), twice.into()).await;
    let last = store.private_place(alice, channels[0]).await;
    assert_eq!(last, Ok(Some(place(alice, bob, channels[0], Some(9)))), "of two writes the last counts");
}

pub async fn what_is_left_to_do_is_found_by_slot(store: Arc<dyn DirectoryStore>) {
    let guild: GuildId = made(1);
    let rows = GuildRows { guild: Guild::new(guild, "Demo", made(2)), roles: vec![], channels: vec![] };
    commit(&store, of_guild(guild), vec![Write::DeleteGuild(Box::new(rows))]).await;
    let (slot, elsewhere) = (Slot::of(guild.get()), Slot::all().find(|slot| *slot != Slot::of(guild.get())));
    assert_eq!(store.deletions(slot, None, 9).await, Ok(vec![guild]));
    assert_eq!(store.deletions(slot, Some(guild), 9).await, Ok(vec![]));
    assert_eq!(store.deletions(elsewhere.expect("there are others"), None, 9).await, Ok(vec![]));
    commit(&store, of_guild(guild), vec![Write::EndDeletion(guild)]).await;
    assert_eq!(store.deletions(slot, None, 9).await, Ok(vec![]));

    let id: UserId = made(1);
    let slot = Slot::of(id.get());
    for edit in [5, 6] {
        commit(&store, of_user(id), vec![Write::PutRefresh(id, edit)]).await;
        assert_eq!(store.refresh_of(id).await, Ok(Some(edit)));
    }
    assert_eq!(store.refreshes(slot, None, 9).await, Ok(vec![id]));
    commit(&store, of_user(id), vec![Write::DeleteRefresh(id)]).await;
    assert_eq!((store.refresh_of(id).await, store.refreshes(slot, None, 9).await), (Ok(None), Ok(vec![])));
}

pub async fn of_writes_to_one_row_the_last_counts(store: Arc<dyn DirectoryStore>) {
    let guild: GuildId = made(1);
    let first: ChannelId = made(0);
    for texts in [["b", "a"], ["a", "b"]] {
        let put = |text: &str| Write::PutChannel(channel(guild, first, text));
        let owner = Write::PutGuild(Guild::new(guild, texts[0], made(2)));
        let last = Write::PutGuild(Guild::new(guild, texts[1], made(2)));
        let writes = vec![put(texts[0]), owner, put(texts[1]), last];
        commit(&store, of_guild(guild), writes).await;
        let rows = store.guild(guild).await.expect("an answer").expect("it is there");
        assert_eq!((&*rows.guild.name, &*rows.channels[0].name), (texts[1], texts[1]));
    }
    let member = Member::new(guild, user(made(1), "name"), Timestamp::from_ms(NOW_MS));
    let [one, two] = ["one", "two"].map(|nick| Member { nick: Some(nick.into()), ..member.clone() });
    let writes = vec![
        Write::PutMember(Box::new(member.clone()), None),
        Write::PutMember(Box::new(one.clone()), Some(Box::new(member.clone()))),
        Write::PutMember(Box::new(two.clone()), Some(Box::new(one))),
    ];
    commit(&store, of_guild(guild), writes).await;
    let id = member.user.id;
    assert_eq!(store.member(guild, id).await, Ok(Some(two)));
    let found = async |text: &str| store.search_members(guild, text, 9).await;
    assert_eq!(
        (found("name").await, found("one").await, found("two").await),
        (Ok(vec![id]), Ok(vec![]), Ok(vec![id]))
    );
    assert_eq!(store.guilds_after(id, None, 9).await, Ok(vec![guild]));
}

/// The ids of the events that a sweep finds.
#[derive(Default)]
struct Found(Vec<u64>);

#[async_trait]
impl Republish for Found {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let Unpublished::Row(row) = unpublished else { return Err("a marker".into()) };
        self.0.extend(row.events.iter().map(|event| event.event_id));
        Ok(())
    }

    async fn too_late(&mut self, _: Unpublished) -> Result<(), RepublishError> {
        Ok(())
    }
}

pub async fn events_of_an_earlier_owner_are_swept(store: Arc<dyn DirectoryStore>) {
    let guild: GuildId = made(1);
    let lease = of_guild(guild);
    let Lease { set, slot, epoch } = lease;
    let row = |at_ms: u64, step: u64| {
        let id = snowflake::lowest_at(at_ms) + step;
        let event =
            OutboxEvent { subject: Subject::Guild(guild), event_id: id, envelope: b"e".as_slice().into() };
        OutboxRow { set, slot, epoch, bucket: Bucket::of_snowflake(id), id, events: vec![event] }
    };
    let rows = [row(NOW_MS, 0), row(NOW_MS + 20_000, 2), row(NOW_MS + 20_000, 1)];
    for row in rows.clone() {
        let commit = Commit { outbox: Some(row), ..Commit::default() };
        store.commit(&lease, commit).await.expect("it is stored");
    }
    let of_store = (store.scope() == Scope::Slot).then_some(slot);
    let watermark = Watermark { set, slot: of_store, epoch, published_ms: NOW_MS + 15_000 };
    store.put_watermark(watermark).await.expect("it is stored");
    let swept = async |epoch, pass| {
        let mut found = Found::default();
        store
            .sweep(&[Lease { epoch: Epoch(epoch), ..lease }], pass, &mut found)
            .await
            .expect("nothing fails");
        found.0
    };
    assert_eq!(swept(2, Pass::First).await, [rows[2].id, rows[1].id]);
    assert_eq!(swept(2, Pass::Late).await, [0; 0]);
    assert_eq!(swept(3, Pass::First).await, [0; 0]);
}
