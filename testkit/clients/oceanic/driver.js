// One oceanic.js client, driven by lines of JSON on standard input, telling what it sees by lines of JSON on standard
// output. The steps of a scenario are in the Rust test that starts it; here is only how each is said in oceanic.js. The
// names of steps, events and fields are those of the drivers beside this one.
//
// In:  {"id":1,"do":"send","channel":"…","content":"…"}
// Out: {"answer":1,"value":…} or {"answer":1,"error":"…","status":403,"code":50013}, and {"event":"messageCreate",…}
//      whenever the library emits one.

import { Client } from 'oceanic.js';
import { event, serve } from '../lines.mjs';

const VIEW_CHANNEL = 1n << 10n;

let client;

const shownMessage = (message) => ({
  id: message.id,
  channel: message.channelID,
  author: message.author.id,
  content: message.content,
  edited: message.editedTimestamp !== null,
});
const shownReaction = (message, user, reaction) => ({ message: message.id, emoji: reaction.emoji.name, user: user.id });
const named = (kind) => (found) => ({ [kind]: found.id, name: found.name });

function listen() {
  const on = (theirs, fields, ours = theirs) => client.on(theirs, (...all) => event(ours, fields(...all)));
  // The library calls the client ready also after a resume; here only after an IDENTIFY.
  let isIdentified = false;
  client.on('shardPreReady', () => { isIdentified = true; });
  client.on('ready', () => {
    if (isIdentified) event('ready', { user: client.user.id, name: client.user.username });
    isIdentified = false;
  });
  on('shardResume', (shard) => ({ shard }));
  on('shardReady', (shard) => ({ shard }));
  on('shardDisconnect', (error) => ({ code: error?.code ?? null, message: error && String(error) }));
  on('error', (error) => ({ message: error?.stack ?? String(error) }));
  on('warn', (message) => ({ message }));
  on('messageCreate', shownMessage);
  on('messageUpdate', shownMessage);
  on('messageDelete', ({ id }) => ({ id }));
  on('messageReactionAdd', shownReaction);
  on('messageReactionRemove', shownReaction);
  on('typingStart', (channel, user) => ({ channel: channel.id, user: user.id }));
  on('presenceUpdate', (_guild, member, { status, activities }) =>
    ({ user: member.id, status, activities: (activities ?? []).map(({ name }) => name) }));
  on('voiceStateUpdate', (member) =>
    ({ user: member.id, channel: member.voiceState?.channelID ?? null, mute: member.voiceState?.selfMute ?? false }));
  on('voiceServerUpdate', (guild, endpoint, token) => ({ guild_id: guild.id, endpoint, token }));
  on('channelCreate', named('channel'));
  on('channelUpdate', named('channel'));
  on('channelDelete', named('channel'));
  on('guildRoleCreate', named('role'), 'roleCreate');
  on('guildRoleUpdate', named('role'), 'roleUpdate');
  on('guildRoleDelete', named('role'), 'roleDelete');
  on('guildMemberAdd', (member) => ({ user: member.id }));
  on('guildMemberUpdate', (member) => ({ user: member.id, roles: member.roles, nick: member.nick }));
  on('guildMemberRemove', (member) => ({ user: member.id }));
  on('guildCreate', named('guild'));
  on('guildUpdate', named('guild'));
  on('guildDelete', named('guild'));
  on('inviteCreate', ({ code }) => ({ code }));
  on('inviteDelete', ({ code }) => ({ code }));
}

const rest = () => client.rest;
const guild = (step) => client.guilds.get(step.guild);

const steps = {
  async login({ api, token, shards }) {
    const sharded = shards ? { maxShards: shards } : {};
    client = new Client({ auth: `Bot ${token}`, rest: { baseURL: api }, gateway: { intents: ['ALL'], ...sharded } });
    listen();
    await client.connect();
  },
  async guild(step) {
    const found = guild(step);
    if (!found) return null;
    const { name, ownerID, memberCount, clientMember, shard } = found;
    const channels = found.channels.map((channel) => ({ id: channel.id, name: channel.name, type: channel.type }));
    const roles = found.roles.map((role) => role.name);
    return { name, owner: ownerID, members: memberCount, me: clientMember.id, shard: shard.id, channels, roles };
  },
  editGuild: async (step) => void (await guild(step).edit({ name: step.name })),
  leaveGuild: (step) => guild(step).leave(),
  // The library has no option for a nonce.
  send: async ({ channel, content }) => shownMessage(await rest().channels.createMessage(channel, { content })),
  edit: async ({ channel, message, content }) =>
    shownMessage(await rest().channels.editMessage(channel, message, { content })),
  remove: ({ channel, message }) => rest().channels.deleteMessage(channel, message),
  react: ({ channel, message, emoji }) => rest().channels.createReaction(channel, message, emoji),
  unreact: ({ channel, message, emoji }) => rest().channels.deleteReaction(channel, message, emoji),
  async reactions({ channel, message }) {
    const found = await rest().channels.getMessage(channel, message);
    return found.reactions.map(({ emoji, count, me }) => ({ emoji: emoji.name, count, me }));
  },
  typing: ({ channel }) => rest().channels.sendTyping(channel),
  presence: ({ status, activity }) => client.editStatus(status, activity ? [{ name: activity, type: 0 }] : []),
  async history({ channel, limit, before, after, around }) {
    const page = await rest().channels.getMessages(channel, { limit, before, after, around });
    return page.map(({ content }) => content);
  },
  async members(step) {
    const { query, limit, user: userIDs, presences } = step;
    const found = await guild(step).fetchMembers({ query, limit, userIDs, presences });
    return found.map(({ id }) => id);
  },
  voice: async (step) => guild(step).shard.updateVoiceState(step.guild, step.channel, { selfMute: step.mute ?? false }),
  createChannel: async (step) => (await guild(step).createChannel(step.voice ? 2 : 0, { name: step.name })).id,
  editChannel: async ({ channel, name }) => void (await rest().channels.edit(channel, { name })),
  deleteChannel: ({ channel }) => rest().channels.delete(channel),
  overwrite({ channel, target, type, view }) {
    if (view === null) return rest().channels.deletePermission(channel, target);
    return rest().channels.editPermission(channel, target, view ? { type, allow: VIEW_CHANNEL } : { type, deny: VIEW_CHANNEL });
  },
  createRole: async (step) => (await guild(step).createRole({ name: step.name })).id,
  editRole: async (step) => void (await guild(step).editRole(step.role, { name: step.name })),
  deleteRole: (step) => guild(step).deleteRole(step.role),
  addRole: (step) => guild(step).addMemberRole(step.user, step.role),
  nick: async (step) => void (await guild(step).editMember(step.user, { nick: step.nick })),
  kick: (step) => guild(step).removeMember(step.user),
  createInvite: async ({ channel }) => (await rest().channels.createInvite(channel, { maxAge: 600 })).code,
  async invite({ code }) {
    const found = await rest().channels.getInvite(code);
    return { code: found.code, channel: found.channelID, guild: found.guild.id };
  },
  invites: async (step) => (await guild(step).getInvites()).map(({ code }) => code),
  deleteInvite: async ({ code }) => void (await rest().channels.deleteInvite(code)),
  async stop() {
    client.disconnect(false);
    setImmediate(() => process.exit(0));
  },
};

await serve(steps);
