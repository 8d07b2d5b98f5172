//! Which processes a cluster consists of, with the command and the addresses of each.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::TcpListener;
use std::path::Path;

use parking_lot::Mutex;
use storage::cassandra::Config;

use super::{Database, Options};
use crate::{binary, cassandra, nats, redis};

/// The settings that all roles share.
pub(super) const SETTINGS: &str = "cluster.toml";
const PORT_FIRST: u16 = 12_000;
const PORTS: u16 = 20_000;
const TRIES_MAX: u32 = 100;

/// A process that is to run.
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) role: &'static str,
    /// `host:port` of the admin listener, or of a server itself.
    pub(super) address: String,
    /// `http://host:port`; servers have none.
    pub(super) admin: Option<String>,
    pub(super) command: Vec<String>,
}

pub(super) struct Plan {
    pub(super) servers: Vec<Planned>,
    pub(super) roles: Vec<Planned>,
    /// What clients connect to.
    pub(super) apis: Vec<String>,
    /// `host:port` of each.
    pub(super) gateways: Vec<String>,
}

/// Free addresses, each given once, also to other programs that start clusters at this time. They lie below the ports that
/// the system chooses by itself: a process that is started again finds its own still free.
#[derive(Default)]
struct Addresses(Vec<TcpListener>);

/// The locks of the ports that this program has given out, which it holds to its end.
static GIVEN: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Takes the port for this program, unless another one has it.
fn is_ours(port: u16) -> io::Result<bool> {
    // A program that does not lie where cargo built it has no tests beside it.
    let Ok(profile) = binary::profile() else { return Ok(true) };
    let folder = profile.join("ports");
    fs::create_dir_all(&folder)?;
    let file = File::create(folder.join(port.to_string()))?;
    match file.try_lock() {
        Ok(()) => GIVEN.lock().push(file),
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(true)
}

impl Addresses {
    fn next(&mut self) -> io::Result<String> {
        let mut last = None;
        for _ in 0..TRIES_MAX {
            let port = PORT_FIRST + model::entropy::below(u64::from(PORTS)) as u16;
            if !is_ours(port)? {
                continue;
            }
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => {
                    self.0.push(listener);
                    return Ok(format!("127.0.0.1:{port}"));
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other("no port was tried")))
    }

    fn many(&mut self, count: usize) -> io::Result<Vec<String>> {
        (0..count).map(|_| self.next()).collect()
    }
}

impl Plan {
    /// Chooses the addresses, and writes what the processes read.
    pub(super) fn make(options: &Options) -> io::Result<Self> {
        let mut free = Addresses::default();
        let nats = free.many(options.nats_nodes)?;
        let routes = free.many(options.nats_nodes)?;
        let redis = free.next()?;
        let (gateways, apis) = (free.many(options.gateways)?, free.many(options.apis)?);
        let services = Services {
            guilds: free.many(options.guilds)?,
            messages: free.many(options.messages)?,
            presence: free.next()?,
        };
        let between_gateways = free.many(options.gateways)?;
        let cassandra = match options.database {
            Database::Own => Some((free.next()?, free.next()?)),
            Database::Embedded | Database::Shared => None,
        };
        let database = match (options.database, &cassandra) {
            (Database::Shared, _) => shared_keyspace()?,
            (_, Some((address, _))) => format!("cassandra_hosts = \"{address}\"\n"),
            (_, None) => String::new(),
        };
        fs::write(options.folder.join(SETTINGS), settings(options, &nats, &redis, &services, &database))?;
        let mut servers = Vec::new();
        for (index, address) in nats.iter().enumerate() {
            servers.push(nats_node(options, index, address, &routes)?);
        }
        servers.push(redis_server(options, redis)?);
        if let Some((address, storage)) = cassandra {
            servers.push(cassandra_node(options, address, &storage)?);
        }
        let urls = |scheme: &str, addresses: &[String]| {
            addresses.iter().map(|address| format!("{scheme}://{address}")).collect::<Vec<_>>()
        };
        let (mut gateway_urls, api_urls) = (urls("ws", &gateways), urls("http", &apis));
        if let (Some(url), Some(first)) = (&options.public_gateway, gateway_urls.first_mut()) {
            url.clone_into(first);
        }
        let mut roles = Vec::new();
        let mut add = |role: &'static str, number: usize, arguments: Vec<String>| {
            let admin = free.next()?;
            roles.push(starling(options, role, number, admin, arguments));
            io::Result::Ok(())
        };
        let data = |name: &str| options.folder.join(name).display().to_string();
        let flags = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .flat_map(|(flag, value)| [format!("--{flag}"), (*value).to_owned()])
                .collect::<Vec<_>>()
        };
        let urls = flags(&[("public-api-url", &api_urls[0]), ("public-gateway-url", &gateway_urls[0])]);
        for (role, addresses) in [("guilds", &services.guilds), ("messages", &services.messages)] {
            for (number, address) in (1..).zip(addresses) {
                let data = data(&format!("{role}-{number}"));
                let mut arguments = flags(&[("grpc-listen", address), ("data-dir", &data)]);
                if (role, number) == ("guilds", 1) {
                    arguments.extend_from_slice(&urls);
                    arguments.push("--demo".to_owned());
                }
                add(role, number, arguments)?;
            }
        }
        add("presence", 1, flags(&[("grpc-listen", &services.presence)]))?;
        add("fanout", 1, Vec::new())?;
        for (index, (address, url)) in gateways.iter().zip(&gateway_urls).enumerate() {
            let grpc = &between_gateways[index];
            let addresses = [("gateway-listen", address), ("public-gateway-url", url), ("grpc-listen", grpc)];
            add("gateway", index + 1, flags(&addresses.map(|(flag, value)| (flag, value.as_str()))))?;
        }
        for (index, address) in apis.iter().enumerate() {
            let gateway = &gateway_urls[index % gateway_urls.len()];
            add("api", index + 1, flags(&[("api-listen", address), ("public-gateway-url", gateway)]))?;
        }
        let apis = api_urls.iter().map(|url| format!("{url}/api/v10")).collect();
        Ok(Self { servers, roles, apis, gateways })
    }
}

/// Where the roles that are called listen.
struct Services {
    guilds: Vec<String>,
    messages: Vec<String>,
    presence: String,
}

fn settings(options: &Options, nats: &[String], redis: &str, services: &Services, database: &str) -> String {
    let Services { guilds, messages, presence } = services;
    let (guilds, messages) = (guilds.join(","), messages.join(","));
    let urls: Vec<String> = nats.iter().map(|address| format!("nats://{address}")).collect();
    let secret = model::entropy::bytes::<32>().map(|byte| format!("{byte:02x}")).concat();
    let copies = if nats.len() >= 3 { 3 } else { 1 };
    let (layout, bytes) = (options.layout, options.stream_bytes);
    format!(
        "# What all roles of this cluster share; made anew at each start.\n\
         nats_urls = \"{}\"\nnats_replicas = {copies}\n\
         nats_guild_partitions = {}\nnats_user_partitions = {}\n\
         nats_guild_stream_bytes = {bytes}\nnats_user_stream_bytes = {bytes}\n\
         redis_url = \"redis://{redis}\"\ngrpc_secret = \"{secret}\"\n\
         guilds_grpc = \"{guilds}\"\nmessages_grpc = \"{messages}\"\npresence_grpc = \"{presence}\"\n{database}{}",
        urls.join(","),
        layout.guild_partitions,
        layout.user_partitions,
        options.settings,
    )
}

/// A keyspace of this cluster's own.
fn shared_keyspace() -> io::Result<String> {
    let address = cassandra::shared().ok_or_else(|| io::Error::other("Cassandra is not installed"))?;
    let Config { keyspace, .. } = cassandra::config(address);
    Ok(format!("cassandra_hosts = \"{address}\"\ncassandra_keyspace = \"{keyspace}\"\n"))
}

fn starling(
    options: &Options,
    role: &'static str,
    number: usize,
    admin: String,
    more: Vec<String>,
) -> Planned {
    let path = |path: &Path| path.display().to_string();
    let mut command = vec![path(binary::starling()), role.to_owned()];
    command.extend(["--config".to_owned(), path(&options.folder.join(SETTINGS))]);
    command.extend(["--admin-listen".to_owned(), admin.clone()]);
    command.extend(more);
    let url = format!("http://{admin}");
    Planned { name: format!("{role}-{number}"), role, address: admin, admin: Some(url), command }
}

fn nats_node(options: &Options, index: usize, address: &str, routes: &[String]) -> io::Result<Planned> {
    let name = format!("nats-{}", index + 1);
    let folder = options.folder.join(&name);
    fs::create_dir_all(&folder)?;
    let others: Vec<String> = routes.iter().map(|route| format!("nats-route://{route}")).collect();
    let cluster = match routes.len() {
        1 => String::new(),
        // Clients know all nodes. Who is to be cut off must not be told of another way.
        _ => format!(
            "cluster {{ name: starling, listen: \"{}\", routes: [{}], no_advertise: true }}\n",
            routes[index],
            others.join(", ")
        ),
    };
    let text = format!(
        "server_name: {name}\nlisten: \"{address}\"\n\
         jetstream {{ store_dir: \"{}\", max_file_store: 64GB }}\n{cluster}",
        folder.join("store").display()
    );
    let config = folder.join("nats.conf");
    fs::write(&config, text)?;
    let command = vec![nats::program().display().to_string(), "-c".into(), config.display().to_string()];
    Ok(Planned { name, role: "nats", address: address.to_owned(), admin: None, command })
}

fn cassandra_node(options: &Options, address: String, storage: &str) -> io::Result<Planned> {
    let folder = options.folder.join("cassandra-1");
    let command = cassandra::plan(&folder, port(&address)?, port(storage)?)?;
    Ok(Planned { name: "cassandra-1".to_owned(), role: "cassandra", address, admin: None, command })
}

fn port(address: &str) -> io::Result<u16> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    port.ok_or_else(|| io::Error::other(format!("{address} has no port")))
}

fn redis_server(options: &Options, address: String) -> io::Result<Planned> {
    let folder = options.folder.join("redis-1");
    fs::create_dir_all(&folder)?;
    let port = &port(&address)?.to_string();
    let program = redis::program().display().to_string();
    let fixed = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
    let mut command = vec![program];
    command.extend(fixed.map(str::to_owned));
    command.push(folder.display().to_string());
    Ok(Planned { name: "redis-1".to_owned(), role: "redis", address, admin: None, command })
}
