//! Events as they are sent: in each form once, made when somebody first takes it in that form.

use std::sync::OnceLock;

use crate::encoder::Encoder;
use crate::form::Form;
use crate::wire::SharedBody;

/// The forms of one event that have been made so far.
#[derive(Debug, Default)]
pub(crate) struct Forms([OnceLock<SharedBody>; Form::COUNT]);

/// An event to be sent, in whatever form.
#[derive(Clone, Copy)]
pub(crate) struct Content<'a> {
    /// Its name.
    pub(crate) t: &'a str,
    /// Its value, in JSON.
    pub(crate) d: &'a [u8],
    pub(crate) made: &'a Forms,
}

/// An event that was made for one session, or for some: what a ring keeps of it.
#[derive(Debug, Clone)]
pub struct OwnEvent {
    /// In plain JSON, from which the other forms are made.
    plain: SharedBody,
}

/// Such an event while it is given: all to whom it is given now share its forms. They are not kept with it, since a
/// session mostly takes it once.
pub(crate) struct Fresh {
    event: OwnEvent,
    made: Forms,
}

// === impl Content ===

impl<'a> Content<'a> {
    pub(crate) fn body(self, form: Form, encoder: &mut Encoder) -> &'a SharedBody {
        self.made.0[form as usize].get_or_init(|| encoder.event(form, self.t, self.d))
    }
}

// === impl OwnEvent ===

impl PartialEq for OwnEvent {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for OwnEvent {}

impl OwnEvent {
    /// An event named `t` with the JSON value `d`.
    pub fn new(t: &str, d: &[u8]) -> Self {
        Self { plain: SharedBody::json(t, d) }
    }

    /// Bytes that keeping it takes.
    pub fn bytes(&self) -> usize {
        self.plain.frame_len()
    }

    /// Name and value, out of `"t":"…","d":…}`. Names hold no quotes.
    pub(crate) fn parts(&self) -> (&str, &[u8]) {
        let rest = &self.plain.tail()[BEFORE_NAME.len()..];
        let name_len = rest.iter().position(|byte| *byte == b'"').unwrap_or_default();
        let name = std::str::from_utf8(&rest[..name_len]).unwrap_or_default();
        (name, &rest[name_len + BEFORE_VALUE.len()..rest.len() - 1])
    }
}

const BEFORE_NAME: &[u8] = br#""t":""#;
const BEFORE_VALUE: &[u8] = br#"","d":"#;

// === impl Fresh ===

impl Fresh {
    /// An event named `t` with the JSON value `d`.
    pub(crate) fn new(t: &str, d: &[u8]) -> Self {
        OwnEvent::new(t, d).into()
    }

    /// What is kept of it.
    pub(crate) fn event(&self) -> &OwnEvent {
        &self.event
    }

    pub(crate) fn content(&self) -> Content<'_> {
        let (t, d) = self.event.parts();
        Content { t, d, made: &self.made }
    }
}

impl From<OwnEvent> for Fresh {
    fn from(event: OwnEvent) -> Self {
        let made = Forms::default();
        // Plain JSON is what it is kept in.
        made.0[Form::Json as usize].get_or_init(|| event.plain.clone());
        Self { event, made }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_own_event_gives_back_what_it_was_made_of() {
        for (t, d) in [("READY", &br#"{"t":"x","d":"}"}"#[..]), ("RESUMED", b"{}"), ("T", b"null")] {
            assert_eq!(OwnEvent::new(t, d).parts(), (t, d));
        }
    }

    #[test]
    fn each_form_is_made_once_and_plain_json_not_again() {
        let mut encoder = Encoder::default();
        let fresh = Fresh::new("TYPING_START", br#"{"channel_id":"1"}"#);
        for form in [Form::Json, Form::JsonZlib, Form::JsonZstd, Form::Etf, Form::EtfZlib] {
            let tail = fresh.content().body(form, &mut encoder).tail();
            assert_eq!(fresh.content().body(form, &mut encoder).tail().as_ptr(), tail.as_ptr(), "{form:?}");
        }
        let plain = fresh.content().body(Form::Json, &mut encoder).tail();
        assert_eq!(plain.as_ptr(), fresh.event().plain.tail().as_ptr());
    }
}
