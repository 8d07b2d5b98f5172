//! Erlang's external term format, as much of it as the gateway's protocol has: `encoding=etf`.
//!
//! | JSON | written as | read from, besides |
//! |---|---|---|
//! | `null`, `true`, `false` | SMALL_ATOM_EXT `nil`, `true`, `false` | the other three kinds of atoms; `null` |
//! | integer up to 255, 32 bits, beyond | SMALL_INTEGER_EXT, INTEGER_EXT, SMALL_BIG_EXT | LARGE_BIG_EXT; a float without a fraction |
//! | other number | NEW_FLOAT_EXT | FLOAT_EXT |
//! | string | BINARY_EXT (UTF-8) | any other atom |
//! | array | LIST_EXT ending in NIL_EXT; empty: NIL_EXT | STRING_EXT (a list of bytes), tuples |
//! | object | MAP_EXT with BINARY_EXT as keys | keys as STRING_EXT |
//!
//! What is written is what `erlpack`, the library that clients use, writes; above all its old SMALL_ATOM_EXT, as its
//! JavaScript decoder does not know the atoms of today's Erlang. Ids are strings as in JSON, which every client takes. Integers
//! beyond 32 bits (some timestamps in milliseconds) that decoder gives out as strings, from here as from Discord. What is
//! read is whatever `erlpack` (JavaScript and Python) and `term_to_binary` of Erlang and Elixir make of a payload: ids as
//! integers of 64 bits, lists of small integers as strings. JavaScript knows one kind of number, and `erlpack` writes those
//! beyond 32 bits as floats; so a float that is an integer becomes one again, as `JSON.stringify` would have it.
//!
//! Atoms as keys are refused ([`DecodeError::AtomKey`], close code 4002), as Discord refuses them; so is everything that has no
//! place in JSON: processes, functions, bit strings, compressed terms.
//!
//! Sources: `erl_ext_dist` of the Erlang documentation; `cpp/encoder.h`, `js/encoder.h` and `js/decoder.h` of
//! `discord/erlpack`; "ETF/JSON" in Discord's gateway documentation.

mod decode;
mod encode;
mod tag;

pub use decode::{DecodeError, to_json};
pub use encode::{NotJson, from_json};

pub(crate) use encode::{
    DISPATCH_HEAD, dispatch_name, dispatch_rest, elements, push_binary, push_list_head, push_map_head,
};
pub(crate) use tag::{NIL, VERSION};
