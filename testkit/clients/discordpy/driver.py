"""One discord.py client, driven by lines of JSON on standard input, telling what it sees by lines of JSON on standard output.

The steps of a scenario are in the Rust test that starts it; here is only how each is said in discord.py. The names of
steps, events and fields are those of the drivers beside this one.

In:  {"id":1,"do":"send","channel":"…","content":"…"}
Out: {"answer":1,"value":…} or {"answer":1,"error":"…","status":403,"code":50013}, and {"event":"messageCreate",…}
     whenever the library emits one.
"""

import asyncio
import json
import sys
import traceback

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

client = None
tasks = set()


def say(line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def event(name, /, **fields):
    say({"event": name, **fields})


def shown_message(message):
    return {
        "id": str(message.id),
        "channel": str(message.channel.id),
        "author": str(message.author.id),
        "content": message.content,
        "edited": message.edited_at is not None,
    }


def shown_invite(invite):
    return {"code": invite.code, "channel": str(invite.channel.id)}


class Probe(discord.VoiceProtocol):
    """Takes the two voice events, and connects nowhere."""

    async def on_voice_server_update(self, data):
        event("voiceServerUpdate", **data)

    async def on_voice_state_update(self, data):
        if data["channel_id"] is None:
            self.cleanup()

    async def connect(self, *, timeout, reconnect, self_deaf=False, self_mute=False):
        await self.channel.guild.change_voice_state(channel=self.channel, self_mute=self_mute, self_deaf=self_deaf)

    async def disconnect(self, *, force):
        await self.channel.guild.change_voice_state(channel=None)


class Events:
    """What the library tells, for one connection or several."""

    async def on_ready(self):
        event("ready", user=str(self.user.id), name=self.user.name)

    async def on_resumed(self):
        event("shardResume")

    async def on_shard_ready(self, shard):
        event("shardReady", shard=shard)

    async def on_error(self, name, *_):
        event("error", message=f"{name}: {traceback.format_exc()}")

    async def on_message(self, message):
        event("messageCreate", **shown_message(message))

    async def on_message_edit(self, _, message):
        event("messageUpdate", **shown_message(message))

    async def on_raw_message_delete(self, payload):
        event("messageDelete", id=str(payload.message_id))

    async def on_raw_reaction_add(self, payload):
        event("messageReactionAdd", message=str(payload.message_id), emoji=payload.emoji.name, user=str(payload.user_id))

    async def on_raw_reaction_remove(self, payload):
        event("messageReactionRemove", message=str(payload.message_id), emoji=payload.emoji.name, user=str(payload.user_id))

    async def on_typing(self, channel, user, _):
        event("typingStart", channel=str(channel.id), user=str(user.id))

    async def on_presence_update(self, _, member):
        activities = [activity.name for activity in member.activities]
        event("presenceUpdate", user=str(member.id), status=str(member.status), activities=activities)

    async def on_voice_state_update(self, member, _, state):
        channel = state.channel and str(state.channel.id)
        event("voiceStateUpdate", user=str(member.id), channel=channel, mute=state.self_mute, deaf=state.self_deaf)

    async def on_guild_channel_create(self, channel):
        event("channelCreate", channel=str(channel.id), name=channel.name)

    async def on_guild_channel_update(self, _, channel):
        event("channelUpdate", channel=str(channel.id), name=channel.name)

    async def on_guild_channel_delete(self, channel):
        event("channelDelete", channel=str(channel.id))

    async def on_guild_role_create(self, role):
        event("roleCreate", role=str(role.id), name=role.name)

    async def on_guild_role_update(self, _, role):
        event("roleUpdate", role=str(role.id), name=role.name)

    async def on_guild_role_delete(self, role):
        event("roleDelete", role=str(role.id))

    async def on_member_join(self, member):
        event("guildMemberAdd", user=str(member.id))

    async def on_member_update(self, _, member):
        roles = [str(role.id) for role in member.roles]
        event("guildMemberUpdate", user=str(member.id), roles=roles, nick=member.nick)

    async def on_raw_member_remove(self, payload):
        event("guildMemberRemove", user=str(payload.user.id))

    async def on_guild_join(self, guild):
        event("guildCreate", guild=str(guild.id), name=guild.name)

    async def on_guild_update(self, _, guild):
        event("guildUpdate", guild=str(guild.id), name=guild.name)

    async def on_guild_remove(self, guild):
        event("guildDelete", guild=str(guild.id))

    async def on_invite_create(self, invite):
        event("inviteCreate", **shown_invite(invite))

    async def on_invite_delete(self, invite):
        event("inviteDelete", **shown_invite(invite))


class Single(Events, discord.Client):
    pass


class Sharded(Events, discord.AutoShardedClient):
    pass


async def run(token):
    try:
        await client.start(token)
    except discord.ConnectionClosed as error:
        event("shardDisconnect", code=error.code)
    except Exception as error:
        event("shardDisconnect", code=None, message=repr(error))


def channel(step):
    return client.get_channel(int(step["channel"])) or client.get_partial_messageable(int(step["channel"]))


def message(step):
    return channel(step).get_partial_message(int(step["message"]))


def guild(step):
    return client.get_guild(int(step["guild"]))


class Steps:
    async def login(self, step):
        global client
        Route.BASE = step["api"]
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(step["gateway"])
        options = {"intents": discord.Intents.all()}
        client = Sharded(shard_count=step["shards"], **options) if step.get("shards") else Single(**options)
        start(run(step["token"]))

    async def guild(self, step):
        found = guild(step)
        if not found:
            return None
        return {
            "name": found.name,
            "owner": str(found.owner_id),
            "members": found.member_count,
            "me": str(found.me.id),
            "shard": found.shard_id,
            "channels": [{"id": str(c.id), "name": c.name, "type": c.type.value} for c in found.channels],
            "roles": [role.name for role in found.roles],
        }

    async def editGuild(self, step):
        await guild(step).edit(name=step["name"])

    async def leaveGuild(self, step):
        await guild(step).leave()

    async def send(self, step):
        extra = {"nonce": step["nonce"]} if step.get("nonce") else {}
        return shown_message(await channel(step).send(step["content"], **extra))

    async def edit(self, step):
        return shown_message(await message(step).edit(content=step["content"]))

    async def remove(self, step):
        await message(step).delete()

    async def react(self, step):
        await message(step).add_reaction(step["emoji"])

    async def unreact(self, step):
        await message(step).remove_reaction(step["emoji"], client.user)

    async def reactions(self, step):
        found = await channel(step).fetch_message(int(step["message"]))
        return [{"emoji": str(r.emoji), "count": r.count, "me": r.me} for r in found.reactions]

    async def typing(self, step):
        await channel(step).typing()

    async def presence(self, step):
        activity = discord.Game(step["activity"]) if step.get("activity") else None
        await client.change_presence(status=discord.Status(step["status"]), activity=activity)

    async def history(self, step):
        at = {name: discord.Object(int(step[name])) for name in ("before", "after", "around") if step.get(name)}
        page = [found async for found in channel(step).history(limit=step.get("limit", 50), **at)]
        return [found.content for found in sorted(page, key=lambda found: found.id, reverse=True)]

    async def members(self, step):
        presences = step.get("presences", False)
        if "query" in step:
            found = await guild(step).query_members(step["query"], limit=step["limit"], presences=presences)
        elif "user" in step:
            found = await guild(step).query_members(user_ids=[int(user) for user in step["user"]], presences=presences)
        else:
            found = await guild(step).chunk(cache=True)
        return [str(member.id) for member in found]

    async def voice(self, step):
        state = {"self_mute": step.get("mute", False), "self_deaf": False}
        if step["channel"] is None:
            await guild(step).change_voice_state(channel=None)
        elif guild(step).voice_client:
            await guild(step).change_voice_state(channel=channel(step), **state)
        else:
            await channel(step).connect(cls=Probe, **state)

    async def createChannel(self, step):
        make = guild(step).create_voice_channel if step.get("voice") else guild(step).create_text_channel
        return str((await make(step["name"])).id)

    async def editChannel(self, step):
        await channel(step).edit(name=step["name"])

    async def deleteChannel(self, step):
        await channel(step).delete()

    async def overwrite(self, step):
        target = discord.Object(int(step["target"]), type=[discord.Role, discord.Member][step["type"]])
        # The method for a pair of permissions wants a cached target; this is the call behind it.
        allow, deny = discord.PermissionOverwrite(view_channel=step["view"]).pair()
        await client.http.edit_channel_permissions(
            step["channel"], target.id, str(allow.value), str(deny.value), step["type"]
        )

    async def createRole(self, step):
        return str((await guild(step).create_role(name=step["name"])).id)

    async def editRole(self, step):
        await guild(step).get_role(int(step["role"])).edit(name=step["name"])

    async def deleteRole(self, step):
        await guild(step).get_role(int(step["role"])).delete()

    async def addRole(self, step):
        member = await guild(step).fetch_member(int(step["user"]))
        await member.add_roles(discord.Object(int(step["role"])))

    async def nick(self, step):
        await guild(step).get_member(int(step["user"])).edit(nick=step["nick"])

    async def kick(self, step):
        await guild(step).kick(discord.Object(int(step["user"])))

    async def createInvite(self, step):
        return (await channel(step).create_invite(max_age=600)).code

    async def invite(self, step):
        found = await client.fetch_invite(step["code"])
        return {"code": found.code, "channel": str(found.channel.id), "guild": str(found.guild.id)}

    async def invites(self, step):
        return [found.code for found in await guild(step).invites()]

    async def deleteInvite(self, step):
        await client.delete_invite(step["code"])

    async def stop(self, _):
        await client.close()
        asyncio.get_running_loop().call_soon(sys.exit, 0)


def start(work):
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def do(step):
    answer = {"answer": step["id"]}
    try:
        answer["value"] = await getattr(Steps(), step["do"])(step)
    except discord.HTTPException as error:
        answer.update(error=repr(error), status=error.status, code=error.code)
    except Exception:
        answer["error"] = traceback.format_exc()
    say(answer)


async def main():
    discord.utils.setup_logging()
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        start(do(json.loads(line)))


asyncio.run(main())
