//! `multipart/form-data`, as far as messages need it: the part `payload_json`. Files are refused.

use bytes::Bytes;
use proto::failure::Failure;
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};

const PARTS_MAX: usize = 32;
const NOT_MULTIPART: &str = "the body is no multipart/form-data with the boundary of the Content-Type header";

/// The boundary, if the content type is multipart.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && (1..=70).contains(&value.len())).then_some(value)
    })
}

/// The JSON of a multipart body: its `payload_json`, or an object of its plain fields.
pub(crate) fn payload(body: &Bytes, boundary: &str) -> ApiResult<Bytes> {
    let mut plain = Map::new();
    for part in parts(body, boundary)? {
        let (name, is_file) = disposition(part.head);
        match name.as_str() {
            _ if is_file || name.starts_with("file") => return Err(files_refused()),
            "payload_json" => return Ok(body.slice_ref(part.content)),
            _ => {
                plain.insert(name, String::from_utf8_lossy(part.content).into_owned().into());
            }
        }
    }
    Ok(Value::Object(plain).to_string().into())
}

fn files_refused() -> ApiError {
    Failure::invalid_field("files", "NOT_SUPPORTED", "File uploads are not supported by this server.").into()
}

struct Part<'a> {
    head: &'a [u8],
    content: &'a [u8],
}

fn parts<'a>(body: &'a [u8], boundary: &str) -> ApiResult<Vec<Part<'a>>> {
    let malformed = || ApiError::from(Failure::invalid_field("body", "MULTIPART_INVALID", NOT_MULTIPART));
    let delimiter = format!("--{boundary}");
    let separator = format!("\r\n{delimiter}");
    let mut rest = after(body, delimiter.as_bytes()).ok_or_else(malformed)?;
    let mut parts = Vec::new();
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        if parts.len() == PARTS_MAX {
            return Err(malformed());
        }
        let end = find(part, separator.as_bytes()).ok_or_else(malformed)?;
        let head_end = find(&part[..end], b"\r\n\r\n").ok_or_else(malformed)?;
        parts.push(Part { head: &part[..head_end], content: &part[head_end + 4..end] });
        rest = &part[end + separator.len()..];
    }
    if rest.starts_with(b"--") { Ok(parts) } else { Err(malformed()) }
}

/// The name of a part, and whether it is a file.
fn disposition(head: &[u8]) -> (String, bool) {
    let head = String::from_utf8_lossy(head);
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"));
    let mut name = String::new();
    let mut is_file = false;
    for parameter in line.unwrap_or_default().split(';').skip(1) {
        let Some((key, value)) = parameter.split_once('=') else { continue };
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.trim().trim_matches('"').clone_into(&mut name),
            "filename" | "filename*" => is_file = true,
            _ => {}
        }
    }
    let is_file = is_file && name != "payload_json";
    (name, is_file)
}

fn after<'a>(bytes: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    find(bytes, pattern).map(|at| &bytes[at + pattern.len()..])
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    // Candidates by their first byte: a body without it is passed over at memchr's pace.
    let first = *pattern.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        if bytes[from + at..].starts_with(pattern) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(parts: &[(&str, &str)]) -> Bytes {
        let mut body = String::new();
        for (head, content) in parts {
            body += &format!("--xyz\r\nContent-Disposition: form-data; {head}\r\n\r\n{content}\r\n");
        }
        (body + "--xyz--\r\n").into()
    }

    #[test]
    fn the_payload_is_found_and_files_are_refused() {
        assert_eq!(boundary("multipart/form-data; boundary=\"xyz\""), Some("xyz"));
        assert_eq!(boundary("application/json; charset=utf-8"), None);
        let body = form(&[("name=\"payload_json\"", "{\"content\":\"a\"}")]);
        assert_eq!(payload(&body, "xyz").unwrap(), "{\"content\":\"a\"}");
        let body = form(&[("name=\"content\"", "hi")]);
        assert_eq!(payload(&body, "xyz").unwrap(), "{\"content\":\"hi\"}");
        let body = form(&[("name=\"files[0]\"; filename=\"a.png\"", "...")]);
        assert!(payload(&body, "xyz").is_err());
        assert!(payload(&"--xyz\r\n".into(), "xyz").is_err());
    }
}
