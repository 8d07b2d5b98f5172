//! What a member may do: the algorithm of Discord's documentation, "Permission Overwrites" and "Implicit Permissions".

use crate::{ChannelKind, GuildId, Overwrite, OverwriteKind, Permissions, RoleId, UserId};

/// Who asks, as far as permissions are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Standing<'a> {
    pub guild_id: GuildId,
    pub user_id: UserId,
    pub is_owner: bool,
    /// Without `@everyone`, which everybody has.
    pub roles: &'a [RoleId],
    /// Inside a time-out: only reading is left.
    pub is_timed_out: bool,
}

/// What is left to a member in a time-out.
const TIMED_OUT: Permissions =
    Permissions::from_bits(Permissions::VIEW_CHANNEL.bits() | Permissions::READ_MESSAGE_HISTORY.bits());

/// What nobody has who may not send messages.
const NEEDS_SENDING: Permissions = Permissions::from_bits(
    Permissions::MENTION_EVERYONE.bits()
        | Permissions::SEND_TTS_MESSAGES.bits()
        | Permissions::ATTACH_FILES.bits()
        | Permissions::EMBED_LINKS.bits(),
);

/// What nobody has in a voice channel who may not connect to it.
const NEEDS_CONNECTING: Permissions =
    Permissions::from_bits(Permissions::MANAGE_CHANNELS.bits() | Permissions::MANAGE_ROLES.bits());

/// Permissions in the guild as a whole: those of `@everyone` and of the member's roles. `permissions_of` gives a role's
/// permissions, or `None` for a role that is gone.
pub fn base(standing: Standing<'_>, permissions_of: impl Fn(RoleId) -> Option<Permissions>) -> Permissions {
    let granted = granted(standing, permissions_of);
    if is_all(granted) { granted } else { limit(standing, granted) }
}

/// Permissions in one channel of this kind and with these overwrites.
pub fn in_channel(
    standing: Standing<'_>,
    permissions_of: impl Fn(RoleId) -> Option<Permissions>,
    kind: ChannelKind,
    overwrites: &[Overwrite],
) -> Permissions {
    let granted = granted(standing, permissions_of);
    if is_all(granted) {
        return granted;
    }
    let mut permissions = limit(standing, apply(standing, granted, overwrites));
    if !permissions.contains(Permissions::VIEW_CHANNEL) {
        return Permissions::NONE;
    }
    if !permissions.contains(Permissions::SEND_MESSAGES) {
        permissions = permissions.without(NEEDS_SENDING);
    }
    if kind == ChannelKind::Voice && !permissions.contains(Permissions::CONNECT) {
        permissions = permissions.without(NEEDS_CONNECTING);
    }
    permissions
}

fn granted(standing: Standing<'_>, permissions_of: impl Fn(RoleId) -> Option<Permissions>) -> Permissions {
    if standing.is_owner {
        return Permissions::ALL;
    }
    let mut granted = permissions_of(standing.guild_id.cast()).unwrap_or_default();
    for role in standing.roles {
        granted |= permissions_of(*role).unwrap_or_default();
    }
    if granted.contains(Permissions::ADMINISTRATOR) { Permissions::ALL } else { granted }
}

fn is_all(granted: Permissions) -> bool {
    granted.contains(Permissions::ADMINISTRATOR)
}

fn limit(standing: Standing<'_>, permissions: Permissions) -> Permissions {
    if standing.is_timed_out { permissions & TIMED_OUT } else { permissions }
}

/// The three levels, each deny before allow: `@everyone`, all of the member's roles together, the member.
fn apply(standing: Standing<'_>, mut permissions: Permissions, overwrites: &[Overwrite]) -> Permissions {
    let everyone = OverwriteKind::Role(standing.guild_id.cast());
    let member = OverwriteKind::Member(standing.user_id);
    let (mut allow, mut deny) = (Permissions::NONE, Permissions::NONE);
    if let Some(overwrite) = overwrites.iter().find(|overwrite| overwrite.target == everyone) {
        permissions = permissions.without(overwrite.deny) | overwrite.allow;
    }
    for overwrite in overwrites {
        if let OverwriteKind::Role(role) = overwrite.target
            && overwrite.target != everyone
            && standing.roles.contains(&role)
        {
            allow |= overwrite.allow;
            deny |= overwrite.deny;
        }
    }
    permissions = permissions.without(deny) | allow;
    if let Some(overwrite) = overwrites.iter().find(|overwrite| overwrite.target == member) {
        permissions = permissions.without(overwrite.deny) | overwrite.allow;
    }
    permissions
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    const USER: u64 = 500;

    #[derive(Debug, Clone)]
    struct World {
        kind: ChannelKind,
        everyone: Permissions,
        roles: std::collections::BTreeMap<u64, Permissions>,
        held: Vec<RoleId>,
        overwrites: Vec<Overwrite>,
    }

    impl World {
        fn standing(&self) -> Standing<'_> {
            let guild_id = GuildId::new(1).unwrap();
            let user_id = UserId::new(USER).unwrap();
            Standing { guild_id, user_id, is_owner: false, roles: &self.held, is_timed_out: false }
        }

        fn of(&self, role: RoleId) -> Option<Permissions> {
            if role.get() == 1 { Some(self.everyone) } else { self.roles.get(&role.get()).copied() }
        }

        fn channel(&self, standing: Standing<'_>) -> Permissions {
            in_channel(standing, |role| self.of(role), self.kind, &self.overwrites)
        }
    }

    fn bits() -> impl Strategy<Value = Permissions> {
        any::<u64>().prop_map(|bits| Permissions::from_bits(bits).without(Permissions::ADMINISTRATOR))
    }

    fn target() -> impl Strategy<Value = OverwriteKind> {
        prop_oneof![
            (1_u64..8).prop_map(|id| OverwriteKind::Role(RoleId::new(id).unwrap())),
            (USER - 1..USER + 2).prop_map(|id| OverwriteKind::Member(UserId::new(id).unwrap())),
        ]
    }

    fn world() -> impl Strategy<Value = World> {
        let held = btree_set(2_u64..8, 0..4);
        let kind = prop_oneof![Just(ChannelKind::Text), Just(ChannelKind::Voice)];
        let rows = vec((target(), bits(), bits()), 0..6);
        (kind, bits(), btree_map(2_u64..8, bits(), 0..6), held, rows).prop_map(
            |(kind, everyone, roles, held, rows)| World {
                kind,
                everyone,
                roles,
                held: held.into_iter().filter_map(RoleId::new).collect(),
                overwrites: rows
                    .into_iter()
                    .map(|(target, allow, deny)| (target, Overwrite { target, allow, deny }))
                    .collect::<std::collections::BTreeMap<_, _>>()
                    .into_values()
                    .collect(),
            },
        )
    }

    proptest! {
        #[test]
        fn owner_has_everything_even_in_a_time_out(world in world(), is_timed_out: bool) {
            let standing = Standing { is_owner: true, is_timed_out, ..world.standing() };
            prop_assert_eq!(world.channel(standing), Permissions::ALL);
        }

        #[test]
        fn administrator_passes_every_overwrite(mut world in world()) {
            world.everyone |= Permissions::ADMINISTRATOR;
            prop_assert_eq!(world.channel(world.standing()), Permissions::ALL);
        }

        #[test]
        fn without_view_there_is_nothing(world in world()) {
            let permissions = world.channel(world.standing());
            prop_assert!(permissions.contains(Permissions::VIEW_CHANNEL) || permissions.is_empty());
        }

        #[test]
        fn a_time_out_leaves_only_reading(world in world()) {
            let permissions = world.channel(Standing { is_timed_out: true, ..world.standing() });
            prop_assert!(TIMED_OUT.contains(permissions));
        }

        #[test]
        fn without_sending_nothing_that_needs_it(world in world()) {
            let permissions = world.channel(world.standing());
            prop_assert!(permissions.contains(Permissions::SEND_MESSAGES) || (permissions & NEEDS_SENDING).is_empty());
        }

        #[test]
        fn a_voice_channel_is_managed_by_whoever_may_connect(mut world in world()) {
            let text = World { kind: ChannelKind::Text, ..world.clone() }.channel(world.standing());
            world.kind = ChannelKind::Voice;
            let voice = world.channel(world.standing());
            let lost = if text.contains(Permissions::CONNECT) { Permissions::NONE } else { NEEDS_CONNECTING };
            prop_assert_eq!(voice, text.without(lost));
        }

        #[test]
        fn the_members_overwrite_has_the_last_word(mut world in world(), allow in bits(), deny in bits()) {
            let target = OverwriteKind::Member(UserId::new(USER).unwrap());
            world.overwrites.retain(|overwrite| overwrite.target != target);
            world.overwrites.push(Overwrite { target, allow, deny: deny.without(allow) });
            let permissions = apply(world.standing(), granted(world.standing(), |role| world.of(role)), &world.overwrites);
            prop_assert!(permissions.contains(allow));
            prop_assert!((permissions & deny.without(allow)).is_empty());
        }

        #[test]
        fn order_of_overwrites_and_roles_does_not_matter(world in world()) {
            let mut turned = world.clone();
            turned.overwrites.reverse();
            turned.held.reverse();
            prop_assert_eq!(world.channel(world.standing()), turned.channel(turned.standing()));
        }

        #[test]
        fn a_role_that_allows_wins_over_a_role_that_denies(mut world in world()) {
            let (first, second) = (RoleId::new(2).unwrap(), RoleId::new(3).unwrap());
            world.held = vec![first, second];
            let one = Permissions::VIEW_CHANNEL;
            world.overwrites = vec![
                Overwrite { target: OverwriteKind::Role(first), allow: Permissions::NONE, deny: one },
                Overwrite { target: OverwriteKind::Role(second), allow: one, deny: Permissions::NONE },
            ];
            prop_assert!(world.channel(world.standing()).contains(one));
        }
    }
}
