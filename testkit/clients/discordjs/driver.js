// One discord.js client, driven by lines of JSON on standard input, telling what it sees by lines of JSON on standard
// output. The steps of a scenario are in the Rust test that starts it; here is only how each is said in discord.js.
//
// In:  {"id":1,"do":"send","channel":"…","content":"…"}
// Out: {"answer":1,"value":…} or {"answer":1,"error":"…"}, and {"event":"messageCreate",…} whenever the library emits one.

import { createInterface } from 'node:readline';
import { Client, Events, GatewayDispatchEvents, Options, Partials } from 'discord.js';

const ALL_INTENTS = 53608447;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const event = (name, fields) => say({ event: name, ...fields });

let client;

const shownMessage = (message) => ({
  id: message.id,
  channel: message.channelId,
  author: message.author?.id,
  content: message.content,
  edited: message.editedTimestamp !== null,
});

const shownVoice = (state) => ({ user: state.id, channel: state.channelId, mute: state.selfMute, deaf: state.selfDeaf });

function listen() {
  client.on(Events.ClientReady, () => event('ready', { user: client.user.id, name: client.user.username }));
  client.on(Events.ShardResume, (shard, replayed) => event('shardResume', { shard, replayed }));
  client.on(Events.ShardReconnecting, () => event('shardReconnecting', {}));
  client.on(Events.ShardDisconnect, (close) => event('shardDisconnect', { code: close.code }));
  client.on(Events.Error, (error) => event('error', { message: String(error) }));
  client.on(Events.ShardError, (error) => event('shardError', { message: String(error) }));
  client.on(Events.MessageCreate, (message) => event('messageCreate', shownMessage(message)));
  client.on(Events.MessageUpdate, (_, message) => event('messageUpdate', shownMessage(message)));
  client.on(Events.MessageDelete, (message) => event('messageDelete', { id: message.id }));
  client.on(Events.MessageReactionAdd, (reaction, user) =>
    event('messageReactionAdd', { message: reaction.message.id, emoji: reaction.emoji.name, user: user.id }));
  client.on(Events.MessageReactionRemove, (reaction, user) =>
    event('messageReactionRemove', { message: reaction.message.id, emoji: reaction.emoji.name, user: user.id }));
  client.on(Events.TypingStart, (typing) =>
    event('typingStart', { channel: typing.channel.id, user: typing.user.id }));
  client.on(Events.PresenceUpdate, (_, presence) =>
    event('presenceUpdate', {
      user: presence.userId,
      status: presence.status,
      activities: presence.activities.map((activity) => activity.name),
    }));
  client.on(Events.VoiceStateUpdate, (_, state) => event('voiceStateUpdate', shownVoice(state)));
  client.ws.on(GatewayDispatchEvents.VoiceServerUpdate, (data) => event('voiceServerUpdate', data));
  client.on(Events.ChannelCreate, (channel) => event('channelCreate', { channel: channel.id, name: channel.name }));
  client.on(Events.ChannelUpdate, (_, channel) => event('channelUpdate', { channel: channel.id, name: channel.name }));
  client.on(Events.ChannelDelete, (channel) => event('channelDelete', { channel: channel.id }));
  client.on(Events.GuildMemberUpdate, (_, member) =>
    event('guildMemberUpdate', { user: member.id, roles: [...member.roles.cache.keys()] }));
  client.on(Events.GuildMemberAdd, (member) => event('guildMemberAdd', { user: member.id }));
}

const channel = async (step) => client.channels.fetch(step.channel);
const message = async (step) => (await channel(step)).messages.fetch(step.message);
const memberIds = (members) => [...members.keys()];

const steps = {
  async login(step) {
    client = new Client({
      intents: step.intents ?? ALL_INTENTS,
      rest: { api: step.api },
      partials: [Partials.Message, Partials.Channel, Partials.Reaction],
      makeCache: Options.cacheEverything(),
    });
    listen();
    await client.login(step.token);
  },
  async guild(step) {
    const guild = client.guilds.cache.get(step.guild);
    if (!guild) return null;
    const channels = guild.channels.cache.map(({ id, name, type }) => ({ id, name, type }));
    return { name: guild.name, owner: guild.ownerId, members: guild.memberCount, me: guild.members.me?.id, channels };
  },
  async send(step) {
    return shownMessage(await (await channel(step)).send({ content: step.content, nonce: step.nonce, enforceNonce: Boolean(step.nonce) }));
  },
  async edit(step) {
    return shownMessage(await (await message(step)).edit(step.content));
  },
  async remove(step) {
    await (await message(step)).delete();
  },
  async react(step) {
    await (await message(step)).react(step.emoji);
  },
  async unreact(step) {
    await (await message(step)).reactions.resolve(step.emoji).users.remove(client.user.id);
  },
  async reactions(step) {
    const found = await (await channel(step)).messages.fetch({ message: step.message, force: true });
    return found.reactions.cache.map((reaction) => ({ emoji: reaction.emoji.name, count: reaction.count, me: reaction.me }));
  },
  async typing(step) {
    await (await channel(step)).sendTyping();
  },
  async presence(step) {
    client.user.setPresence({ status: step.status, activities: step.activity ? [{ name: step.activity }] : [] });
  },
  async history(step) {
    const { limit, before, after, around } = step;
    const page = await (await channel(step)).messages.fetch({ limit, before, after, around, cache: false });
    return page.map((found) => found.content);
  },
  async members(step) {
    const { query, limit, user, presences } = step;
    const options = {};
    if (query !== undefined) Object.assign(options, { query, limit: limit ?? 0 });
    if (user !== undefined) Object.assign(options, { user });
    if (presences) Object.assign(options, { withPresences: true });
    return memberIds(await client.guilds.cache.get(step.guild).members.fetch(options));
  },
  async voice(step) {
    const data = { guild_id: step.guild, channel_id: step.channel, self_mute: step.mute ?? false, self_deaf: false };
    client.guilds.cache.get(step.guild).shard.send({ op: 4, d: data });
  },
  async addRole(step) {
    await (await client.guilds.cache.get(step.guild).members.fetch(step.user)).roles.add(step.role);
  },
  async createRole(step) {
    return (await client.guilds.cache.get(step.guild).roles.create({ name: step.name })).id;
  },
  async overwrite(step) {
    await (await channel(step)).permissionOverwrites.edit(step.target, { ViewChannel: step.view }, { type: step.type });
  },
  async stop() {
    await client.destroy();
    setImmediate(() => process.exit(0));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  Promise.resolve()
    .then(() => steps[step.do](step))
    .then((value) => say({ answer: step.id, value: value ?? null }))
    .catch((error) => say({ answer: step.id, error: `${error?.stack ?? error}` }));
}
