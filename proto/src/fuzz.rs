//! Entries for fuzzing: they take any bytes, and panic when a promise is broken.

use bytes::Bytes;

use crate::envelope::Envelope;

/// Decodes `data` as an event. What is understood is the same after another way over the wire.
pub fn fuzz_envelope(data: &[u8]) {
    if let Ok(envelope) = Envelope::decode(Bytes::copy_from_slice(data)) {
        assert_eq!(Envelope::decode(envelope.encode()), Ok(envelope));
    }
}
