//! Whom a text mentions: `<@id>`, `<@!id>`, `<@&role>`, `@everyone`, `@here`.

use model::limits::MESSAGE_MENTIONS_MAX;
use model::{Id, RoleId, UserId};
use proto::v1::AllowedMentions;

/// What a message mentions, each once, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mentions {
    pub(crate) users: Vec<UserId>,
    pub(crate) roles: Vec<RoleId>,
    pub(crate) everyone: bool,
}

impl Mentions {
    /// What the text mentions, at most `MESSAGE_MENTIONS_MAX` of each kind.
    pub(crate) fn parse(text: &str) -> Self {
        let mut mentions =
            Self { everyone: text.contains("@everyone") || text.contains("@here"), ..Self::default() };
        for (at, start) in text.match_indices("<@") {
            let rest = &text[at + start.len()..];
            match rest.strip_prefix('&') {
                Some(rest) => add(&mut mentions.roles, rest),
                None => add(&mut mentions.users, rest.strip_prefix('!').unwrap_or(rest)),
            }
        }
        mentions
    }

    /// Only what the sender wants to notify; without a wish, all of it.
    pub(crate) fn limit(&mut self, allowed: Option<&AllowedMentions>) {
        let Some(allowed) = allowed else { return };
        self.everyone &= allowed.everyone;
        self.users.retain(|id| allowed.users || allowed.user_ids.contains(&id.get()));
        self.roles.retain(|id| allowed.roles || allowed.role_ids.contains(&id.get()));
    }

    /// Adds the author of the answered message, unless the sender does not want that.
    pub(crate) fn add_replied(&mut self, author: UserId, allowed: Option<&AllowedMentions>) {
        if allowed.is_none_or(|allowed| allowed.replied_user) && !self.users.contains(&author) {
            self.users.push(author);
        }
    }
}

fn add<T>(ids: &mut Vec<Id<T>>, rest: &str) {
    let id = rest.split_once('>').and_then(|(digits, _)| digits.parse().ok());
    if let Some(id) = id
        && ids.len() < MESSAGE_MENTIONS_MAX
        && !ids.contains(&id)
    {
        ids.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(text: &str) -> (Vec<u64>, Vec<u64>, bool) {
        let mentions = Mentions::parse(text);
        let numbers = |ids: &[UserId]| ids.iter().map(|id| id.get()).collect::<Vec<_>>();
        (numbers(&mentions.users), mentions.roles.iter().map(|id| id.get()).collect(), mentions.everyone)
    }

    #[test]
    fn forms() {
        assert_eq!(numbers("<@1> <@!2> <@&3> <@1> <@x> <@0> <@4 <@>"), (vec![1, 2], vec![3], false));
        assert_eq!(numbers("hey @here<@<@5>"), (vec![5], vec![], true));
        assert_eq!(numbers("mail@example.org"), (vec![], vec![], false));
        let many: String = (1..=150).map(|id| format!("<@{id}>")).collect();
        assert_eq!(numbers(&many).0.len(), MESSAGE_MENTIONS_MAX);
    }

    #[test]
    fn allowed_mentions_narrow_what_the_text_mentions() {
        let limited = |allowed: AllowedMentions| {
            let mut mentions = Mentions::parse("<@1><@2><@&3><@&4>@everyone");
            mentions.limit(Some(&allowed));
            mentions.add_replied(UserId::new(9).unwrap(), Some(&allowed));
            let users: Vec<_> = mentions.users.iter().map(|id| id.get()).collect();
            (users, mentions.roles.len(), mentions.everyone)
        };
        assert_eq!(limited(AllowedMentions::default()), (vec![], 0, false));
        let some = AllowedMentions { user_ids: vec![2, 7], role_ids: vec![3], ..AllowedMentions::default() };
        assert_eq!(limited(some), (vec![2], 1, false));
        let all = AllowedMentions {
            users: true,
            roles: true,
            everyone: true,
            replied_user: true,
            ..AllowedMentions::default()
        };
        assert_eq!(limited(all), (vec![1, 2, 9], 2, true));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed(text in "[<@!&>0-9 äeveryone]{0,80}") {
            let _ = Mentions::parse(&text);
        }
    }
}
