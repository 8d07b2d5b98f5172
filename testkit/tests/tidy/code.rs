//! Rust text without comments and literals, and the `mod` declarations in it. Not a parser: a lexer of the few things that
//! could make a word in a comment or a string look like code.

/// The same text with every comment and the inside of every literal replaced by spaces; lines stay where they are.
pub fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(first) = rest.chars().next() {
        let (length, hidden) = match blank_prefix(rest, after_word) {
            Some(length) => (length, true),
            None => (first.len_utf8(), false),
        };
        let (token, tail) = rest.split_at(length);
        if hidden {
            out.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            out.push(first);
        }
        after_word = !hidden && (first.is_alphanumeric() || first == '_');
        rest = tail;
    }
    out
}

/// The length of the comment or literal that `rest` starts with.
fn blank_prefix(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        return char_literal(rest);
    }
    if after_word {
        return None;
    }
    let raw = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let body_length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(rest.len() - body.len() + body_length)
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let tail = &rest.as_bytes()[at..];
        if tail.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// A character, not a lifetime: `'x'` or `'\…'`.
fn char_literal(rest: &str) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    let (_, first) = chars.next()?;
    let (at, second) = chars.next()?;
    (first == '\\').then(|| quoted(rest, '\'')).or_else(|| (second == '\'').then_some(at + 1))
}

/// A module that lies in a file of its own: `mod name;`, with the inline modules around it and its `#[path]`.
#[derive(Debug, PartialEq, Eq)]
pub struct ModuleFile {
    pub inside: Vec<String>,
    pub name: String,
    pub path: Option<String>,
}

const PATH_ATTRIBUTE: &str = "#[path";

/// All `mod name;` of a file.
pub fn module_files(text: &str) -> Vec<ModuleFile> {
    let code = code_only(text).replace('{', " { ").replace('}', " } ").replace(';', " ; ");
    let mut paths = text.lines().filter(|line| line.trim_start().starts_with(PATH_ATTRIBUTE));
    let mut path = None;
    let mut inline: Vec<(usize, &str)> = Vec::new();
    let mut depth = 0_usize;
    let mut last_words = ["", ""];
    let mut found = Vec::new();
    for word in code.split_whitespace() {
        match (word, last_words) {
            ("{", ["mod", name]) => {
                depth += 1;
                inline.push((depth, name));
            }
            ("{", _) => depth += 1,
            ("}", _) => {
                inline.retain(|(at, _)| *at != depth);
                depth = depth.saturating_sub(1);
            }
            (";", ["mod", name]) => {
                let inside = inline.iter().map(|(_, name)| (*name).to_owned()).collect();
                found.push(ModuleFile { inside, name: name.to_owned(), path: path.take() });
            }
            (PATH_ATTRIBUTE, _) => {
                path = paths.next().and_then(|line| line.split('"').nth(1)).map(str::to_owned)
            }
            _ => {}
        }
        last_words = [last_words[1], word];
    }
    found
}

/// The number of lines outside `#[cfg(test)] mod … { … }`, as rustfmt lays them out.
pub fn lines_without_tests(text: &str) -> usize {
    let code = code_only(text);
    let lines: Vec<&str> = code.lines().collect();
    let mut count = 0;
    let mut at = 0;
    while at < lines.len() {
        match test_module(&lines[at..]) {
            Some(length) => at += length,
            None => {
                count += 1;
                at += 1;
            }
        }
    }
    count
}

/// The length of the test module that `lines` starts with.
fn test_module(lines: &[&str]) -> Option<usize> {
    let indent = lines[0].len() - lines[0].trim_start().len();
    lines[0].trim_start().starts_with("#[cfg(test)]").then_some(())?;
    let head =
        lines.iter().position(|line| !line.trim_start().starts_with("#[") && !line.trim().is_empty())?;
    let opens = lines[head].trim();
    (opens.contains("mod ") && opens.ends_with('{')).then_some(())?;
    let end = format!("{}}}", " ".repeat(indent));
    let length = lines.iter().position(|line| line.trim_end() == end)?;
    Some(length + 1)
}

#[test]
fn comments_and_literals_are_blank() {
    let text =
        "a /* b /* c */ d */ \"e \\\" f\" 'g' '\\'' h<'i> r#\"j \" k\"# // l\nm br\"n\" for\"o\" \"p\nq\" r";
    let words: Vec<String> = code_only(text).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["a", "h<'i>", "m", "for", "r"]);
    assert_eq!(code_only(text).lines().count(), text.lines().count());
}

#[test]
fn module_files_are_found() {
    let text = "// mod no;\npub(crate) mod a;\nmod b { mod c; mod d { fn f() {} }\n mod e; }\n#[path = \"x/y.rs\"]\nmod z;\n";
    let found: Vec<_> = module_files(text)
        .into_iter()
        .map(|module| (module.inside.join("/"), module.name, module.path.unwrap_or_default()))
        .collect();
    let expected = [("", "a", ""), ("b", "c", ""), ("b", "e", ""), ("", "z", "x/y.rs")];
    assert_eq!(found, expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
}

#[test]
fn test_modules_do_not_count() {
    let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() {\n    }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
    assert_eq!(lines_without_tests(text), 5);
}
