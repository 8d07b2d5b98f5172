//! A world of pods and sessions around the table, with the truth beside it.
//!
//! A pod's messages arrive in order, but any of them may arrive again later: what was overtaken by then (lower epochs, ended
//! sessions, lists without newer sessions) as it was, the rest with the present state.
//!
//! The roster names every pod that is not silent, and one that is cut off: it lives, and can't be heard for a while.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const SESSIONS: usize = 8;
/// Its pods are never silent, so its user must never be seen offline.
const STEADY: usize = 6;
/// The same holds for this one, whose pod can't be heard for a while.
const CUT_OFF: usize = 7;
const PODS: usize = 5;
const CUT_OFF_POD: usize = 4;

#[derive(Debug, Clone)]
pub(super) enum Op {
    Say { session: usize, pod: usize, status: Status, guilds: Vec<u64> },
    Move { session: usize, pod: usize },
    End { session: usize },
    Crash { pod: usize },
    Silence { pod: usize, ms: u64 },
    Repeat { message: usize },
    List { pod: usize },
    Wait { ms: u64 },
}

impl Op {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let session = 0..CUT_OFF;
        let pod = 0..CUT_OFF_POD;
        let status = prop_oneof![
            Just(Status::Online),
            Just(Status::Dnd),
            Just(Status::Idle),
            Just(Status::Invisible),
            Just(Status::Offline)
        ];
        let guilds = prop::collection::vec(1..4_u64, 0..4);
        prop_oneof![
            4 => (session.clone(), pod.clone(), status, guilds)
                .prop_map(|(session, pod, status, guilds)| Self::Say { session, pod, status, guilds }),
            3 => (session.clone(), pod.clone()).prop_map(|(session, pod)| Self::Move { session, pod }),
            2 => session.prop_map(|session| Self::End { session }),
            1 => pod.clone().prop_map(|pod| Self::Crash { pod }),
            1 => (0..PODS, 1..100_000_u64).prop_map(|(pod, ms)| Self::Silence { pod, ms }),
            4 => any::<usize>().prop_map(|message| Self::Repeat { message }),
            1 => pod.prop_map(|pod| Self::List { pod }),
            3 => prop_oneof![1..1500_u64, 1..60_000_u64].prop_map(|ms| Self::Wait { ms }),
        ]
    }
}

#[derive(Clone)]
struct Live {
    pod: usize,
    epoch: u64,
    status: Status,
    guilds: BTreeSet<u64>,
}

pub(super) struct World {
    table: Table,
    now: u64,
    live: Vec<Option<Live>>,
    epochs: Vec<u64>,
    /// How often a pod was started again; a restarted one has another name.
    births: Vec<u64>,
    silent_until: Vec<u64>,
    sent: Vec<(String, Batch)>,
    /// (guild, user) → when it was published last, and what.
    seen: BTreeMap<(u64, u64), (u64, Presence)>,
}

fn user_of(session: usize) -> u64 {
    match session {
        STEADY => 9,
        CUT_OFF => 8,
        other => other as u64 / 2 + 1,
    }
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            table: Table::new(Bounds { releases_per_sec: 10, ..Bounds::default() }),
            now: 1,
            live: vec![None; SESSIONS],
            epochs: vec![0; SESSIONS],
            births: vec![0; PODS],
            silent_until: vec![0; PODS],
            sent: Vec::new(),
            seen: BTreeMap::new(),
        };
        world.start(STEADY, 0, Status::Online, BTreeSet::from([1]));
        world.start(CUT_OFF, CUT_OFF_POD, Status::Online, BTreeSet::from([1]));
        world.observe();
        world
    }

    pub(super) fn run(&mut self, op: Op) {
        match op {
            Op::Say { session, pod, status, guilds } => self.say(session, pod, status, guilds),
            Op::Move { session, pod } => self.take_over(session, pod),
            Op::End { session } if session != STEADY => self.end(session),
            Op::Crash { pod } if pod > 1 => self.crash(pod),
            Op::Silence { pod, ms } if pod > 1 => self.silent_until[pod] = self.now + ms,
            Op::Repeat { message } => self.repeat(message),
            Op::List { pod } => self.list(pod),
            Op::Wait { ms } => self.wait(ms),
            Op::End { .. } | Op::Crash { .. } | Op::Silence { .. } => {}
        }
        self.observe();
    }

    /// Time enough for every lease, release and window.
    pub(super) fn settle(&mut self) {
        self.wait(300_000);
    }

    pub(super) fn check(&self) {
        for user in [1, 2, 3, 8, 9] {
            let sessions =
                || (0..SESSIONS).filter(|s| user_of(*s) == user).filter_map(|s| self.live[s].as_ref());
            let status = Status::aggregate(sessions().map(|live| live.status));
            for guild in 1..4 {
                let is_in = sessions().any(|live| live.guilds.contains(&guild));
                let expected = if is_in { status } else { Status::Offline };
                let seen = self.seen.get(&(guild, user)).map_or(Status::Offline, |(_, shown)| shown.status);
                assert_eq!(seen, expected, "user {user} in guild {guild}");
            }
        }
        let live = self.live.iter().flatten().count();
        let counts = self.table.counts(self.now);
        assert_eq!((counts.sessions, counts.releases_pending), (live, 0));
    }

    fn name(&self, pod: usize) -> String {
        format!("pod{pod}.{}", self.births[pod])
    }

    fn is_silent(&self, pod: usize) -> bool {
        self.now < self.silent_until[pod]
    }

    fn message(&self, session: usize) -> SessionUpdate {
        let live = self.live[session].as_ref().unwrap();
        let guilds: Vec<u64> = live.guilds.iter().copied().collect();
        update(&format!("s{session}"), live.epoch, user_of(session), live.status, &guilds)
    }

    fn send(&mut self, pod: usize, batch: Batch) {
        if !self.is_silent(pod) {
            let name = self.name(pod);
            self.table.apply(self.now, &key(&name), batch.clone()).unwrap();
            self.sent.push((name, batch));
        }
    }

    fn start(&mut self, session: usize, pod: usize, status: Status, guilds: BTreeSet<u64>) {
        self.epochs[session] += 1;
        self.live[session] = Some(Live { pod, epoch: self.epochs[session], status, guilds });
        let update = self.message(session);
        self.send(pod, sessions(vec![update]));
    }

    fn say(&mut self, session: usize, pod: usize, status: Status, guilds: Vec<u64>) {
        let guilds: BTreeSet<u64> = guilds.into_iter().collect();
        let silent = self.is_silent(pod);
        match &mut self.live[session] {
            // The steady one may change its status as long as it can be seen.
            Some(_) if session == STEADY && status.shown() == Status::Offline => return,
            Some(live) => {
                live.status = status;
                if session != STEADY {
                    live.guilds = guilds;
                }
            }
            None if silent => return,
            None => return self.start(session, pod, status, guilds),
        }
        let (pod, update) = (self.live[session].as_ref().unwrap().pod, self.message(session));
        self.send(pod, sessions(vec![update]));
    }

    fn take_over(&mut self, session: usize, pod: usize) {
        let pod = if session == STEADY { pod % 2 } else { pod };
        if let Some(live) = self.live[session].clone().filter(|_| !self.is_silent(pod)) {
            self.start(session, pod, live.status, live.guilds);
            // What the earlier owner says of it comes too late.
            self.send(live.pod, gone(&format!("s{session}"), live.epoch));
        }
    }

    fn end(&mut self, session: usize) {
        let Some(live) = self.live[session].take() else { return };
        self.send(live.pod, gone(&format!("s{session}"), live.epoch));
    }

    fn crash(&mut self, pod: usize) {
        self.births[pod] += 1;
        self.silent_until[pod] = 0;
        for live in &mut self.live {
            live.take_if(|live| live.pod == pod);
        }
    }

    fn list(&mut self, pod: usize) {
        let on_pod = |s: &usize| self.live[*s].as_ref().is_some_and(|live| live.pod == pod);
        let all = (0..SESSIONS).filter(on_pod).map(|session| self.message(session)).collect();
        self.send(pod, super::list(all));
    }

    fn repeat(&mut self, message: usize) {
        let Some((name, mut batch)) = self.sent.get(message % self.sent.len().max(1)).cloned() else {
            return;
        };
        for old in &mut batch.sessions {
            let session: usize = old.part.session_id[1..].parse().unwrap();
            if self.live[session].as_ref().is_some_and(|live| live.epoch == old.owner_epoch) {
                *old = self.message(session);
            }
        }
        self.table.apply(self.now, &key(&name), batch).unwrap();
    }

    fn wait(&mut self, ms: u64) {
        let end = self.now + ms;
        while self.now < end {
            let tick = 15_000 - self.now % 15_000;
            let until = end.min(self.now + tick);
            while let Some(deadline) = self.table.next_deadline(self.now).filter(|at| *at <= until) {
                self.now = deadline.max(self.now);
                self.table.advance(self.now);
                if self.table.needs_roster(self.now) {
                    self.read_roster();
                }
                self.observe();
            }
            self.now = until;
            if self.now.is_multiple_of(15_000) {
                self.renew_all();
            }
        }
    }

    fn read_roster(&mut self) {
        let lives = |pod: &usize| *pod == CUT_OFF_POD || !self.is_silent(*pod);
        let living: Vec<_> = (0..PODS).filter(lives).map(|pod| (key(&self.name(pod)), 60_000)).collect();
        self.table.read_roster(self.now, living);
    }

    fn renew_all(&mut self) {
        for pod in (0..PODS).filter(|pod| !self.is_silent(*pod)).collect::<Vec<_>>() {
            let on_pod = |s: &usize| self.live[*s].as_ref().is_some_and(|live| live.pod == pod);
            let told: Vec<_> = (0..SESSIONS).filter(on_pod).map(|session| self.message(session)).collect();
            let was_silent = std::mem::take(&mut self.silent_until[pod]) > 0;
            let name = key(&self.name(pod));
            if self.table.renew(self.now, &name, super::claim(&told)).unwrap() || was_silent {
                self.list(pod);
            }
            self.observe();
        }
        self.read_roster();
    }

    fn observe(&mut self) {
        for change in self.table.take_presences() {
            let (guild, user) = (change.guild_id.get(), change.presence.user_id.get());
            let presence = Presence::clone(&change.presence);
            assert!(user < 8 || presence.status != Status::Offline, "{user} was said to be offline");
            let before = self.seen.insert((guild, user), (self.now, presence.clone()));
            if let Some((at, before)) = before {
                assert!(self.now >= at + limits::PRESENCE_COALESCE_MS, "twice within {} ms", self.now - at);
                assert_ne!(before, presence, "the same again");
            }
        }
    }
}
