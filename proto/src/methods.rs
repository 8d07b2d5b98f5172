//! What a transport has to know of a method: which replica is to be asked, and whether it may be asked twice.
//!
//! The `.proto` files say it, once for each method and for callers in every language (`routing.proto`); the build turns
//! their options into this table. The transport reads the key from the encoded request, so no caller can forget to name
//! it, and a method that is added without a thought is answered by any replica and never repeated.

mod scan;

use model::{Slot, SlotSet};

use scan::{is_set, number};

/// One method of a service.
#[derive(Debug)]
pub struct Method {
    /// "/starling.v1.Messages/CreateMessage".
    pub path: &'static str,
    pub route: Route,
    pub repeat: Repeat,
}

/// Which replica answers.
#[derive(Debug)]
pub enum Route {
    Any,
    /// One at a time for the whole service.
    Service,
    /// The owner of the slot of the id in this field; any replica for a request without it.
    Key {
        set: SlotSet,
        field: &'static [u32],
    },
}

/// Whether a call of unknown outcome may be made again.
#[derive(Debug)]
pub enum Repeat {
    Never,
    Always,
    /// If all of these fields are set.
    With(&'static [&'static [u32]]),
}

/// A slot of a set: what has one owner among the replicas.
pub type Place = (SlotSet, Slot);

/// The method with this path, where it is one of ours.
pub fn find(path: &str) -> Option<&'static Method> {
    METHODS.binary_search_by(|method| method.path.cmp(path)).ok().map(|index| &METHODS[index])
}

impl Method {
    /// The slot whose owner is to be asked; `request` is the encoded message.
    pub fn place(&self, request: &[u8]) -> Option<Place> {
        match self.route {
            Route::Any => None,
            Route::Service => Slot::new(0).map(|slot| (SlotSet::Users, slot)),
            Route::Key { set, field } => number(request, field).map(|id| (set, Slot::of(id))),
        }
    }

    /// Whether this request may be made again when nothing is known of its outcome.
    pub fn may_repeat(&self, request: &[u8]) -> bool {
        match self.repeat {
            Repeat::Never => false,
            Repeat::Always => true,
            Repeat::With(fields) => fields.iter().all(|field| is_set(request, field)),
        }
    }
}

const METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::v1;

    fn method(name: &str) -> &'static Method {
        find(&format!("/starling.v1.{name}")).unwrap_or_else(|| panic!("there is a method {name}"))
    }

    #[test]
    fn a_request_goes_to_the_owner_of_what_it_names() {
        let create = v1::CreateMessageRequest { channel_id: 7, author_id: 8, ..Default::default() };
        let place = method("Messages/CreateMessage").place(&create.encode_to_vec());
        assert_eq!(place, Some((SlotSet::Channels, Slot::of(7))));
        let seed = v1::SeedGuildRequest { guild_id: Some(9), ..Default::default() };
        let place = method("Guilds/SeedGuild").place(&seed.encode_to_vec());
        assert_eq!(place, Some((SlotSet::Guilds, Slot::of(9))));
    }

    #[test]
    fn a_request_that_names_nothing_goes_to_any_replica() {
        let seed = v1::SeedGuildRequest { name: "x".into(), ..Default::default() };
        assert_eq!(method("Guilds/SeedGuild").place(&seed.encode_to_vec()), None);
        let login = v1::LoginRequest { username: "x".into(), password: "y".into() };
        assert_eq!(method("Accounts/Login").place(&login.encode_to_vec()), None);
    }

    #[test]
    fn one_replica_answers_for_all_presences() {
        let places = [
            "RenewLease",
            "UpdateSessions",
            "GetPresences",
            "ComparePresences",
            "UpdateVoiceState",
            "ListVoiceStates",
        ]
        .map(|name| method(&format!("PresenceService/{name}")).place(&[]));
        assert!(places.iter().all(|place| place.is_some() && *place == places[0]));
    }

    #[test]
    fn a_create_may_be_repeated_with_an_enforced_nonce_only() {
        let create = method("Messages/CreateMessage");
        let nonce = || Some(v1::Nonce { value: Some(v1::nonce::Value::Number(1)) });
        let may = |nonce, enforce_nonce| {
            let request = v1::CreateMessageRequest { nonce, enforce_nonce, ..Default::default() };
            create.may_repeat(&request.encode_to_vec())
        };
        assert_eq!(
            [may(nonce(), true), may(nonce(), false), may(None, true), may(None, false)],
            [true, false, false, false]
        );
    }

    #[test]
    fn what_changes_something_is_not_repeated() {
        for name in ["Accounts/Register", "Guilds/CreateGuild", "Messages/EditMessage", "Guilds/UseInvite"] {
            assert!(!method(name).may_repeat(&[]), "{name}");
        }
        assert!(method("Guilds/OpenGuild").may_repeat(&[]));
        assert!(method("Accounts/Authenticate").may_repeat(&[]));
    }

    #[test]
    fn the_table_is_in_order_and_whole() {
        assert!(METHODS.is_sorted_by_key(|method| method.path));
        assert!(METHODS.len() > 50);
        assert!(find("/starling.v1.Messages/Unheard").is_none());
    }
}
