//! Every key of the embedded adapter, and what its value is.
//!
//! Numbers are big-endian, so the order of bytes is the order of numbers. The first byte is the kind of row, unique in
//! its table and never reused. Values are messages of `proto::v1` unless the table says otherwise.
//!
//! | table | kind | key after the kind | value |
//! |---|---|---|---|
//! | `accounts` | 1 user | user u64 | `User` |
//! | | 2 username | name in lower case | user u64 |
//! | | 3 password | user u64 | PHC text |
//! | | 4 token | SHA-256 hash | token id u64, user u64, made at u64 (ms) |
//! | | 5 token of user | user u64, token id u64 | hash |
//! | | 6 application | application u64 | `Application` |
//! | | 7 application of owner | owner u64, application u64 | empty |
//! | | 8 refresh | user u64 | edit u64 |
//! | | 9 token by id | token id u64 | hash |
//! | `guilds` | 1 guild | guild u64 | `Guild` |
//! | | 2 role | guild u64, role u64 | `Role` |
//! | | 3 channel | guild u64, channel u64 | `Channel` |
//! | | 4 guild of channel | channel u64 | guild u64 |
//! | | 5 invite | code | `Invite` |
//! | | 6 invite of guild | guild u64, code | empty |
//! | | 7 deletion | guild u64 | empty |
//! | `members` | 1 member | guild u64, user u64 | `Member` |
//! | | 2 guild of user | user u64, guild u64 | empty |
//! | | 3 name | guild u64, name in lower case, 0, user u64 | empty |
//! | `privates` | 1 users of channel | channel u64 | lower and higher user u64 |
//! | | 2 channel of users | lower user u64, higher user u64 | channel u64 |
//! | | 3 place | user u64, channel u64 | other user u64, closed at u64 or 0 |

use model::Member;

pub const ACCOUNTS_TABLE: &str = "accounts";
pub const GUILDS_TABLE: &str = "guilds";
pub const MEMBERS_TABLE: &str = "members";
pub const PRIVATES_TABLE: &str = "privates";

/// Kinds of the table `accounts`.
pub mod account {
    pub const USER: u8 = 1;
    pub const USERNAME: u8 = 2;
    pub const PASSWORD: u8 = 3;
    pub const TOKEN: u8 = 4;
    pub const TOKEN_OF_USER: u8 = 5;
    pub const APPLICATION: u8 = 6;
    pub const APPLICATION_OF_OWNER: u8 = 7;
    pub const REFRESH: u8 = 8;
    pub const TOKEN_BY_ID: u8 = 9;
}

/// Kinds of the table `guilds`.
pub mod guild {
    pub const GUILD: u8 = 1;
    pub const ROLE: u8 = 2;
    pub const CHANNEL: u8 = 3;
    pub const GUILD_OF_CHANNEL: u8 = 4;
    pub const INVITE: u8 = 5;
    pub const INVITE_OF_GUILD: u8 = 6;
    pub const DELETION: u8 = 7;
}

/// Kinds of the table `members`.
pub mod member {
    pub const MEMBER: u8 = 1;
    pub const GUILD_OF_USER: u8 = 2;
    pub const NAME: u8 = 3;
}

/// Kinds of the table `privates`.
pub mod private {
    pub const USERS_OF_CHANNEL: u8 = 1;
    pub const CHANNEL_OF_USERS: u8 = 2;
    pub const PLACE: u8 = 3;
}

/// A kind and one number.
pub fn one(kind: u8, id: u64) -> Vec<u8> {
    [&[kind][..], &id.to_be_bytes()].concat()
}

/// A kind and two numbers.
pub fn two(kind: u8, first: u64, second: u64) -> Vec<u8> {
    [&[kind][..], &first.to_be_bytes(), &second.to_be_bytes()].concat()
}

/// A kind and bytes.
pub fn bytes(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], bytes].concat()
}

/// A kind, a number and bytes.
pub fn one_and_bytes(kind: u8, id: u64, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], &id.to_be_bytes(), bytes].concat()
}

/// One name of a member in a guild.
pub fn name(guild: u64, lower: &str, user: u64) -> Vec<u8> {
    [&[member::NAME][..], &guild.to_be_bytes(), lower.as_bytes(), &[0], &user.to_be_bytes()].concat()
}

/// The names under which a member is found: nick, global name, username, in lower case and without repeats. A zero byte
/// ends a name in its key, so there is none in the name.
pub fn names_of(member: &Member) -> Vec<String> {
    let user = &member.user;
    let names = [member.nick.as_deref(), user.global_name.as_deref(), Some(user.username.as_str())];
    let mut names: Vec<String> = names.into_iter().flatten().map(lower).collect();
    names.sort();
    names.dedup();
    names
}

/// A name as it is compared.
pub fn lower(name: &str) -> String {
    name.to_lowercase().replace('\0', "")
}

/// The number in the last eight bytes of a key, or in a value.
pub fn last_number(bytes: &[u8]) -> Option<u64> {
    let start = bytes.len().checked_sub(8)?;
    bytes[start..].try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{GuildId, Timestamp, User, UserId};

    #[test]
    fn the_order_of_keys_is_the_order_of_numbers() {
        assert!(two(1, 1, u64::MAX) < two(1, 2, 0));
        assert!(two(1, 255, 1) < two(1, 256, 0));
        assert_eq!(last_number(&two(1, 5, 77)), Some(77));
        assert_eq!(last_number(&[1, 2]), None);
    }

    #[test]
    fn a_prefix_of_a_name_is_a_prefix_of_its_key() {
        let prefix = one_and_bytes(member::NAME, 9, "al".as_bytes());
        assert!(name(9, "alice", 3).starts_with(&prefix));
        assert!(!name(9, "bob", 3).starts_with(&prefix));
        assert_eq!(last_number(&name(9, "alice", 3)), Some(3));
    }

    #[test]
    fn names_are_in_lower_case_and_once() {
        let user =
            User { global_name: Some("ALICE".into()), ..User::new(UserId::new(1).unwrap(), "alice", false) };
        let member = Member::new(GuildId::new(2).unwrap(), user, Timestamp::from_ms(0));
        let member = Member { nick: Some("Élan\0Vital".into()), ..member };
        assert_eq!(names_of(&member), ["alice", "élanvital"]);
    }
}
