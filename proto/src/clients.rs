//! One client type per service, and what makes a client of a service in this process.
//!
//! ```ignore
//! let messages = clients::local_messages(service, Handle::current());
//! let reply = messages.clone().create_message(request).await.map_err(Failure::from)?;
//! ```

use model::limits::RPC_MESSAGE_BYTES_MAX;
use tokio::runtime::Handle;

use crate::transport::Transport;
use crate::v1;

pub type AccountsClient = v1::accounts_client::AccountsClient<Transport>;
pub type GuildsClient = v1::guilds_client::GuildsClient<Transport>;
pub type MessagesClient = v1::messages_client::MessagesClient<Transport>;
pub type PresenceClient = v1::presence_service_client::PresenceServiceClient<Transport>;

macro_rules! local {
    ($(#[$doc:meta])* $name:ident, $trait:path, $server:path, $client:ident) => {
        $(#[$doc])*
        pub fn $name(service: impl $trait, runtime: Handle) -> $client {
            let server = <$server>::new(service)
                .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX);
            $client::new(Transport::local(server, runtime))
                .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX)
        }
    };
}

local!(
    /// A client of an accounts service in this process.
    local_accounts, v1::accounts_server::Accounts, v1::accounts_server::AccountsServer<_>, AccountsClient
);
local!(
    /// A client of a guilds service in this process.
    local_guilds, v1::guilds_server::Guilds, v1::guilds_server::GuildsServer<_>, GuildsClient
);
local!(
    /// A client of a message service in this process.
    local_messages, v1::messages_server::Messages, v1::messages_server::MessagesServer<_>, MessagesClient
);
local!(
    /// A client of a presence service in this process.
    local_presence,
    v1::presence_service_server::PresenceService,
    v1::presence_service_server::PresenceServiceServer<_>,
    PresenceClient
);
