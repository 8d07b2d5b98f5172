//! From the path that a client asks for to the path of a route.
//!
//! Libraries glue base URLs and routes together in their own ways, so slashes may be doubled or trail, and the version
//! may be missing. All that is put right before a route is looked for.

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The page for people.
    Index,
    /// A route of the API: the path below the version.
    Route(String),
    /// A version that is not spoken here.
    UnknownVersion,
    Nowhere,
}

pub(crate) fn resolve(path: &str) -> Target {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty()).peekable();
    match segments.next() {
        None => return Target::Index,
        Some("api") => {}
        Some(_) => return Target::Nowhere,
    }
    if let Some(version) = segments.peek().and_then(|segment| version(segment)) {
        if !matches!(version, "9" | "10") {
            return Target::UnknownVersion;
        }
        segments.next();
    }
    let mut route = String::with_capacity(path.len());
    for segment in segments {
        route.push('/');
        route.push_str(segment);
    }
    if route.is_empty() { Target::Nowhere } else { Target::Route(route) }
}

/// The number of a segment such as `v10`; `voice` is none.
fn version(segment: &str) -> Option<&str> {
    let number = segment.strip_prefix('v')?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_paths_find_their_route() {
        let route = |path: &str| Target::Route(path.into());
        for (path, target) in [
            ("/", Target::Index),
            ("//", Target::Index),
            ("/api/v10/gateway", route("/gateway")),
            ("/api/v9//gateway/bot/", route("/gateway/bot")),
            ("//api/gateway", route("/gateway")),
            ("/api/voice/regions", route("/voice/regions")),
            ("/api/v8/gateway", Target::UnknownVersion),
            ("/api/v10", Target::Nowhere),
            ("/api", Target::Nowhere),
            ("/apis/v10/gateway", Target::Nowhere),
        ] {
            assert_eq!(resolve(path), target, "{path}");
        }
    }
}
