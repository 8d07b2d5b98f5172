//! Names of keys.

use std::fmt::{self, Display};

use redis::{RedisWrite, ToRedisArgs};

/// A key: `prefix:kind:{tag}`, or `prefix:kind:{tag}:rest`. Keys with the same tag lie in one slot of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    name: String,
    /// Where the tag stands in the name.
    tag: (usize, usize),
}

impl Key {
    pub(crate) fn new(prefix: &str, kind: &str, tag: impl Display) -> Self {
        let head = format!("{prefix}:{kind}:{{");
        let begin = head.len();
        let mut name = format!("{head}{tag}");
        let end = name.len();
        debug_assert!(!name[begin..end].contains('}') && begin < end, "a brace ends the tag");
        name.push('}');
        Self { name, tag: (begin, end) }
    }

    /// The same tag with something behind it.
    pub fn with(mut self, rest: impl Display) -> Self {
        self.name.push(':');
        self.name.push_str(&rest.to_string());
        self
    }

    pub(crate) fn tag(&self) -> &str {
        &self.name[self.tag.0..self.tag.1]
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ToRedisArgs for Key {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(self.name.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_chooses_the_slot_and_the_rest_does_not() {
        let key = Key::new("starling", "users", 7).with(12);
        assert_eq!((key.to_string().as_str(), key.tag()), ("starling:users:{7}:12", "7"));
        assert_eq!(Key::new("p", "k", "pod-1").tag(), "pod-1");
    }
}
