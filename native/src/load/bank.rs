//! A bank that decides at once: it answers what it is asked and remembers nothing.
//!
//! One thread, any number of connections. Network management (sign-on, echo) and reversals are always answered 00;
//! requests get the code that is set, or silence.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, eventfd};

use super::LoadError;
use super::frame::{self, Asked};
use super::ledger::{Booking, Ledger};
use super::link::{Link, Sent};
use super::poll::{Poll, Watch};

const LISTENER: usize = 0;
const WAKE: usize = 1;
const FIRST_LINK: usize = 2;
/// The code of a bank that never answers a request.
const SILENT: u32 = 0;

/// Counted by the bank's thread, read by anyone.
#[derive(Debug, Default)]
struct Shared {
    code: AtomicU32,
    stop: AtomicBool,
    requests: AtomicU64,
    reversals: AtomicU64,
    network: AtomicU64,
    malformed: AtomicU64,
    connections: AtomicU64,
    /// Answers to what was read at once leave in one `send`.
    joined: bool,
    /// None: a bank that remembers nothing.
    ledger: Option<Mutex<Ledger>>,
}

/// What a bank has seen since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub requests: u64,
    pub reversals: u64,
    pub network: u64,
    pub malformed: u64,
    /// Open at this moment.
    pub connections: u64,
}

/// The handle; dropping it ends the thread.
#[derive(Debug)]
pub struct Bank {
    address: SocketAddr,
    shared: Arc<Shared>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Bank {
    /// Listens on `address` (port 0: any) and answers `code` until told otherwise.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn start(address: &str, code: Option<[u8; 2]>) -> Result<Self, LoadError> {
        Self::open(address, code, false, false)
    }

    /// The same with `books`, which cost a lock and a copy for each message; `joined`: what it has read at once it
    /// answers with one `send`.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn open(
        address: &str,
        code: Option<[u8; 2]>,
        books: bool,
        joined: bool,
    ) -> Result<Self, LoadError> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let shared = Arc::new(Shared {
            joined,
            ledger: books.then(Mutex::default),
            ..Shared::default()
        });
        shared.code.store(packed(code), Ordering::Relaxed);
        let poll = Poll::new()?;
        poll.add(&listener, LISTENER)?;
        poll.add(&*wake, WAKE)?;
        let mut work = Work {
            listener,
            shared: Arc::clone(&shared),
            links: HashMap::new(),
            next: FIRST_LINK,
            scratch: Vec::with_capacity(frame::BODY_MAX),
        };
        let thread = std::thread::Builder::new()
            .name("bench-bank".into())
            .spawn(move || work.run(&poll))?;
        Ok(Self {
            address,
            shared,
            wake,
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on requests get this code; `None`: silence.
    pub fn set_code(&self, code: Option<[u8; 2]>) {
        self.shared.code.store(packed(code), Ordering::Relaxed);
    }

    #[must_use]
    pub fn seen(&self) -> Seen {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Seen {
            requests: read(&self.shared.requests),
            reversals: read(&self.shared.reversals),
            network: read(&self.shared.network),
            malformed: read(&self.shared.malformed),
            connections: read(&self.shared.connections),
        }
    }

    /// The lines of its books since the last call; none when it keeps none.
    #[must_use]
    pub fn bookings(&self) -> Vec<Booking> {
        let ledger = self.shared.ledger.as_ref();
        ledger.map_or_else(Vec::new, |ledger| {
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.take()
        })
    }

    /// Ends the thread and closes all connections.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        let _ = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        self.stop();
    }
}

fn packed(code: Option<[u8; 2]>) -> u32 {
    code.map_or(SILENT, |c| u32::from(u16::from_be_bytes(c)))
}

struct Work {
    listener: TcpListener,
    shared: Arc<Shared>,
    links: HashMap<usize, Link>,
    next: usize,
    scratch: Vec<u8>,
}

impl Work {
    fn run(&mut self, poll: &Poll) {
        let mut ready = Vec::new();
        // A wait that fails leaves nothing to do but to end; the generator then counts missing answers.
        while poll.wait(&mut ready, None).is_ok() {
            if self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            for number in &ready {
                match *number {
                    LISTENER => self.accept(poll),
                    WAKE => {}
                    link => self.serve(link, poll),
                }
            }
        }
    }

    fn accept(&mut self, poll: &Poll) {
        while let Ok((stream, _)) = self.listener.accept() {
            let Ok(link) = Link::new(stream) else {
                continue;
            };
            if poll.add(link.stream(), self.next).is_ok() {
                self.links.insert(self.next, link);
                self.next += 1;
                self.shared.connections.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn serve(&mut self, number: usize, poll: &Poll) {
        let Some(link) = self.links.get_mut(&number) else {
            return;
        };
        let waited = link.is_waiting();
        if waited {
            link.flush();
        }
        if link.fill() {
            while let Some(place) = link.next_body() {
                self.scratch.clear();
                let answered = reply(&self.shared, link.body(place), &mut self.scratch);
                let sent = match (answered, self.shared.joined) {
                    (false, _) => continue,
                    (true, false) => link.send(&self.scratch),
                    (true, true) => link.gather(&self.scratch),
                };
                if sent == Sent::Closed {
                    break;
                }
            }
            if self.shared.joined {
                link.flush();
            }
        }
        if link.closed {
            poll.remove(link.stream());
            self.links.remove(&number);
            self.shared.connections.fetch_sub(1, Ordering::Relaxed);
        } else if link.is_waiting() != waited {
            let watch = if waited {
                Watch::Reading
            } else {
                Watch::ReadingAndWriting
            };
            let _ = poll.watch(link.stream(), number, watch);
        }
    }
}

/// Counts a message and writes its answer; false when it gets none.
fn reply(shared: &Shared, body: &[u8], out: &mut Vec<u8>) -> bool {
    let (counter, code) = match frame::asked(body) {
        Some(Asked::Decision) => (&shared.requests, shared.code.load(Ordering::Relaxed)),
        Some(Asked::Reversal) => (&shared.reversals, packed(Some(*b"00"))),
        Some(Asked::Network) => (&shared.network, packed(Some(*b"00"))),
        Some(Asked::Reply) => return false,
        None => (&shared.malformed, SILENT),
    };
    counter.fetch_add(1, Ordering::Relaxed);
    let silent = code == SILENT;
    let code = (code as u16).to_be_bytes();
    if let Some(ledger) = &shared.ledger {
        let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
        match frame::asked(body) {
            Some(Asked::Decision) => ledger.request(body, code),
            Some(Asked::Reversal) => ledger.reversal(body),
            _ => {}
        }
    }
    if silent {
        return false;
    }
    if frame::answer(body, code, out).is_none() {
        shared.malformed.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use super::super::maker::Maker;
    use super::*;

    #[test]
    fn it_answers_as_told_and_always_acknowledges_reversals() -> Result<(), LoadError> {
        let mut bank = Bank::start("127.0.0.1:0", Some(*b"51"))?;
        let mut stream = TcpStream::connect(bank.address())?;
        stream.set_read_timeout(Some(Duration::from_millis(300)))?;
        let mut request = Maker::new(*b"629900", b"10000001", 0, None)
            .make(7)
            .to_vec();
        stream.write_all(&request)?;
        let mut reply = [0; 512];
        let count = stream.read(&mut reply)?;
        assert_eq!(&reply[2..6], b"0210");
        let mut code = Vec::new();
        let _ = frame::walk(&reply[2..count], |f| {
            if f.number == 39 {
                code = f.value.to_vec();
            }
        });
        assert_eq!(code, b"51");
        bank.set_code(None);
        stream.write_all(&request)?;
        assert!(stream.read(&mut reply).is_err(), "silence");
        request[2..6].copy_from_slice(b"0420");
        stream.write_all(&request)?;
        assert!(stream.read(&mut reply)? > 0);
        assert_eq!(&reply[2..6], b"0430");
        let seen = bank.seen();
        assert_eq!((seen.requests, seen.reversals, seen.connections), (2, 1, 1));
        bank.stop();
        Ok(())
    }
}
