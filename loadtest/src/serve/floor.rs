//! The floor: one thread, one epoll, one `writev` for so many events, and nothing else. No server on this kernel that sends
//! the same bytes over the same sockets can be cheaper by much.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::{announce, frame};
use crate::senders::PUBLISH_PATH;

const EVENTS_MAX: usize = 1024;
const READ_BYTES: usize = 256 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

struct Floor {
    epoll: OwnedFd,
    /// By the number of the socket.
    conns: Vec<Option<Conn>>,
    merge: usize,
    scratch: Vec<u8>,
}

struct Conn {
    stream: TcpStream,
    role: Role,
    /// The beginning of a request or frame.
    inbox: Vec<u8>,
    /// What the socket did not take yet.
    queue: VecDeque<Rc<[u8]>>,
    /// Bytes of the first of those that it took.
    written: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Starting,
    Receiver,
    Publisher,
}

pub(super) fn run(listen: SocketAddr, merge: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("listen on {listen}"))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, key(&listener), EventFlags::IN)?;
    announce(listener.local_addr()?);
    let mut floor = Floor { epoll, conns: Vec::new(), merge, scratch: vec![0; READ_BYTES] };
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let place = event.data.u64() as usize;
            if place == listener.as_raw_fd() as usize {
                floor.accept(&listener)?;
            } else if floor.serve(place, event.flags).is_err() {
                floor.conns[place] = None;
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            epoll::add(&self.epoll, &stream, key(&stream), EventFlags::IN)?;
            let place = stream.as_raw_fd() as usize;
            if self.conns.len() <= place {
                self.conns.resize_with(place + 1, || None);
            }
            self.conns[place] = Some(Conn {
                stream,
                role: Role::Starting,
                inbox: Vec::new(),
                queue: VecDeque::new(),
                written: 0,
            });
        }
    }

    fn serve(&mut self, place: usize, flags: EventFlags) -> io::Result<()> {
        let Some(conn) = self.conns.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        if flags.contains(EventFlags::OUT) {
            conn.flush(&self.epoll, self.merge)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(());
        }
        let length = match conn.stream.read(&mut self.scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        conn.inbox.extend_from_slice(&self.scratch[..length]);
        if conn.role == Role::Starting {
            return conn.start();
        }
        let events = conn.take()?;
        if conn.role == Role::Publisher && !events.is_empty() {
            self.publish(&events);
        }
        Ok(())
    }

    fn publish(&mut self, events: &[Rc<[u8]>]) {
        let slices: Vec<IoSlice<'_>> = events.iter().map(|event| IoSlice::new(event)).collect();
        for slot in &mut self.conns {
            let Some(conn) = slot.as_mut().filter(|conn| conn.role == Role::Receiver) else { continue };
            if conn.send(&self.epoll, events, &slices, self.merge).is_err() {
                *slot = None;
            }
        }
    }
}

impl Conn {
    fn start(&mut self) -> io::Result<()> {
        let text = std::str::from_utf8(&self.inbox).map_err(io::Error::other)?;
        if !text.ends_with("\r\n\r\n") {
            let is_too_long = text.len() > HEAD_BYTES_MAX;
            return if is_too_long { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) };
        }
        let (path, answer) = frame::answer(text).ok_or(io::ErrorKind::InvalidData)?;
        self.role = if path == PUBLISH_PATH { Role::Publisher } else { Role::Receiver };
        self.stream.write_all(answer.as_bytes())?;
        self.inbox = Vec::new();
        Ok(())
    }

    /// The events in what was read; an error when the client says goodbye.
    fn take(&mut self) -> io::Result<Vec<Rc<[u8]>>> {
        let (mut events, mut taken) = (Vec::new(), 0);
        while let Some(received) = frame::take(&self.inbox[taken..]) {
            taken += received.length;
            match received.opcode {
                frame::TEXT => events.push(frame::text(&received.payload).into()),
                frame::CLOSE => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
        self.inbox.drain(..taken);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        Ok(events)
    }

    /// Writes the events, or queues those that the socket does not take.
    fn send(
        &mut self,
        epoll: &OwnedFd,
        events: &[Rc<[u8]>],
        slices: &[IoSlice<'_>],
        merge: usize,
    ) -> io::Result<()> {
        let is_blocked = !self.queue.is_empty();
        let (done, written) =
            if is_blocked { (0, self.written) } else { write(&self.stream, slices, merge)? };
        self.written = written;
        self.queue.extend(events[done..].iter().map(Rc::clone));
        if !is_blocked && !self.queue.is_empty() {
            epoll::modify(epoll, &self.stream, key(&self.stream), EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Writes what is queued, once the socket takes more.
    fn flush(&mut self, epoll: &OwnedFd, merge: usize) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = self.queue.iter().map(|event| IoSlice::new(event)).collect();
        if let Some(first) = slices.first_mut() {
            first.advance(self.written);
        }
        let (done, written) = write(&self.stream, &slices, merge)?;
        self.written = if done == 0 { self.written + written } else { written };
        self.queue.drain(..done);
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
            epoll::modify(epoll, &self.stream, key(&self.stream), EventFlags::IN)?;
        }
        Ok(())
    }
}

/// Writes at most `merge` slices at a time until the socket takes no more: how many it took as a whole, and how much of the
/// next one.
fn write(mut stream: &TcpStream, slices: &[IoSlice<'_>], merge: usize) -> io::Result<(usize, usize)> {
    let mut done = 0;
    for some in slices.chunks(merge) {
        let mut length = match stream.write_vectored(some) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok((done, 0)),
            Err(error) => return Err(error),
        };
        for slice in some {
            if length < slice.len() {
                return Ok((done, length));
            }
            length -= slice.len();
            done += 1;
        }
    }
    Ok((done, 0))
}

fn key(socket: &impl AsRawFd) -> EventData {
    EventData::new_u64(socket.as_raw_fd() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_socket_goes_on_where_it_stopped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
        epoll::add(&epoll, &stream, key(&stream), EventFlags::IN).unwrap();
        let (role, queue) = (Role::Receiver, VecDeque::new());
        let mut conn = Conn { stream, role, inbox: Vec::new(), queue, written: 0 };
        let events: Vec<Rc<[u8]>> = (0..3000_u32).map(|n| n.to_be_bytes().repeat(2503).into()).collect();
        let slices: Vec<IoSlice<'_>> = events.iter().map(|event| IoSlice::new(event)).collect();
        conn.send(&epoll, &events, &slices, 7).unwrap();
        assert!(!conn.queue.is_empty());

        let length = events.iter().map(|event| event.len()).sum();
        let reading = std::thread::spawn(move || {
            let mut received = vec![0; length];
            client.read_exact(&mut received).map(|()| received)
        });
        while !conn.queue.is_empty() {
            conn.flush(&epoll, 7).unwrap();
            std::thread::yield_now();
        }
        assert!(reading.join().unwrap().unwrap() == events.concat());
    }
}
