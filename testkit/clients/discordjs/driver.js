// One discord.js client, driven by lines of JSON on standard input, telling what it sees by lines of JSON on standard
// output. The steps of a scenario are in the Rust test that starts it; here is only how each is said in discord.js.
//
// In:  {"id":1,"do":"send","channel":"…","content":"…"}
// Out: {"answer":1,"value":…} or {"answer":1,"error":"…","status":403,"code":50013}, and {"event":"messageCreate",…} whenever
// the library emits one. Other drivers have the same names of steps, events and fields.

import { ChannelType, Client, Events, GatewayDispatchEvents, Options, Partials } from 'discord.js';
import { event, serve } from '../lines.mjs';

const ALL_INTENTS = 53608447;

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
  // The library is ready once only; later shards are, when they have identified again.
  let isReady = false;
  const ready = () => event('ready', { user: client.user.id, name: client.user.username });
  client.on(Events.ShardReady, () => isReady && ready());
  client.on(Events.ClientReady, () => { isReady = true; ready(); });
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
    event('guildMemberUpdate', { user: member.id, roles: [...member.roles.cache.keys()], nick: member.nickname }));
  client.on(Events.GuildMemberAdd, (member) => event('guildMemberAdd', { user: member.id }));
  client.on(Events.GuildMemberRemove, (member) => event('guildMemberRemove', { user: member.id }));
  client.on(Events.GuildRoleCreate, (role) => event('roleCreate', { role: role.id, name: role.name }));
  client.on(Events.GuildRoleUpdate, (_, role) => event('roleUpdate', { role: role.id, name: role.name }));
  client.on(Events.GuildRoleDelete, (role) => event('roleDelete', { role: role.id }));
  client.on(Events.GuildCreate, (guild) => event('guildCreate', { guild: guild.id, name: guild.name }));
  client.on(Events.GuildUpdate, (_, guild) => event('guildUpdate', { guild: guild.id, name: guild.name }));
  client.on(Events.GuildDelete, (guild) => event('guildDelete', { guild: guild.id }));
  client.on(Events.InviteCreate, ({ code }) => event('inviteCreate', { code }));
  client.on(Events.InviteDelete, ({ code }) => event('inviteDelete', { code }));
}

const guild = (step) => client.guilds.cache.get(step.guild);
const channel = async (step) => client.channels.fetch(step.channel);
const message = async (step) => (await channel(step)).messages.fetch(step.message);
const memberIds = (members) => [...members.keys()];

const steps = {
  async login(step) {
    client = new Client({
      intents: ALL_INTENTS,
      ...(step.shards ? { shards: [...Array(step.shards).keys()], shardCount: step.shards } : {}),
      rest: { api: step.api.replace(/\/v10$/, '') },
      partials: [Partials.Message, Partials.Channel, Partials.Reaction],
      makeCache: Options.cacheEverything(),
    });
    listen();
    await client.login(step.token);
  },
  async guild(step) {
    const found = guild(step);
    if (!found) return null;
    const { name, ownerId: owner, memberCount: members, members: { me } } = found;
    const channels = found.channels.cache.map(({ id, name, type }) => ({ id, name, type }));
    return { name, owner, members, me: me?.id, channels, roles: found.roles.cache.map((role) => role.name) };
  },
  async editGuild(step) {
    await guild(step).edit({ name: step.name });
  },
  async leaveGuild(step) {
    await guild(step).leave();
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
    return memberIds(await guild(step).members.fetch(options));
  },
  async voice(step) {
    const data = { guild_id: step.guild, channel_id: step.channel, self_mute: step.mute ?? false, self_deaf: false };
    guild(step).shard.send({ op: 4, d: data });
  },
  async addRole(step) {
    await (await guild(step).members.fetch(step.user)).roles.add(step.role);
  },
  async createRole(step) {
    return (await guild(step).roles.create({ name: step.name })).id;
  },
  async editRole(step) {
    await guild(step).roles.edit(step.role, { name: step.name });
  },
  async deleteRole(step) {
    await guild(step).roles.delete(step.role);
  },
  async nick(step) {
    await guild(step).members.edit(step.user, { nick: step.nick });
  },
  async kick(step) {
    await guild(step).members.kick(step.user);
  },
  async createChannel(step) {
    const type = step.voice ? ChannelType.GuildVoice : ChannelType.GuildText;
    return (await guild(step).channels.create({ name: step.name, type })).id;
  },
  async editChannel(step) {
    await guild(step).channels.edit(step.channel, { name: step.name });
  },
  async deleteChannel(step) {
    await guild(step).channels.delete(step.channel);
  },
  async createInvite(step) {
    return (await guild(step).invites.create(step.channel, { maxAge: 600 })).code;
  },
  async invite(step) {
    const found = await client.fetchInvite(step.code);
    return { code: found.code, channel: found.channelId, guild: found.guild.id };
  },
  async invites(step) {
    return [...(await guild(step).invites.fetch()).keys()];
  },
  async deleteInvite(step) {
    await guild(step).invites.delete(step.code);
  },
  async overwrite(step) {
    await (await channel(step)).permissionOverwrites.edit(step.target, { ViewChannel: step.view }, { type: step.type });
  },
  async stop() {
    await client.destroy();
    setImmediate(() => process.exit(0));
  },
};

await serve(steps);
