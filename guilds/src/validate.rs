//! What fields may hold. Errors are collected, so that a caller learns of all of them at once, in the public API's codes.

use model::limits::{USERNAME_CHARS_MAX, USERNAME_CHARS_MIN};
use proto::{Failure, FieldError};

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn error(&mut self, path: &str, code: &str, message: impl Into<String>) -> &mut Self {
        self.errors.push(FieldError { path: path.into(), code: code.into(), message: message.into() });
        self
    }

    /// A text of `min` to `max` characters.
    pub(crate) fn length(&mut self, path: &str, text: &str, min: usize, max: usize) -> &mut Self {
        if (min..=max).contains(&text.chars().count()) {
            return self.printable(path, text);
        }
        self.error(path, "BASE_TYPE_BAD_LENGTH", format!("Must be between {min} and {max} in length."))
    }

    /// A text of at most `max` characters.
    pub(crate) fn max_length(&mut self, path: &str, text: &str, max: usize) -> &mut Self {
        if text.chars().count() <= max {
            return self.printable(path, text);
        }
        self.error(path, "BASE_TYPE_MAX_LENGTH", format!("Must be {max} or fewer in length."))
    }

    /// A text that must be there, of 1 to `max` characters.
    pub(crate) fn required(&mut self, path: &str, text: Option<&str>, max: usize) -> &mut Self {
        match text {
            None | Some("") => self.error(path, "BASE_TYPE_REQUIRED", "This field is required"),
            Some(text) => self.length(path, text, 1, max),
        }
    }

    pub(crate) fn range(&mut self, path: &str, value: u64, min: u64, max: u64) -> &mut Self {
        if value < min {
            let message = format!("int value should be greater than or equal to {min}.");
            return self.error(path, "NUMBER_TYPE_MIN", message);
        }
        if value > max {
            let message = format!("int value should be less than or equal to {max}.");
            return self.error(path, "NUMBER_TYPE_MAX", message);
        }
        self
    }

    pub(crate) fn choice(&mut self, path: &str, value: u32, choices: &[u32]) -> &mut Self {
        if choices.contains(&value) {
            return self;
        }
        let choices: Vec<_> = choices.iter().map(u32::to_string).collect();
        self.error(path, "BASE_TYPE_CHOICES", format!("Value must be one of ({}).", choices.join(", ")))
    }

    /// A name that identifies somebody: ASCII letters, digits, `_`, `.` and `-`.
    pub(crate) fn username(&mut self, path: &str, name: &str) -> &mut Self {
        self.length(path, name, USERNAME_CHARS_MIN, USERNAME_CHARS_MAX);
        let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.chars().all(legal) {
            return self;
        }
        let message = "Must only contain letters, digits, underscores, periods and hyphens.";
        self.error(path, "USERNAME_INVALID_CONTAINS", message)
    }

    fn printable(&mut self, path: &str, text: &str) -> &mut Self {
        if !text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return self;
        }
        self.error(path, "BASE_TYPE_BAD_STRING", "Must not contain control characters.")
    }

    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let errors = std::mem::take(&mut self.errors);
        if errors.is_empty() { Ok(()) } else { Err(Failure::invalid_fields(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_named_with_its_code() {
        let mut fields = Fields::default();
        fields.length("a", "", 1, 100).length("b", &"é".repeat(100), 1, 100).max_length("c", "xyz", 2);
        fields.required("d", None, 5).range("e", 5, 6, 9).range("f", 10, 6, 9).range("g", 6, 6, 9);
        fields
            .choice("h", 3, &[0, 2])
            .choice("i", 2, &[0, 2])
            .username("j", "a b")
            .username("k", "Al.i-ce_9");
        fields.length("l", "bell\u{7}", 1, 100);
        let failure = fields.finish().unwrap_err();
        let found: Vec<_> =
            failure.fields.iter().map(|field| (field.path.as_str(), field.code.as_str())).collect();
        let expected = [
            ("a", "BASE_TYPE_BAD_LENGTH"),
            ("c", "BASE_TYPE_MAX_LENGTH"),
            ("d", "BASE_TYPE_REQUIRED"),
            ("e", "NUMBER_TYPE_MIN"),
            ("f", "NUMBER_TYPE_MAX"),
            ("h", "BASE_TYPE_CHOICES"),
            ("j", "USERNAME_INVALID_CONTAINS"),
            ("l", "BASE_TYPE_BAD_STRING"),
        ];
        assert_eq!(found, expected);
        assert_eq!(failure.fields[0].message, "Must be between 1 and 100 in length.");
        assert_eq!(failure.code, proto::failure::code::INVALID_FORM);
    }
}
