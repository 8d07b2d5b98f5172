//! A shard's encoder: makes what is sent in the form in which a connection takes it.
//!
//! The JSON of an event comes from the service that made it, and is read only to be made into ETF; whoever takes JSON gets
//! it as it is. Each form is made by the first shard that has somebody for it. It is compressed also for one or two: what
//! a client asked for has to be a legal stream in any case, and compressing for one costs no more than its own compressor
//! would.

use bytes::Bytes;
use encoding::{Dispatch, Etf, Json, Part, Parted, Payload, Shared, zlib, zstd};
use tracing::error;

use crate::form::Form;
use crate::link::Notice;
use crate::wire::SharedBody;

/// See the module.
#[derive(Default)]
pub(crate) struct Encoder {
    /// 300 KB, from the first client on that asks for it.
    zlib: Option<zlib::Sharer>,
    zstd: Option<zstd::Sharer>,
    notices: [[Option<SharedBody>; Notice::COUNT]; Form::COUNT],
}

/// What all share of an event, in one form.
pub(crate) struct SharedPart {
    parted: Format,
    shared: Shared,
    /// Blocks for what stands before it, in a compressed form.
    blocks: fn(&[u8]) -> Bytes,
}

enum Format {
    Json(Parted<Json>),
    Etf(Parted<Etf>),
}

impl SharedPart {
    /// The whole for a session with this part of its own.
    pub(crate) fn with(&self, own: Part<'_>) -> SharedBody {
        let own = match &self.parted {
            Format::Json(parted) => parted.own(own),
            Format::Etf(parted) => parted.own(own).expect("parts of ours are JSON"),
        };
        SharedBody::parted(&self.shared, (self.blocks)(&own))
    }
}

impl Encoder {
    /// What all share of an event named `t`.
    pub(crate) fn shared_part(
        &mut self,
        form: Form,
        t: &'static str,
        list: &'static str,
        part: Part<'_>,
    ) -> SharedPart {
        if form.is_etf() {
            let parted = Parted::etf(t, list, part).expect("parts of ours are JSON");
            let (shared, blocks): (_, fn(&[u8]) -> Bytes) = match form {
                Form::EtfZlib => (self.zlib().share(parted.rest()), zlib::stored),
                _ => (parted.rest().plain(), Bytes::copy_from_slice),
            };
            return SharedPart { parted: Format::Etf(parted), shared, blocks };
        }
        let parted = Parted::json(t, list, part);
        let (shared, blocks): (_, fn(&[u8]) -> Bytes) = match form {
            Form::JsonZlib => (self.zlib().share(parted.rest()), zlib::stored),
            Form::JsonZstd => (self.zstd().share(parted.rest()), zstd::raw),
            _ => (parted.rest().plain(), Bytes::copy_from_slice),
        };
        SharedPart { parted: Format::Json(parted), shared, blocks }
    }

    /// An event named `t` with the JSON value `d`.
    pub(crate) fn event(&mut self, form: Form, t: &str, d: &[u8]) -> SharedBody {
        SharedBody::dispatch(&match form {
            Form::Json => Dispatch::json(t, d).plain(),
            Form::JsonZlib => self.zlib().share(&Dispatch::json(t, d)),
            Form::JsonZstd => self.zstd().share(&Dispatch::json(t, d)),
            Form::Etf => etf(t, d).plain(),
            Form::EtfZlib => self.zlib().share(&etf(t, d)),
        })
    }

    /// The first message of a connection.
    pub(crate) fn opening(&mut self, form: Form, json: String) -> SharedBody {
        match form {
            Form::Json => SharedBody::text(json),
            Form::JsonZlib => SharedBody::binary(self.zlib().opening(&Payload::json(json))),
            Form::JsonZstd => SharedBody::binary(self.zstd().opening(&Payload::json(json))),
            Form::Etf => SharedBody::binary(etf_payload(&json).into_bytes()),
            Form::EtfZlib => SharedBody::binary(self.zlib().opening(&etf_payload(&json))),
        }
    }

    /// What is the same for everybody is made once.
    pub(crate) fn notice(&mut self, form: Form, notice: Notice) -> SharedBody {
        if let Some(made) = &self.notices[form as usize][notice as usize] {
            return made.clone();
        }
        let json = notice.json();
        let made = match form {
            Form::Json => SharedBody::text(json),
            Form::JsonZlib => SharedBody::binary(self.zlib().whole(&Payload::json(json))),
            Form::JsonZstd => SharedBody::binary(self.zstd().whole(&Payload::json(json))),
            Form::Etf => SharedBody::binary(etf_payload(json).into_bytes()),
            Form::EtfZlib => SharedBody::binary(self.zlib().whole(&etf_payload(json))),
        };
        self.notices[form as usize][notice as usize] = Some(made.clone());
        made
    }

    fn zlib(&mut self) -> &mut zlib::Sharer {
        self.zlib.get_or_insert_with(zlib::Sharer::new)
    }

    fn zstd(&mut self) -> &mut zstd::Sharer {
        self.zstd.get_or_insert_with(zstd::Sharer::new)
    }
}

/// What is no JSON, which a service never makes, is shown as nothing: the number is the event's by now.
fn etf(t: &str, d: &[u8]) -> Dispatch<Etf> {
    Dispatch::etf(t, d).unwrap_or_else(|error| {
        error!(%error, event = t, "event is no JSON, clients with ETF are shown it empty");
        Dispatch::etf(t, b"{}").expect("an empty object is JSON")
    })
}

fn etf_payload(json: &str) -> Payload<Etf> {
    Payload::etf(json.as_bytes()).expect("payloads of ours are JSON")
}
