//! Events as the gateway sends them, made up from a seed.

/// A generator with a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() >> 11) as usize % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    fn id(&mut self) -> u64 {
        1_420_000_000_000_000_000 + self.number() % (1 << 50)
    }

    fn hash(&mut self) -> String {
        format!("{:016x}{:016x}", self.number(), self.number())
    }
}

pub fn message_create(random: &mut Random) -> Vec<u8> {
    let words = 1 + random.below(16);
    let content = sentence(random, words);
    let (id, channel, guild, author) = (random.id(), random.id(), random.id(), random.id());
    let (name, avatar, role, joined) = (name(random), random.hash(), random.id(), time(random));
    let (sent, nonce) = (time(random), random.id());
    format!(
        r#"{{"id":"{id}","channel_id":"{channel}","type":0,"author":{{"id":"{author}","username":"{name}","discriminator":"0","global_name":null,"avatar":"{avatar}","bot":false,"public_flags":0,"avatar_decoration_data":null}},"timestamp":"{sent}","edited_timestamp":null,"content":"{content}","embeds":[],"components":[],"attachments":[],"tts":false,"mention_everyone":false,"mentions":[],"mention_roles":[],"pinned":false,"flags":0,"nonce":"{nonce}","guild_id":"{guild}","member":{{"nick":null,"avatar":null,"roles":["{role}"],"joined_at":"{joined}","premium_since":null,"deaf":false,"mute":false,"flags":0,"pending":false,"communication_disabled_until":null}}}}"#
    )
    .into_bytes()
}

pub fn typing_start(random: &mut Random) -> Vec<u8> {
    let (channel, guild) = (random.id(), random.id());
    let (member, seconds) = (member(random), 1_790_000_000 + random.below(10_000_000));
    format!(r#"{{"channel_id":"{channel}","guild_id":"{guild}","timestamp":{seconds},"member":{member}}}"#)
        .into_bytes()
}

pub fn presence_update(random: &mut Random) -> Vec<u8> {
    let (user, guild) = (random.id(), random.id());
    let status = random.pick(&["online", "idle", "dnd", "offline"]);
    let game = sentence(random, 2);
    format!(
        r#"{{"user":{{"id":"{user}"}},"guild_id":"{guild}","status":"{status}","activities":[{{"name":"{game}","type":0,"created_at":{}}}],"client_status":{{"desktop":"{status}"}}}}"#,
        1_790_000_000_000 + random.number() % 10_000_000_000,
    )
    .into_bytes()
}

/// Members as in GUILD_CREATE and GUILD_MEMBERS_CHUNK.
pub fn members(random: &mut Random, count: usize) -> Vec<u8> {
    let guild = random.id();
    let mut json = format!(r#"{{"guild_id":"{guild}","chunk_index":0,"chunk_count":1,"members":["#);
    for place in 0..count {
        let comma = if place > 0 { "," } else { "" };
        json.push_str(comma);
        json.push_str(&member(random));
    }
    json.push_str("]}");
    json.into_bytes()
}

/// JSON of exactly `len` bytes, at least 2: members as far as they go, then a string of words.
pub fn of_len(random: &mut Random, len: usize) -> Vec<u8> {
    let mut json = Vec::from(b"[");
    while json.len() + 500 < len {
        json.extend(member(random).bytes());
        json.push(b',');
    }
    match len - json.len() {
        1 => json.push(b']'),
        2 => json.extend(b"0]"),
        left => {
            let mut words = sentence(random, left / 2 + 1);
            while !words.is_char_boundary(left - 3) {
                words.insert(0, '.');
            }
            json.extend(format!("\"{}\"]", &words[..left - 3]).bytes());
        }
    }
    json
}

/// The same byte again and again.
pub fn monotone(len: usize) -> Vec<u8> {
    format!("\"{}\"", "a".repeat(len - 2)).into_bytes()
}

fn member(random: &mut Random) -> String {
    let (id, name, avatar) = (random.id(), name(random), random.hash());
    let (role, joined, deaf) = (random.id(), time(random), random.below(9) == 0);
    format!(
        r#"{{"user":{{"id":"{id}","username":"{name}","discriminator":"0","global_name":null,"avatar":"{avatar}","bot":false,"public_flags":0}},"nick":null,"avatar":null,"roles":["{role}"],"joined_at":"{joined}","premium_since":null,"deaf":{deaf},"mute":false,"flags":0,"pending":false,"communication_disabled_until":null}}"#
    )
}

fn name(random: &mut Random) -> String {
    format!("{}{}", random.pick(WORDS).to_lowercase(), random.below(10_000))
}

fn time(random: &mut Random) -> String {
    let (day, hour, minute) = (1 + random.below(28), random.below(24), random.below(60));
    format!(
        "2026-11-{day:02}T{hour:02}:{minute:02}:{:02}.{:06}+00:00",
        random.below(60),
        random.below(1_000_000)
    )
}

fn sentence(random: &mut Random, words: usize) -> String {
    let mut text = String::new();
    for place in 0..words {
        let space = if place > 0 { " " } else { "" };
        text.push_str(space);
        text.push_str(random.pick(WORDS));
    }
    text
}

/// What people write about, some of it not in ASCII. No word needs an escape.
const WORDS: &[&str] = &[
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "he",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "I",
    "at",
    "be",
    "this",
    "have",
    "from",
    "or",
    "one",
    "had",
    "by",
    "word",
    "but",
    "not",
    "what",
    "deployment",
    "yesterday",
    "screenshot",
    "obviously",
    "meeting",
    "server",
    "release",
    "lol",
    "anyone",
    "tomorrow",
    "naïve",
    "Straße",
    "привет",
    "東京",
    "😀",
    "👍🏽",
    "https://example.org/pull/1234",
    "<@1420000000000000000>",
    "thanks",
];
