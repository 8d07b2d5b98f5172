//! The settings as text: what is in force, and the table of `docs/configuration.md`.

use std::fmt::Write as _;

use super::load::Loaded;
use super::{SETTINGS, Setting};

/// The effective configuration as a file that can be used again; each line says where its value comes from. A secret is
/// masked, and its line is a comment.
pub fn effective(loaded: &Loaded) -> String {
    let mut text =
        String::from("# The effective configuration, with the place that each value comes from.\n");
    let mut heading = "";
    for (setting, value) in loaded.settings.shown() {
        if heading != setting.heading {
            heading = setting.heading;
            write!(text, "\n# {heading}\n").expect("a text takes whatever is written");
        }
        let comment = if is_masked(&value) { "# " } else { "" };
        let place = loaded.place(setting.name);
        writeln!(text, "{comment}{} = {value}  # {place}", setting.name)
            .expect("a text takes whatever is written");
    }
    text
}

/// The table of settings for `docs/configuration.md`.
pub fn table() -> String {
    let mut text = String::new();
    let mut heading = "";
    for setting in SETTINGS {
        if heading != setting.heading {
            heading = setting.heading;
            let top = "| key | flag | variable | default | what it is |\n|---|---|---|---|---|";
            write!(text, "\n### {heading}\n\n{top}\n").expect("a text takes whatever is written");
        }
        text.push_str(&row(setting));
    }
    text
}

fn row(setting: &Setting) -> String {
    let Setting { name, variable, placeholder, help, default, .. } = setting;
    let flag = format!("{} {placeholder}", setting.flag());
    format!("| `{name}` | `{flag}` | `{variable}` | `{}` | {help} |\n", default())
}

fn is_masked(value: &toml::Value) -> bool {
    value.as_str() == Some("(secret)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::super::Flags;
    use super::super::load::load;
    use super::*;

    #[test]
    fn the_effective_configuration_is_a_file_that_gives_the_same() {
        let key = "ab".repeat(32);
        let variables: BTreeMap<String, String> = [
            ("STARLING_VOICE_ENDPOINTS", "north=n:1"),
            ("STARLING_FILTER_PATTERNS", "a\"b\\d"),
            ("STARLING_VOICE_KEY", &key),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let shown = effective(&load(Flags::default(), None, &variables).unwrap());
        assert!(!shown.contains(&key), "the secret is shown");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &shown).unwrap();
        let again = load(Flags::default(), Some(file.path()), &BTreeMap::new()).unwrap().settings;
        assert_eq!(again.voice_endpoints.0["north"], "n:1");
        assert_eq!(again.filter_patterns.0, ["a\"b\\d"]);
        assert_eq!(again.voice_key.0, None);
    }

    #[test]
    fn the_documentation_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let text = std::fs::read_to_string(&path).unwrap();
        let (start, end) = ("<!-- settings -->\n", "<!-- end of settings -->");
        let head = text.find(start).unwrap() + start.len();
        let tail = text.find(end).unwrap();
        let table = format!("{}\n", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&path, format!("{}{table}{}", &text[..head], &text[tail..])).unwrap();
        } else {
            assert_eq!(text[head..tail], table, "run the test again with UPDATE_DOCS=1");
        }
    }
}
