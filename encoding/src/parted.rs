//! Dispatches of which a part is each session's own, as of GUILD_CREATE when the user joined and their own member.
//!
//! ```text
//! {"op":0,"s":1234      , │ "t":"GUILD_CREATE","d":{"joined_at":"…","members":[{…}, │ {…},{…}],"id":"1","channels":[…]}}
//! prefix                  │ own                                                     │ rest, made once for all who see the same
//! ```
//!
//! What is a session's own goes first, and so it can stand before the compressed rest as it is: in zlib in stored blocks, in zstd
//! in raw ones. The objects of JSON and the maps of ETF have no order that would be broken by that. It may be some members of
//! `d`, and the first elements of one list in it.

use bytes::Bytes;

use crate::etf::{self, NotJson};
use crate::payload::{Dispatch, Etf, Json, is_name};

/// What all share of such an event.
#[derive(Clone, Debug)]
pub struct Parted<F> {
    t: &'static str,
    /// The key of the list that sessions have elements of their own in.
    list: &'static str,
    /// How many of its elements are shared, and how many members of `d`.
    counts: Counts,
    rest: Dispatch<F>,
}

/// A JSON object and a JSON array: members of `d`, and elements of the list.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    pub object: &'a [u8],
    pub array: &'a [u8],
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    fields: u32,
    items: u32,
}

impl<F> Parted<F> {
    /// What is the same for all, from which the shared forms are made.
    pub fn rest(&self) -> &Dispatch<F> {
        &self.rest
    }
}

impl Parted<Json> {
    /// An event named `t` with a list named `list`.
    pub fn json(t: &'static str, list: &'static str, shared: Part<'_>) -> Self {
        debug_assert!(is_name(t) && is_name_of_list(list));
        let (fields, items) = (inside(shared.object), inside(shared.array));
        let comma = if fields.is_empty() { "" } else { "," };
        let rest = [items, b"]", comma.as_bytes(), fields, b"}}"].concat();
        // What matters in JSON is whether there are any.
        let counts = Counts { fields: u32::from(!fields.is_empty()), items: u32::from(!items.is_empty()) };
        Self { t, list, counts, rest: Dispatch::of_rest(rest) }
    }

    /// What goes before the rest for one session.
    pub fn own(&self, own: Part<'_>) -> Bytes {
        let (fields, items) = (inside(own.object), inside(own.array));
        let comma = |is_needed: bool| if is_needed { "," } else { "" };
        let between = comma(!fields.is_empty());
        let behind = comma(!items.is_empty() && self.counts.items > 0);
        let head = format!(r#""t":"{}","d":{{"#, self.t);
        let list = format!(r#"{between}"{}":["#, self.list);
        [head.as_bytes(), fields, list.as_bytes(), items, behind.as_bytes()].concat().into()
    }
}

impl Parted<Etf> {
    /// The same event in ETF, given as JSON all the same.
    pub fn etf(t: &'static str, list: &'static str, shared: Part<'_>) -> Result<Self, NotJson> {
        debug_assert!(is_name(t) && is_name_of_list(list));
        let (object, array) = (etf::elements(shared.object)?, etf::elements(shared.array)?);
        let rest = [&*array.bytes, &[etf::NIL], &*object.bytes].concat();
        let counts = Counts { fields: object.count, items: array.count };
        Ok(Self { t, list, counts, rest: Dispatch::of_rest(rest) })
    }

    /// What goes before the rest for one session.
    pub fn own(&self, own: Part<'_>) -> Result<Bytes, NotJson> {
        let (object, array) = (etf::elements(own.object)?, etf::elements(own.array)?);
        let mut bytes = etf::dispatch_name(self.t);
        etf::push_map_head(&mut bytes, object.count + 1 + self.counts.fields);
        bytes.extend(object.bytes);
        etf::push_binary(&mut bytes, self.list.as_bytes());
        match array.count + self.counts.items {
            // An empty list is the end of a list alone, which the rest begins with.
            0 => {}
            count => etf::push_list_head(&mut bytes, count),
        }
        bytes.extend(array.bytes);
        Ok(bytes.into())
    }
}

/// A JSON object or array without its brackets.
fn inside(json: &[u8]) -> &[u8] {
    debug_assert!(json.len() >= 2, "it has brackets");
    json.get(1..json.len().saturating_sub(1)).unwrap_or_default()
}

/// Names of ours need no escape.
fn is_name_of_list(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{zlib, zstd};

    static FIELDS: [&[u8]; 3] = [b"{}", br#"{"a":1}"#, br#"{"b":[2,3],"c":null}"#];
    static ITEMS: [&[u8]; 3] = [b"[]", br#"[{"x":1}]"#, br#"[{"x":2},"y"]"#];

    /// Every combination of what is own and what is shared, with the event that they are together.
    fn cases() -> impl Iterator<Item = (Part<'static>, Part<'static>, Value)> {
        let pairs = || FIELDS.iter().flat_map(|object| ITEMS.iter().map(move |array| Part { object, array }));
        pairs().flat_map(move |own| pairs().map(move |shared| (own, shared))).filter_map(|(own, shared)| {
            let read = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap();
            let (mut d, other) = (read(own.object), read(shared.object));
            if own.object == shared.object && own.object != b"{}" {
                return None;
            }
            d.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
            let items: Vec<Value> = [own.array, shared.array]
                .iter()
                .flat_map(|array| read(array).as_array().unwrap().clone())
                .collect();
            d["list"] = items.into();
            Some((own, shared, json!({"op": 0, "s": 70_000, "t": "T", "d": d})))
        })
    }

    fn message(shared: &crate::Shared, own: &[u8]) -> Vec<u8> {
        [shared.prefix().with_seq(70_000).as_slice(), own, shared.rest()].concat()
    }

    #[test]
    fn both_parts_are_one_event_of_json() {
        let mut count = 0;
        for (own, shared, expected) in cases() {
            let parted = Parted::json("T", "list", shared);
            let message = message(&parted.rest().plain(), &parted.own(own));
            assert_eq!(serde_json::from_slice::<Value>(&message).unwrap(), expected);
            count += 1;
        }
        assert_eq!(count, 81 - 2 * 9);
    }

    #[test]
    fn both_parts_are_one_event_of_etf() {
        for (own, shared, expected) in cases() {
            let parted = Parted::etf("T", "list", shared).unwrap();
            let message = message(&parted.rest().plain(), &parted.own(own).unwrap());
            let json = etf::to_json(&message).expect("it is a term");
            assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected);
        }
    }

    /// The own part stands in blocks of its own, however long it is, and other messages before and behind.
    #[test]
    fn the_own_part_is_spliced_into_streams() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(200_000));
        let own = Part { object: long.as_bytes(), array: b"[1]" };
        let items = format!("[{}2]", "2,".repeat(50_000));
        let parted = Parted::json("T", "list", Part { object: br#"{"b":1}"#, array: items.as_bytes() });
        let own = parted.own(own);
        let expected: Value = serde_json::from_slice(&message(&parted.rest().plain(), &own)).unwrap();
        let (mut zlib, mut zstd) = (zlib::Sharer::new(), zstd::Sharer::new());
        let hello = crate::Payload::json("{}");
        let (mut inflate, mut context) = (zlib_rs::Inflate::new(true, 15), zstd_safe::DCtx::create());
        let mut inflated = |message: &[u8]| {
            let (mut output, before) = (vec![0; 1 << 20], inflate.total_out());
            inflate.decompress(message, &mut output, zlib_rs::InflateFlush::SyncFlush).unwrap();
            output.truncate((inflate.total_out() - before) as usize);
            output
        };
        let mut decompressed = |message: &[u8]| {
            let mut output = vec![0; 1 << 20];
            let mut to = zstd_safe::OutBuffer::around(&mut output[..]);
            let mut from = zstd_safe::InBuffer::around(message);
            while from.pos() < message.len() {
                context.decompress_stream(&mut to, &mut from).unwrap();
            }
            let len = to.pos();
            output.truncate(len);
            output
        };
        assert_eq!(inflated(&zlib.opening(&hello)), b"{}");
        assert_eq!(decompressed(&zstd.opening(&hello)), b"{}");
        for _ in 0..3 {
            let in_zlib = inflated(&message(&zlib.share(parted.rest()), &zlib::stored(&own)));
            let in_zstd = decompressed(&message(&zstd.share(parted.rest()), &zstd::raw(&own)));
            for read in [in_zlib, in_zstd] {
                assert_eq!(serde_json::from_slice::<Value>(&read).unwrap(), expected);
            }
        }
    }
}
