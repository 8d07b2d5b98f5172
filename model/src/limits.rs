//! Every limit of the system, by name. A limit that an operator can change has its default here.
//!
//! Names carry their unit last. The windows at the end fit together; [`windows_fit`] says how, and is checked at start.

mod cassandra;
mod windows;

pub use cassandra::*;
pub use windows::{windows_fit, zombie_ms};

// --- Objects -------------------------------------------------------------------------------------------------------
pub const ACTIVITIES_BYTES_MAX: usize = 8 * 1024;
pub const CHANNEL_NAME_CHARS_MAX: usize = 100;
pub const CHANNEL_TOPIC_CHARS_MAX: usize = 1024;
pub const EMBED_CHARS_MAX: usize = 6000;
pub const EMBEDS_MAX: usize = 10;
pub const EMOJI_BYTES_MAX: usize = 64;
pub const GUILD_CHANNELS_MAX: usize = 500;
pub const GUILD_INVITES_MAX: usize = 1000;
pub const GUILD_MEMBERS_MAX: u64 = 1_000_000;
pub const GUILD_NAME_CHARS_MAX: usize = 100;
pub const GUILD_ROLES_MAX: usize = 250;
pub const MESSAGE_CONTENT_CHARS_MAX: usize = 2000;
pub const MESSAGE_LIST_DEFAULT: u32 = 50;
pub const MESSAGE_LIST_MAX: u32 = 100;
pub const MESSAGE_MENTIONS_MAX: usize = 100;
pub const MESSAGE_REACTIONS_MAX: usize = 20;
pub const NICK_CHARS_MAX: usize = 32;
pub const NONCE_CHARS_MAX: usize = 25;
pub const OVERWRITES_MAX: usize = 500;
pub const ROLE_NAME_CHARS_MAX: usize = 100;
pub const SLOWMODE_SECS_MAX: u32 = 21_600;
pub const USER_GUILDS_MAX: usize = 200;
pub const BOT_GUILDS_MAX: usize = 250_000;
pub const USERNAME_CHARS_MAX: usize = 32;

// --- Requests ------------------------------------------------------------------------------------------------------
pub const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
pub const REQUEST_TIMEOUT_MS: u64 = 15_000;
pub const RPC_DEADLINE_MS: u64 = 5_000;
pub const RPC_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
pub const SENDS_PER_WINDOW: u32 = 5;
pub const SENDS_WINDOW_MS: u64 = 5_000;
pub const GLOBAL_REQUESTS_PER_SEC: u32 = 50;
pub const INVALID_REQUESTS_PER_10_MIN: u32 = 10_000;
/// Connections to the HTTP edge at one time.
pub const API_CONNECTIONS_MAX: usize = 8192;
/// How long a connection may stay without a whole request head: clients keep connections alive between requests.
pub const API_IDLE_MS: u64 = 60_000;
/// How long a pod of the HTTP edge counts as one of those that share a limit, and how often it says that it is there.
pub const API_POD_LEASE_MS: u64 = 15_000;
pub const API_POD_RENEW_MS: u64 = 5_000;
pub const API_REQUESTS_MAX: usize = 1024;
pub const COMPONENTS_BYTES_MAX: usize = 64 * 1024;
/// Logins and registrations of one address.
pub const LOGINS_PER_MIN: u32 = 60;
/// Questions for more of a user's allowance that wait, and those that are asked at one time.
pub const RATE_ASKS_MAX: usize = 4096;
pub const RATE_ASKS_BATCH_MAX: usize = 256;
/// Counters of one kind that the HTTP edge keeps.
pub const RATE_BUCKETS_MAX: usize = 64 * 1024;
/// All request bodies that are held at one time.
pub const REQUEST_BODIES_BYTES_MAX: usize = 128 * 1024 * 1024;
pub const ROUTE_READS_PER_WINDOW: u32 = 100;
pub const ROUTE_WINDOW_MS: u64 = 5_000;
pub const ROUTE_WRITES_PER_WINDOW: u32 = 50;

// --- Calls between services ----------------------------------------------------------------------------------------
/// Replicas that one call asks, one after another.
pub const RPC_ATTEMPTS_MAX: u32 = 6;
/// Repeats in a hundred calls, and those that are free before anything was called.
pub const RPC_BUDGET_PERCENT: u32 = 20;
pub const RPC_BUDGET_RESERVE: u32 = 10;
/// Calls that one caller has under way to all replicas of a service.
pub const RPC_CALLS_MAX: usize = 4096;
/// For TCP and TLS together.
pub const RPC_CONNECT_MS: u64 = 2_000;
/// Connections of callers to one server.
pub const RPC_CONNECTIONS_MAX: usize = 1024;
/// After this long, less or more by a tenth, a connection takes no further call, so that callers find new replicas.
pub const RPC_CONNECTION_AGE_MS: u64 = 30 * 60_000;
/// What the calls of a connection that has ended get to finish.
pub const RPC_CONNECTION_GRACE_MS: u64 = RPC_DEADLINE_MAX_MS + 5_000;
/// The longest deadline that a server grants.
pub const RPC_DEADLINE_MAX_MS: u64 = 30_000;
/// For the TLS handshake, and for the first byte of a connection.
pub const RPC_HANDSHAKE_MS: u64 = 5_000;
pub const RPC_HEADER_BYTES_MAX: u32 = 16 * 1024;
/// What a caller gets to close a connection after the server's goodbye.
pub const RPC_LINGER_MS: u64 = 1_000;
/// A connection without traffic for this long is tried with a ping, which must be answered in time.
pub const RPC_KEEPALIVE_MS: u64 = 10_000;
pub const RPC_KEEPALIVE_TIMEOUT_MS: u64 = 5_000;
/// A replica that can't be reached is tried again after this long, then twice as long.
pub const RPC_RECONNECT_MS_MAX: u64 = 5_000;
pub const RPC_RECONNECT_MS_MIN: u64 = 50;
/// Addresses of one service that a caller connects to.
pub const RPC_REPLICAS_MAX: usize = 256;
/// How often a DNS name is asked for its addresses.
pub const RPC_RESOLVE_MS: u64 = 5_000;
/// Between two attempts of a call that nobody else can answer.
pub const RPC_RETRY_MS_MAX: u64 = 400;
pub const RPC_RETRY_MS_MIN: u64 = 25;
/// Calls that one server has under way; what comes beyond is told to come again.
pub const RPC_SERVER_CALLS_MAX: usize = 4096;
/// What calls that are under way get to finish when a server ends.
pub const RPC_STOP_MS: u64 = 10_000;
/// Calls on one connection at one time.
pub const RPC_STREAMS_MAX: u32 = 1024;

// --- Queues --------------------------------------------------------------------------------------------------------
pub const CHANNEL_QUEUE_MAX: usize = 1024;
pub const GUILD_QUEUE_MAX: usize = 1024;
pub const SUBSCRIPTION_QUEUE_MAX: usize = 16 * 1024;
pub const GAP_BUFFER_EVENTS_MAX: usize = 16 * 1024;
pub const ACTOR_IDLE_MS: u64 = 60_000;
/// Event ids that one in-process stream remembers at most, within [`DUPLICATE_WINDOW_MS`].
pub const DUPLICATE_IDS_MAX: usize = 128 * 1024;
/// Event ids that a reader of one partition remembers at most, to drop what was published again.
pub const FENCE_IDS_MAX: usize = 2048;
/// Batches that wait for one pod at most.
pub const POD_INBOX_BATCHES_MAX: usize = 64;
/// Users whose pods one in-memory registry holds at most.
pub const REGISTRY_USERS_MAX: usize = 4_000_000;
/// Sessions whose owners one in-memory registry holds at most.
pub const REGISTRY_SESSIONS_MAX: usize = 4_000_000;
/// What a session may leave for its next owner.
pub const SESSION_RECORD_BYTES_MAX: usize = 1024 * 1024;
/// Events that one read of a repair asks for at most.
pub const REPAIR_EVENTS_MAX: usize = 1000;
/// What one in-process stream keeps at most, whatever its age.
pub const STREAM_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const STREAM_EVENTS_MAX: usize = 64 * 1024;

// --- Directory -----------------------------------------------------------------------------------------------------
/// Changes of accounts that may be under way or wait.
pub const ACCOUNTS_QUEUE_MAX: usize = 1024;
pub const APPLICATION_DESCRIPTION_CHARS_MAX: usize = 400;
pub const AVATAR_CHARS_MAX: usize = 128;
pub const BITRATE_MAX: u32 = 384_000;
pub const BITRATE_MIN: u32 = 8_000;
pub const CATEGORY_CHANNELS_MAX: usize = 50;
/// What the channels of one change may come to, with their events: half of [`STORE_BATCH_BYTES_MAX`].
pub const CHANGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time in which a change is answered: published, refused, or of unknown outcome. Below [`RPC_DEADLINE_MS`].
pub const CHANGE_WAIT_MS: u64 = 4_000;
pub const CLEANUP_PAGE_LEN: usize = 250;
pub const CLEANUP_RETRY_MS: u64 = 1_000;
pub const COLOR_MAX: u32 = 0xff_ffff;
/// Time that the service has to end its tasks.
pub const DIRECTORY_STOP_MS: u64 = 10_000;
pub const GLOBAL_NAME_CHARS_MAX: usize = 32;
pub const GUILD_DESCRIPTION_CHARS_MAX: usize = 300;
pub const GUILD_NAME_CHARS_MIN: usize = 2;
pub const ICON_CHARS_MAX: usize = 128;
pub const INVITE_AGE_SECS_DEFAULT: u32 = 86_400;
pub const INVITE_AGE_SECS_MAX: u32 = 604_800;
pub const INVITE_CODE_CHARS: usize = 8;
pub const INVITE_USES_MAX: u32 = 100;
pub const LOCK_STRIPES: usize = 64;
pub const MEMBERS_LIST_MAX: usize = 1000;
/// From this age on an event is first looked for in its stream: streams forget ids after two minutes.
pub const OUTBOX_LOOKUP_MS: u64 = 90_000;
pub const OUTBOX_PRUNE_MS: u64 = 30_000;
pub const OUTBOX_WATERMARK_MS: u64 = 1_000;
pub const OWNER_APPLICATIONS_MAX: usize = 50;
pub const PASSWORD_CHARS_MAX: usize = 128;
pub const PASSWORD_CHARS_MIN: usize = 8;
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
pub const PASSWORD_HASHES_WAIT_MS: u64 = 3_000;
pub const POSITION_MAX: u32 = 10_000;
pub const PUBLISH_RETRY_MS_MAX: u64 = 1_000;
pub const PUBLISH_TIMEOUT_MS: u64 = 2_000;
/// Guilds in which a changed user is written again at one time.
pub const REFRESHES_AT_ONCE: usize = 16;
/// Deletions, and likewise refreshes of users, that a start goes on with at one time.
pub const RESUMES_AT_ONCE: usize = 4;
pub const RTC_REGION_CHARS_MAX: usize = 32;
/// Members in one batch of a seed: four rows each.
pub const SEED_BATCH_MEMBERS: usize = 140;
pub const SEED_MEMBERS_MAX: u32 = 10_000;
/// Users of a seed that are written at one time.
pub const SEED_USERS_AT_ONCE: usize = 64;
pub const STORE_RETRY_MS: u64 = 100;
pub const TIMEOUT_MS_MAX: u64 = 28 * 86_400_000;
pub const TOKEN_CACHE_MAX: usize = 100_000;
pub const TOKEN_CHARS_MAX: usize = 128;
/// What a caller is told to wait when something is full or away.
pub const UNAVAILABLE_RETRY_MS: u64 = 1_000;
pub const USERNAME_CHARS_MIN: usize = 2;
pub const USER_TOKENS_MAX: usize = 100;
pub const VOICE_USERS_MAX: u32 = 99;

// --- Gateway -------------------------------------------------------------------------------------------------------
/// How long a chunk of members waits for a client that reads slowly.
pub const CHUNK_WAIT_MS: u64 = 30_000;
pub const CONNECTIONS_MAX: usize = 100_000;
pub const HANDSHAKES_MAX: usize = 4096;
pub const IDENTIFY_KEYS_MAX: usize = 65_536;
pub const OPENING_EVENTS_MAX: usize = 4096;
pub const OPENINGS_PER_SESSION_MAX: usize = 16;
pub const PRESENCE_BATCH_MAX: usize = 1000;
/// Guilds of all sessions in a batch, where it has more than one.
pub const PRESENCE_BATCH_GUILDS_MAX: usize = 1_000_000;
pub const PRESENCE_BATCH_MS: u64 = 50;
/// Changes of presence that all shards of a pod keep for sessions that could not be given them.
pub const PRESENCES_KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Users in guilds whose presences a pod keeps copies of.
pub const PRESENCE_COPIES_MAX: usize = 4_000_000;
/// How long a question about presences may take: then the answer comes from copies.
pub const PRESENCE_READ_MS: u64 = 1_000;
/// Pause before a comparison that failed is tried again.
pub const PRESENCE_RETRY_MS: u64 = 1_000;
/// How often the lease is renewed while presence does not know everything.
pub const PRESENCE_UNSETTLED_RENEW_MS: u64 = 1_000;
pub const PRESENCES_PER_GUILD_MAX: u32 = 1000;
pub const RETRY_MS_MAX: u64 = 10_000;
pub const RETRY_MS_MIN: u64 = 20;
pub const SHARD_QUEUE_MAX: usize = 16 * 1024;
/// What a shard keeps of one partition, so that sessions can be resumed; and all shards of a pod together, of everything.
pub const SHARED_RING_BYTES_MAX: usize = 32 * 1024 * 1024;
pub const SHARED_RING_EVENTS_MAX: usize = 32 * 1024;
pub const SHARED_RINGS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Changes of one session's voice states that wait for the one before them.
pub const VOICE_CHANGES_WAITING_MAX: usize = 16;
/// Voice channels that were deleted and whose viewers a guild's table remembers, for those who were in them.
pub const VOICE_CHANNELS_DELETED_MAX: usize = 16;
/// Voice servers that wait for a session to be resumed.
pub const VOICE_SERVERS_WAITING_MAX: usize = 64;
pub const GATEWAY_PAYLOAD_BYTES_MAX: usize = 15 * 1024;
pub const GATEWAY_COMMANDS_MAX: u32 = 120;
pub const GATEWAY_COMMANDS_WINDOW_MS: u64 = 60_000;
pub const HEARTBEAT_INTERVAL_MS: u64 = 41_250;
/// The interval that a client is told lies up to this much below [`HEARTBEAT_INTERVAL_MS`].
pub const HEARTBEAT_JITTER_MS: u64 = 1_000;
pub const HANDSHAKE_BYTES_MAX: usize = 8 * 1024;
pub const HANDSHAKE_HEADERS_MAX: usize = 64;
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
pub const IDENTIFY_TIMEOUT_MS: u64 = 30_000;
pub const IDENTIFY_WINDOW_MS: u64 = 5_000;
pub const IDENTIFIES_PER_DAY: u32 = 1000;
pub const LARGE_THRESHOLD_DEFAULT: u32 = 50;
pub const LARGE_THRESHOLD_MAX: u32 = 250;
pub const LARGE_THRESHOLD_MIN: u32 = 50;
pub const MAX_CONCURRENCY_DEFAULT: u32 = 16;
pub const MEMBERS_CHUNK_MAX: usize = 1000;
/// A session may ask for all members of a guild once in this time.
pub const MEMBERS_ALL_MS: u64 = 30_000;
pub const MEMBERS_NONCE_BYTES_MAX: usize = 32;
pub const MEMBERS_QUERY_MAX: usize = 100;
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A refusal waits this long for the client's heartbeat, then op 9 comes without.
pub const REFUSAL_WAIT_MS: u64 = 1_000;
pub const RING_BYTES_MAX: usize = 8 * 1024 * 1024;
pub const RING_EVENTS_MAX: usize = 4096;
pub const SEQUENCE_MAX: u64 = 2_000_000_000;
pub const SHARD_GUILDS_MAX: usize = 2500;
/// Frames that one `writev` of the gateway covers: twice as many slices, far below the 1,024 that the system takes.
pub const WRITE_FRAMES_MAX: usize = 64;

// --- Storage -------------------------------------------------------------------------------------------------------
/// The time of the newest id is recorded at most this often.
pub const ID_FLOOR_MS: u64 = 1_000;
/// How far the times of ids may lie ahead of the clock of whoever sweeps them.
pub const OUTBOX_AHEAD_MS: u64 = 60_000;
/// Length of a bucket of the outbox.
pub const OUTBOX_BUCKET_MS: u64 = 10_000;
/// Rows of the outbox read at a time by a sweep.
pub const OUTBOX_PAGE_LEN: usize = 256;
/// Slots in each set; the hash of an id gives one. Persisted, so it never changes.
pub const SLOTS_PER_SET: u16 = 1_024;
/// Largest batch of the embedded store, keys and values together.
pub const STORE_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Block cache shared by all tables of the embedded store.
pub const STORE_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Time in which closing the embedded store must have written what was waiting.
pub const STORE_CLOSE_MS: u64 = 30_000;
/// Time in which a commit must be durable; then its caller is told that the outcome is unknown.
pub const STORE_COMMIT_MS: u64 = 10_000;
/// Bytes after which a group of batches, that is, one fsync, takes no further one.
pub const STORE_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Batches in a group.
pub const STORE_GROUP_LEN_MAX: usize = 1_024;
/// Sealed journals may take this much of the disk before the tables that hold them back are flushed.
pub const STORE_JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest key of a table.
pub const STORE_KEY_BYTES_MAX: usize = 1_024;
/// Memtable of one table; with the sealed ones a table holds at most five times this.
pub const STORE_MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes that may wait for the committer, in all batches together.
pub const STORE_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Batches that may wait for the committer.
pub const STORE_QUEUE_LEN_MAX: usize = 4_096;
/// Event ids that the first sweeps of slots keep for the late ones.
pub const SWEPT_IDS_MAX: usize = 64 * 1024;
/// Watermarks of single slots that are written in one second, and at one time.
pub const WATERMARKS_PER_TICK: usize = 100;
pub const WATERMARKS_AT_ONCE: usize = 16;

// --- Process -------------------------------------------------------------------------------------------------------
pub const ADMIN_BODY_BYTES_MAX: usize = 64 * 1024;
pub const ADMIN_CONNECTIONS_MAX: usize = 64;
/// After this long an admin connection ends when its request is answered: who reads nothing holds no place for ever.
pub const ADMIN_CONNECTION_MS: u64 = 300_000;
/// For a connection of the admin listener without a (whole) request head.
pub const ADMIN_IDLE_MS: u64 = 30_000;
pub const ADMIN_REQUEST_MS: u64 = 10_000;
/// A request that came before the end gets its answer.
pub const ADMIN_STOP_MS: u64 = ADMIN_REQUEST_MS + 1_000;
/// What requests to the API get to finish at the end of the process.
pub const API_STOP_MS: u64 = 5_000;
/// How long `starling check` waits for a replica.
pub const CHECK_PATIENCE_MS: u64 = 5_000;
/// How often a role that starts tries again what it needs of a server that is not ready.
pub const CLUSTER_RETRY_MS: u64 = 500;
/// What clients get to leave at the end of the process, once they are told to.
pub const GATEWAY_STOP_MS: u64 = 3_000;
/// How long accepting rests after it failed, most likely for want of file descriptors.
pub const LISTENER_PAUSE_MS: u64 = 50;
/// How often a role looks whether those that it calls are there.
pub const PEERS_CHECK_MS: u64 = 250;
/// Members that one call of `starling admin seed` makes: few enough for its deadline, and for progress to be seen.
pub const SEED_CALL_MEMBERS: u32 = 1_000;
/// How long killed tasks get to be gone.
pub const TASKS_KILL_MS: u64 = 2_000;
/// How often streams that nobody touches are freed of what is too old.
pub const STREAM_EXPIRE_MS: u64 = 60_000;

// --- Presence, voice and fan-out -----------------------------------------------------------------------------------
/// Failed deliveries of a batch after which the registry is asked whether the pod is still there.
pub const FANOUT_ATTEMPTS_MAX: u32 = 8;
pub const FANOUT_BACKOFF_MS_MAX: u64 = 2_000;
pub const FANOUT_BACKOFF_MS_MIN: u64 = 20;
pub const FANOUT_BATCH_EVENTS_MAX: usize = 256;
pub const FANOUT_DELIVER_MS: u64 = 5_000;
/// A user's presence is published at most once in this time.
pub const PRESENCE_COALESCE_MS: u64 = 1_000;
/// Guilds that are compared in one call.
pub const PRESENCE_COMPARE_MAX: usize = 1000;
/// Ended sessions whose epoch is remembered, so that a late message does not revive them.
pub const PRESENCE_ENDED_MAX: usize = 262_144;
pub const PRESENCE_ENDED_MS: u64 = 300_000;
pub const PRESENCE_LIST_MAX: usize = 100_000;
pub const PRESENCE_POD_SESSIONS_MAX: usize = 1_000_000;
pub const PRESENCE_PODS_MAX: usize = 1024;
pub const PRESENCE_QUEUE_MAX: usize = 1024;
/// Sessions of pods whose lease has ended that become offline in a second.
pub const PRESENCE_RELEASES_PER_SEC: usize = 1_000;
/// How often the roster is read: seldom, and while a lease waits for its word.
pub const PRESENCE_ROSTER_MS: u64 = 5_000;
pub const PRESENCE_ROSTER_URGENT_MS: u64 = 500;
pub const PRESENCE_SESSION_ID_BYTES_MAX: usize = 128;
pub const PRESENCE_USER_SESSIONS_MAX: usize = 1024;
pub const VOICE_PUBLISHES_MAX: usize = 64;
pub const VOICE_QUEUE_MAX: usize = 4096;
pub const VOICE_STATES_MAX: usize = 1_000_000;
pub const VOICE_TOKEN_MS: u64 = 300_000;

// --- NATS ----------------------------------------------------------------------------------------------------------
/// Stored events that one look for an event id reads at a time.
pub const NATS_CONTAINS_PAGE: usize = 256;
/// Commands that wait for the connection, beyond which callers wait.
pub const NATS_COMMANDS_MAX: usize = 2048;
/// For the handshake with one server.
pub const NATS_CONNECT_MS: u64 = 5_000;
/// Ephemeral events that wait to be sent; what does not fit is dropped.
pub const NATS_EPHEMERAL_QUEUE_MAX: usize = 4096;
/// What all guild streams together, and likewise all user streams, reserve by default is 64 and 16 times this.
pub const NATS_GUILD_STREAM_BYTES: u64 = 256 * 1024 * 1024;
pub const NATS_USER_STREAM_BYTES: u64 = 256 * 1024 * 1024;
/// Events that a replica did not have, and that one read asks the stream's leader for.
pub const NATS_LAGGING_READS_MAX: usize = 64;
/// Without an answer for three times this long a connection is dead.
pub const NATS_PING_MS: u64 = 5_000;
/// User events that are fetched ahead of what is acknowledged.
pub const NATS_PULL_EVENTS_MAX: usize = 512;
pub const NATS_PULL_HEARTBEAT_MS: u64 = 2_000;
pub const NATS_PULL_MS: u64 = 30_000;
/// How long one question to NATS may take.
pub const NATS_QUESTION_MS: u64 = 2_000;
pub const NATS_RECONNECT_MS_MAX: u64 = 2_000;
pub const NATS_RECONNECT_MS_MIN: u64 = 20;
/// How often a publisher tells what it has published lately, and what "lately" is.
pub const TAIL_TELL_MS: u64 = 250;
pub const TAIL_TOLD_MS: u64 = 2_000;
/// Events of one partition that a publisher tells of at one time, the newest.
pub const TAIL_EVENTS_MAX: usize = 1024;

// --- Redis ---------------------------------------------------------------------------------------------------------
/// Without an answer for this long Redis is away.
pub const REDIS_ANSWER_MS: u64 = 1_000;
pub const REDIS_CONNECT_MS: u64 = 1_000;
/// A connection on which nothing is acknowledged for this long is dead.
pub const REDIS_DEAD_MS: u64 = 5_000;
/// How often a Redis that is away is asked whether it is back: more and more seldom.
pub const REDIS_PROBE_MS_MAX: u64 = 1_000;
pub const REDIS_PROBE_MS_MIN: u64 = 20;
/// Pipelines that wait for the connection, beyond which callers wait.
pub const REDIS_QUEUE_MAX: usize = 1024;

// --- Windows -------------------------------------------------------------------------------------------------------
pub const DRAIN_MS: u64 = 60_000;
/// A publish with the same event id within it is a repeat.
pub const DUPLICATE_WINDOW_MS: u64 = 120_000;
pub const NONCE_MS: u64 = 300_000;
pub const OUTBOX_ROW_MS: u64 = 900_000;
/// How long a pod has to take a batch of user events.
pub const POD_TAKE_MS: u64 = 2_000;
pub const PRESENCE_LEASE_MS: u64 = 60_000;
pub const PRESENCE_RENEW_MS: u64 = 15_000;
/// So long after its start a replica of presence can trust the roster to name every pod, even if that was emptied.
pub const PRESENCE_SETTLE_MS: u64 = 20_000;
/// While the session registry is away pods read the events of their users themselves, this often.
pub const REGISTRY_AWAY_READ_MS: u64 = 2_000;
pub const REGISTRY_BATCH_MAX: usize = 1000;
pub const REGISTRY_ENTRY_MS: u64 = 90_000;
pub const REGISTRY_RENEW_MS: u64 = 30_000;
/// Who begins to follow a partition asks again for this long before the backplane counts as away.
pub const FOLLOW_START_MS: u64 = 10_000;
/// A repair that failed is tried again after this long, then twice as long, up to [`REPAIR_BACKOFF_MAX_MS`].
pub const REPAIR_BACKOFF_MIN_MS: u64 = 20;
pub const REPAIR_BACKOFF_MAX_MS: u64 = 2_000;
/// How long one question of a repair may take.
pub const REPAIR_TIMEOUT_MS: u64 = 2_000;
pub const RESUME_MS: u64 = 180_000;
pub const RING_AGE_MS: u64 = 300_000;
/// Slots that one conditional write takes or releases.
pub const SLOT_BATCH_LEN: usize = 64;
/// What a service gets to drain slots that go to another replica.
pub const SLOT_DRAIN_MS: u64 = 4_000;
/// Slots that a replica has drained for others and that are not taken yet, at most.
pub const SLOT_GIVES_AT_ONCE: usize = 64;
/// Who has seen no sign of life of an owner for this long takes over.
pub const SLOT_LEASE_MS: u64 = 10_000;
pub const SLOT_LEASE_RENEW_MS: u64 = 3_000;
/// An owner stops this long after it sent its last renewal that succeeded.
pub const SLOT_LEASE_STOP_MS: u64 = 8_000;
/// Replicas look at the register of slots this often, and while a slot of theirs is on its way.
pub const SLOT_LOOK_MS: u64 = 1_000;
pub const SLOT_LOOK_SOON_MS: u64 = 250;
/// A replica is given slots that others serve once it has lived for this long.
pub const SLOT_NEWCOMER_MS: u64 = 4_000;
/// A slot is swept again this long after it is served, for what came late.
pub const SLOT_RESWEEP_MS: u64 = 30_000;
pub const SLOT_SWEEPS_AT_ONCE: usize = 32;
/// What is written under a lease has to be done this much before the lease's end.
pub const SLOT_WRITE_MARGIN_MS: u64 = 1_000;
pub const STREAM_AGE_MS: u64 = 600_000;
/// A reader that is behind the tail for this long has missed something.
pub const TAIL_BEHIND_MS: u64 = 500;
/// Without a heartbeat for this long a connection is dead: one and a half intervals.
pub const ZOMBIE_MS: u64 = 62_000;
/// A name that nobody bears is free again after this long.
pub const USERNAME_CLAIM_MS: u64 = 60_000;
/// A worker's snowflakes follow its clock this far beyond the last renewal of its id.
pub const WORKER_AHEAD_MS: u64 = 60_000;
/// What giving up a worker id may take at the end of a process.
pub const WORKER_GIVE_UP_MS: u64 = 3_000;
/// Who has seen no sign of life of a worker id's holder for this long takes it over.
pub const WORKER_LEASE_MS: u64 = 60_000;
/// Ids that a new process looks at.
pub const WORKER_LOOKS: u16 = 64;
pub const WORKER_RENEW_MS: u64 = 15_000;
pub const WORKER_RETRY_MS: u64 = 500;
/// A holder stops this long after it sent its last renewal that succeeded.
pub const WORKER_STOP_MS: u64 = 45_000;
/// A new process waits at most this long for an id, and for its clock to pass the time of the holder before.
pub const WORKER_WAIT_MS: u64 = 120_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_together() {
        for heartbeat_interval_ms in [0, 1, 1_000, 5_000, HEARTBEAT_INTERVAL_MS] {
            assert_eq!(windows_fit(heartbeat_interval_ms, RESUME_MS), Ok(()), "{heartbeat_interval_ms}");
        }
        assert!(windows_fit(2 * HEARTBEAT_INTERVAL_MS, RESUME_MS).is_err());
        assert!(windows_fit(HEARTBEAT_INTERVAL_MS, RING_AGE_MS).is_err());
        assert!(windows_fit(u64::MAX, u64::MAX).is_err());
    }
}
