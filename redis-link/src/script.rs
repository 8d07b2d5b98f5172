//! Atomic scripts and calls of them.

use std::sync::OnceLock;

use redis::{Cmd, ToRedisArgs};

use crate::key::Key;

/// A Lua script, which Redis runs as one step.
pub struct Script {
    text: &'static str,
    loaded: OnceLock<redis::Script>,
}

impl Script {
    pub const fn new(text: &'static str) -> Self {
        Self { text, loaded: OnceLock::new() }
    }

    /// A call on these keys, which share their tag.
    ///
    /// # Panics
    /// Where debug assertions are on, when they do not.
    pub fn on<'a>(&'static self, keys: impl IntoIterator<Item = &'a Key>) -> Call {
        let keys: Vec<&Key> = keys.into_iter().collect();
        debug_assert!(
            !keys.is_empty() && keys.iter().all(|key| key.tag() == keys[0].tag()),
            "keys of one script lie in one slot: {keys:?}"
        );
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.compiled().get_hash()).arg(keys.len());
        for key in keys {
            command.arg(key);
        }
        Call { script: self, command }
    }

    pub(crate) fn load(&self) -> Cmd {
        let mut command = redis::cmd("SCRIPT");
        command.arg("LOAD").arg(self.text);
        command
    }

    fn compiled(&self) -> &redis::Script {
        self.loaded.get_or_init(|| redis::Script::new(self.text))
    }
}

/// One run of a script.
#[derive(Clone)]
pub struct Call {
    script: &'static Script,
    command: Cmd,
}

impl Call {
    /// Adds an argument: a number, text or bytes.
    pub fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn script(&self) -> &'static Script {
        self.script
    }

    pub(crate) fn command(&self) -> &Cmd {
        &self.command
    }
}
