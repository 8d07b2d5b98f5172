//! What each session had to be given, worked out from what was published and when its client read what.
//!
//! Whoever sees a channel is owed what is said in it: in the order of its stream, and once. Where a taking may have been from
//! a checkpoint, what came before may come once more, from some place on and again in order; but nothing may be left out. What
//! was visible at its place and is not any more when something later is read need not come. Everything is said as numbers, so that
//! what came tells what it is.

use std::rc::Rc;

use super::super::rig::{GUILD, OTHER_GUILD};
use super::super::world::{World, guild_id, user_id};
use super::history::{GUILDS, History, Moment, Source};
use super::life::{Life, What};

/// One session and one source.
struct Case<'a> {
    world: &'a World,
    history: &'a History,
    life: &'a Life,
    source: Source,
    /// When it was given everything up to then, one way or another.
    from: Rc<Moment>,
}

/// Something that was said and that came.
struct Came<'a> {
    number: usize,
    place: u64,
    /// How many breaks were before.
    part: usize,
    moment: &'a Moment,
}

/// Checks a session up to a moment, or one that was refused up to what it was given last.
pub fn check(world: &World, history: &History, life: &Life, now: &Moment) -> Result<(), String> {
    let of_guilds = GUILDS.into_iter().filter_map(|guild| {
        let created = life.created.get(&guild)?;
        Some((Source::Guild(guild), created.clone()))
    });
    let of_user = life.ready().map(|ready| (Source::User(life.user), ready.clone()));
    for (source, from) in of_guilds.chain(of_user) {
        let case = Case { world, history, life, source, from };
        let came = case.came();
        case.check_came(&came)?;
        if !life.is_refused {
            case.check_rest(&came, now)?;
        }
    }
    if life.is_refused { Ok(()) } else { check_picture(world, life) }
}

impl Case<'_> {
    fn place(&self, number: usize) -> Option<u64> {
        self.history.said[number].places.get(&self.source).copied()
    }

    fn came(&self) -> Vec<Came<'_>> {
        let mut came = Vec::new();
        for (index, entry) in self.life.log.iter().enumerate() {
            let What::Said(number) = entry.what else { continue };
            if let Some(place) = self.place(number) {
                let part = self.life.breaks.iter().filter(|at| **at <= index).count();
                came.push(Came { number, place, part, moment: &entry.moment });
            }
        }
        came
    }

    /// In order and without a hole, for those who see it.
    fn check_came(&self, came: &[Came<'_>]) -> Result<(), String> {
        let mut reached = self.from.last(self.source);
        let mut before: Option<&Came<'_>> = None;
        for this in came {
            let Came { number, place, .. } = *this;
            let source = self.source;
            if place <= self.life.began.last(source) {
                return Err(format!("{number} of {source:?} was there before the session"));
            }
            let (_, is_seen) = self.history.seen(self.world, self.life.user, source, number, this.moment);
            if !is_seen {
                return Err(format!("{number} of {source:?} was not for this user"));
            }
            let from = match before.filter(|before| before.part == this.part) {
                Some(before) if place <= before.place => {
                    return Err(format!("{number} of {source:?} came behind {}", before.number));
                }
                Some(before) => before.place,
                None => reached,
            };
            self.check_hole(from, place, this.moment)?;
            reached = reached.max(place);
            before = Some(this);
        }
        Ok(())
    }

    fn check_rest(&self, came: &[Came<'_>], now: &Moment) -> Result<(), String> {
        let reached = came.iter().map(|came| came.place).max().unwrap_or(0);
        self.check_hole(reached.max(self.from.last(self.source)), u64::MAX, now)
    }

    /// Nothing between two places is owed.
    fn check_hole(&self, above: u64, below: u64, until: &Moment) -> Result<(), String> {
        for number in 0..self.history.said.len() {
            if self.place(number).is_some_and(|place| place > above && place < below) {
                let (is_owed, _) = self.history.seen(self.world, self.life.user, self.source, number, until);
                if is_owed {
                    let (source, channel) = (self.source, self.history.said[number].channel);
                    return Err(format!("{number} of {source:?} in {channel} is missing"));
                }
            }
        }
        Ok(())
    }
}

/// In the end the client's picture of its guilds is the truth.
fn check_picture(world: &World, life: &Life) -> Result<(), String> {
    let mut picture = life.picture();
    for guild in [GUILD, OTHER_GUILD] {
        let (truth, user) = (world.now(guild_id(guild)), user_id(life.user));
        let visible = truth.channels.values().filter(|channel| truth.sees(user, channel.id));
        let visible = visible.map(|channel| (channel.id.to_string(), channel.name.clone())).collect();
        let shown = picture.remove(&guild);
        let expected = truth.is_member(user).then_some(visible);
        if shown != expected {
            return Err(format!("it has {shown:?}, the truth is {expected:?}"));
        }
    }
    Ok(())
}
