//! One client type per service, and what makes clients and servers of it.
//!
//! ```ignore
//! let messages = clients::local_messages(service, Handle::current());    // in this process
//! let messages = clients::remote_messages(&replicas);                    // across the network
//! let reply = messages.clone().create_message(request).await.map_err(Failure::from)?;
//! ```

use model::limits::RPC_MESSAGE_BYTES_MAX;
use tokio::runtime::Handle;

use crate::transport::Transport;
use crate::transport::remote::Remote;
use crate::v1;

pub type AccountsClient = v1::accounts_client::AccountsClient<Transport>;
pub type GatewayClient = v1::gateway_client::GatewayClient<Transport>;
pub type GuildsClient = v1::guilds_client::GuildsClient<Transport>;
pub type MessagesClient = v1::messages_client::MessagesClient<Transport>;
pub type PresenceClient = v1::presence_service_client::PresenceServiceClient<Transport>;

macro_rules! service {
    ($what:literal, $contract:path, $server:ident in $module:ident, $client:ident,
     $local:ident, $remote:ident, $over:ident, $serve:ident) => {
        #[doc = concat!("A client of ", $what, " in this process.")]
        pub fn $local(service: impl $contract, runtime: Handle) -> $client {
            $over(Transport::local($serve(service), runtime))
        }

        #[doc = concat!("A client of the replicas of ", $what, " across the network.")]
        pub fn $remote(replicas: &Remote) -> $client {
            $over(Transport::remote(replicas))
        }

        #[doc = concat!("A client of ", $what, " over any transport.")]
        pub fn $over(transport: Transport) -> $client {
            $client::new(transport)
                .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX)
        }

        #[doc = concat!("What serves ", $what, ".")]
        pub fn $serve<S: $contract>(service: S) -> v1::$module::$server<S> {
            v1::$module::$server::new(service)
                .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX)
        }
    };
}

service!(
    "an accounts service", v1::accounts_server::Accounts, AccountsServer in accounts_server, AccountsClient,
    local_accounts, remote_accounts, accounts_over, accounts_server
);
service!(
    "a gateway", v1::gateway_server::Gateway, GatewayServer in gateway_server, GatewayClient,
    local_gateway, remote_gateway, gateway_over, gateway_server
);
service!(
    "a guilds service", v1::guilds_server::Guilds, GuildsServer in guilds_server, GuildsClient,
    local_guilds, remote_guilds, guilds_over, guilds_server
);
service!(
    "a message service", v1::messages_server::Messages, MessagesServer in messages_server, MessagesClient,
    local_messages, remote_messages, messages_over, messages_server
);
service!(
    "a presence service", v1::presence_service_server::PresenceService,
    PresenceServiceServer in presence_service_server, PresenceClient,
    local_presence, remote_presence, presence_over, presence_server
);
