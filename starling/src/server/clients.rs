//! Clients of the services, wherever they run.

use ::guilds::Directory;
use proto::clients::{
    AccountsClient, GuildsClient, MessagesClient, PresenceClient, local_accounts, local_guilds,
    remote_accounts, remote_guilds,
};
use proto::transport::remote::Remote;
use tokio::runtime::Handle;

/// Clients of the directory, which is two services.
#[derive(Clone)]
pub struct DirectoryClients {
    pub accounts: AccountsClient,
    pub guilds: GuildsClient,
}

/// A client of each service.
#[derive(Clone)]
pub struct Clients {
    pub directory: DirectoryClients,
    pub messages: MessagesClient,
    /// Of each replica.
    pub presence: Vec<PresenceClient>,
}

impl DirectoryClients {
    /// Of a directory in this process.
    pub(super) fn local(directory: &Directory, runtime: &Handle) -> Self {
        let accounts = local_accounts(directory.clone(), runtime.clone());
        Self { accounts, guilds: local_guilds(directory.clone(), runtime.clone()) }
    }

    /// Of the replicas of one that is elsewhere.
    pub(super) fn remote(replicas: &Remote) -> Self {
        Self { accounts: remote_accounts(replicas), guilds: remote_guilds(replicas) }
    }
}
