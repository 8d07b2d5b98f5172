//! Brings the streams to the configured state, again and again with the same result, and checks that they are in it.

use async_nats::jetstream::stream;
use model::entropy;

use super::config::Config;
use super::error::{ConnectError, MigrateError};
use super::link::Link;
use super::names::Names;
use super::streams;
use crate::subject::Stream;

/// What a migration did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// The streams that it made, and those that it changed.
    pub made: Vec<String>,
    pub changed: Vec<String>,
    pub incarnation: u64,
}

/// What a look at the server found, where everything is as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    /// Of the server.
    pub version: String,
    pub streams: usize,
    pub incarnation: u64,
    /// In what streams are not as configured although they can be used, for people.
    pub differences: Vec<String>,
}

/// A stream as it should be, and as it is.
struct Found {
    stream: Stream,
    info: Option<stream::Info>,
}

/// Makes and changes the streams as they are configured.
pub async fn migrate(config: &Config) -> Result<Migrated, MigrateError> {
    let (link, names) = open(config).await?;
    let mut migrated = Migrated::default();
    for _ in 0..ROUNDS_MAX {
        let found = find(config, &names, &link).await?;
        refuse_other_layout(config, &names, &found)?;
        let known = common_incarnation(&found);
        let incarnation = known.unwrap_or_else(|| entropy::number().max(1));
        migrated.incarnation = incarnation;
        let mut is_settled = true;
        for found in found {
            is_settled &= settle(config, &names, &link, found, incarnation, &mut migrated).await?;
        }
        if is_settled {
            return Ok(migrated);
        }
    }
    Err(MigrateError::Concurrent)
}

/// Looks whether everything is as it must be, and changes nothing.
pub async fn inspect(config: &Config) -> Result<Inspected, ConnectError> {
    let (link, names) = open(config).await?;
    check(config, &names, &link).await
}

/// Connects, and checks the server.
pub(super) async fn open(config: &Config) -> Result<(Link, Names), ConnectError> {
    let names = Names::new(&config.prefix, config.layout)
        .ok_or_else(|| ConnectError::Prefix(config.prefix.clone()))?;
    let link = Link::connect(config).await?;
    let info = link.client().server_info();
    let (major, minor) = VERSION_LEAST_PARTS;
    if !link.client().is_server_compatible(major, minor, 0) {
        return Err(ConnectError::TooOld(info.version));
    }
    if !info.jetstream {
        return Err(ConnectError::NoJetStream);
    }
    Ok((link, names))
}

/// Checks that all streams are there and as they should be.
pub(super) async fn check(config: &Config, names: &Names, link: &Link) -> Result<Inspected, ConnectError> {
    let mut common = None;
    let (mut streams, mut differences) = (0, Vec::new());
    for stream in streams::all(config.layout) {
        let name = names.stream(stream);
        let info = streams::find(link, &name).await?.ok_or_else(|| ConnectError::Missing(name.clone()))?;
        let incarnation =
            streams::incarnation(&info.config).ok_or_else(|| ConnectError::Missing(name.clone()))?;
        if *common.get_or_insert(incarnation) != incarnation {
            return Err(ConnectError::Mixed);
        }
        for difference in
            streams::differences(&info.config, &streams::wanted(config, names, stream, incarnation))
        {
            let streams::Difference { field, found, wanted, is_vital } = difference;
            if is_vital {
                return Err(ConnectError::Differs { stream: name, field, found, wanted });
            }
            differences.push(format!("stream {name} has {field} {found}, not {wanted}"));
        }
        streams += 1;
    }
    let incarnation = common.ok_or(ConnectError::Mixed)?;
    let version = link.client().server_info().version;
    Ok(Inspected { version, streams, incarnation, differences })
}

async fn find(config: &Config, names: &Names, link: &Link) -> Result<Vec<Found>, MigrateError> {
    let mut found = Vec::new();
    for stream in streams::all(config.layout) {
        let info = streams::find(link, &names.stream(stream)).await.map_err(ConnectError::from)?;
        found.push(Found { stream, info });
    }
    Ok(found)
}

fn refuse_other_layout(config: &Config, names: &Names, found: &[Found]) -> Result<(), MigrateError> {
    for Found { stream, info } in found {
        let Some(info) = info else { continue };
        let wanted = streams::wanted(config, names, *stream, 0);
        if let Some((found, wanted)) = streams::other_partitions(&info.config, &wanted) {
            return Err(MigrateError::Layout { stream: names.stream(*stream), found, wanted });
        }
    }
    Ok(())
}

/// The incarnation that all streams have; none when one of them is missing or differs.
fn common_incarnation(found: &[Found]) -> Option<u64> {
    let mut incarnations =
        found.iter().map(|found| found.info.as_ref().and_then(|info| streams::incarnation(&info.config)));
    let first = incarnations.next()??;
    incarnations.all(|incarnation| incarnation == Some(first)).then_some(first)
}

/// Makes or changes one stream; whether it was already as it should be.
async fn settle(
    config: &Config,
    names: &Names,
    link: &Link,
    found: Found,
    incarnation: u64,
    migrated: &mut Migrated,
) -> Result<bool, MigrateError> {
    let wanted = streams::wanted(config, names, found.stream, incarnation);
    let name = wanted.name.clone();
    let failed = |reason: String| MigrateError::Stream { stream: name.clone(), reason };
    let Some(info) = found.info else {
        link.context().create_stream(&wanted).await.map_err(|error| failed(error.to_string()))?;
        migrated.made.push(name);
        return Ok(false);
    };
    let differences = streams::differences(&info.config, &wanted);
    if differences.is_empty() && streams::incarnation(&info.config) == Some(incarnation) {
        return Ok(true);
    }
    link.context().update_stream(&wanted).await.map_err(|error| failed(error.to_string()))?;
    if !migrated.changed.contains(&name) {
        migrated.changed.push(name);
    }
    Ok(false)
}

/// One to change what has to be, one to see it, and one more for somebody else's.
const ROUNDS_MAX: usize = 3;
/// The parts of [`super::VERSION_LEAST`].
const VERSION_LEAST_PARTS: (i64, i64) = (2, 11);

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_that_is_said_is_the_one_that_is_checked() {
        let (major, minor) = super::VERSION_LEAST_PARTS;
        assert_eq!(crate::nats::VERSION_LEAST, format!("{major}.{minor}"));
    }
}
