//! The content filter: words and patterns that the operator does not want to see sent.
//!
//! Words are found whole and without regard to case; all of them are one automaton, as all patterns are.

use proto::failure::code;
use proto::{Failure, FailureKind};
use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

const PROGRAM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the filter blocks.
#[derive(Debug, Clone, Default)]
pub struct FilterConfig {
    pub words: Vec<String>,
    /// Regular expressions, matched anywhere in a text.
    pub patterns: Vec<String>,
}

/// A word list or pattern that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("compile the content filter: {0}")]
pub struct FilterError(#[from] regex::Error);

#[derive(Debug)]
pub(crate) struct Filter {
    words: Option<Regex>,
    patterns: RegexSet,
}

impl Filter {
    pub(crate) fn new(config: &FilterConfig) -> Result<Self, FilterError> {
        let words: Vec<_> =
            config.words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
        let any: Vec<_> = words.iter().map(|word| regex::escape(word)).collect();
        let words = (!any.is_empty())
            .then(|| {
                RegexBuilder::new(&format!(r"(?:^|\W)({})(?:$|\W)", any.join("|")))
                    .case_insensitive(true)
                    .size_limit(PROGRAM_BYTES_MAX)
                    .build()
            })
            .transpose()?;
        let patterns = RegexSetBuilder::new(&config.patterns).size_limit(PROGRAM_BYTES_MAX).build()?;
        Ok(Self { words, patterns })
    }

    /// Refuses a text with a blocked word or pattern.
    pub(crate) fn check(&self, text: &str) -> Result<(), Failure> {
        let word =
            self.words.as_ref().and_then(|words| words.captures(text)).map(|found| found[1].to_owned());
        if let Some(word) = word {
            return Err(blocked(&format!("the word \"{word}\" is not allowed")));
        }
        match self.patterns.matches(text).iter().next() {
            Some(index) => Err(blocked(&format!("it matches blocked pattern {}", index + 1))),
            None => Ok(()),
        }
    }
}

fn blocked(why: &str) -> Failure {
    let message = format!("Message was blocked by the content filter: {why}");
    Failure::new(FailureKind::Invalid, code::FILTERED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole_and_caseless_and_patterns_match_anywhere() {
        let config = FilterConfig {
            words: vec!["spam".into(), "c++".into(), " ".into(), "böse".into()],
            patterns: vec![r"\d{4}-\d{4}".into()],
        };
        let filter = Filter::new(&config).unwrap();
        for blocked in ["SPAM", "no spam!", "spam", "I like C++.", "BÖSE", "x1234-5678y", "a\nspam\nb"] {
            assert_eq!(filter.check(blocked).unwrap_err().code, code::FILTERED, "{blocked} passed");
        }
        for allowed in ["", "spammer", "despam", "c+", "123-5678"] {
            assert!(filter.check(allowed).is_ok(), "{allowed} was blocked");
        }
        let message = filter.check("what Spam").unwrap_err().message;
        assert_eq!(message, "Message was blocked by the content filter: the word \"Spam\" is not allowed");
        assert!(Filter::new(&FilterConfig::default()).unwrap().check("anything").is_ok());
        assert!(Filter::new(&FilterConfig { words: vec![], patterns: vec!["(".into()] }).is_err());
    }
}
