//! The generator: closed loops for throughput, a schedule for latency.
//!
//! One thread. In a closed loop every connection keeps a number of requests in flight, so the system under test
//! sets the pace. With a schedule the answers set nothing: a request is sent when it is due, and its latency
//! counts from when it was **due**, so a system (or a generator) that stands still cannot hide it.
//!
//! Every request ends in exactly one bucket of `Outcome`. `run` counts, `flights` knows what is on its way,
//! `open` keeps to schedules, of one or two generators; `reverse` undoes what was given up.

mod answer;
mod flights;
mod open;
mod reverse;
mod run;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use self::reverse::Reversed;

use self::answer::Answer;
use self::flights::{Flight, Flights};
use self::run::{Pace, Run};
use super::LoadError;
use super::clock::{self, Timer};
use super::frame::{self, Asked, Writer};
use super::link::{Link, Sent};
use super::maker::{self, Maker, Taps};
use super::poll::{Poll, Watch};
use super::recording::{How, Recording};
use super::window::{Again, Outcome, Window};

const TIMER: usize = usize::MAX;
const CONNECT: Duration = Duration::from_secs(5);
/// From the end of all preparations to the first request.
const START_NS: u64 = 1_000_000;
/// Taps made before a closed loop begins, for each millisecond of it: more than any system here answers.
const CLOSED_PER_MS_MAX: u64 = 100;

/// Where the load goes and what its messages carry.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    pub connections: usize,
    /// Six digits that all cards begin with.
    pub issuer: [u8; 6],
    /// Field 32.
    pub acquirer_code: Vec<u8>,
    /// Process whose CPU is counted; 0: none.
    pub pid: u32,
    /// None: plain cards.
    pub taps: Option<Taps>,
}

/// Open connections to one system under test, used window after window.
#[derive(Debug)]
pub struct Generator {
    target: Target,
    links: Vec<Link>,
    poll: Poll,
    timer: Timer,
    ready: Vec<usize>,
    flights: Flights,
    serial: u64,
    date_s: u64,
    scratch: Vec<u8>,
    turn: usize,
}

fn length(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4)
}

impl Generator {
    /// Connects all.
    ///
    /// # Errors
    /// When the system under test does not take the connections.
    pub fn connect(target: Target) -> Result<Self, LoadError> {
        if target.connections == 0 || target.connections > 4096 {
            return Err(LoadError::Usage("1 to 4096 connections".into()));
        }
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        poll.add(timer.descriptor(), TIMER)?;
        let mut links = Vec::new();
        for number in 0..target.connections {
            let link = Link::new(TcpStream::connect_timeout(&target.address, CONNECT)?)?;
            poll.add(link.stream(), number)?;
            links.push(link);
        }
        Ok(Self {
            target,
            links,
            poll,
            timer,
            ready: Vec::new(),
            flights: Flights::default(),
            serial: 1,
            date_s: 0,
            scratch: Vec::new(),
            turn: 0,
        })
    }

    /// `depth` requests in flight on every connection, each answer followed by the next request.
    ///
    /// # Errors
    /// When waiting fails; trouble with a connection is counted instead.
    pub fn closed(&mut self, depth: usize, window: &Window) -> Result<Outcome, LoadError> {
        let length = window.warm + window.measure;
        let most = length.as_millis() as u64 * CLOSED_PER_MS_MAX;
        let mut run = self.begin(window, window.measure, Pace::Loop, most)?;
        for number in 0..self.links.len() {
            for _ in 0..depth {
                let now = clock::now();
                self.send(number, now, now, &mut run);
            }
        }
        loop {
            let now = clock::now();
            run.mark(now, self.target.pid);
            if now >= run.until_ns || self.all_closed() {
                break;
            }
            self.receive(Some(Duration::from_millis(1)), &mut run)?;
        }
        self.end(run)
    }

    /// Sends 0800 001 on every connection and waits until all are answered.
    ///
    /// # Errors
    /// When the answers do not come in time.
    pub fn sign_on(&mut self, patience: Duration) -> Result<(), LoadError> {
        let all: Vec<usize> = (0..self.links.len()).collect();
        self.sign_on_these(&all, patience)
    }

    /// Connects and signs on anew what was lost.
    ///
    /// # Errors
    /// When the system under test does not take the connections.
    pub fn reconnect(&mut self, patience: Duration) -> Result<(), LoadError> {
        let mut fresh = Vec::new();
        for number in 0..self.links.len() {
            if self.links[number].closed {
                self.poll.remove(self.links[number].stream());
                let stream = TcpStream::connect_timeout(&self.target.address, CONNECT)?;
                let link = Link::new(stream)?;
                self.poll.add(link.stream(), number)?;
                self.links[number] = link;
                fresh.push(number);
            }
        }
        self.sign_on_these(&fresh, patience)
    }

    fn sign_on_these(&mut self, numbers: &[usize], patience: Duration) -> Result<(), LoadError> {
        let maker = Maker::new(
            self.target.issuer,
            &self.target.acquirer_code,
            clock::wall_seconds(),
            None,
        );
        let mut signed = vec![true; self.links.len()];
        for number in numbers {
            let mut stan = [0; 6];
            frame::write_decimal(&mut stan, *number as u64 + 1);
            self.scratch.clear();
            let mut writer = Writer::new(&mut self.scratch, *b"0800", true);
            writer.put(7, &maker.transmission_time());
            writer.put(11, &stan);
            writer.put(70, b"001");
            writer.finish();
            self.links[*number].send(&self.scratch);
            signed[*number] = false;
        }
        let until = clock::now() + length(patience);
        while !signed.iter().all(|s| *s) {
            if clock::now() >= until || self.all_closed() {
                return Err(LoadError::Usage("sign-on was not answered".into()));
            }
            self.poll
                .wait(&mut self.ready, Some(Duration::from_millis(20)))?;
            for number in &self.ready {
                let Some(link) = self.links.get_mut(*number) else {
                    continue;
                };
                if !link.fill() {
                    continue;
                }
                while let Some(place) = link.next_body() {
                    signed[*number] |= link.body(place).starts_with(b"0810");
                }
            }
        }
        Ok(())
    }

    /// A window that starts in a moment; `most`: how many requests it may need.
    fn begin<'a>(
        &mut self,
        window: &'a Window,
        measure: Duration,
        pace: Pace,
        most: u64,
    ) -> Result<Run<'a>, LoadError> {
        // A date never comes back while serials go on, so that no two windows share a request.
        let Again {
            first_serial: serial,
            date_s,
            count,
        } = window.again.unwrap_or(Again {
            first_serial: self.serial,
            date_s: clock::wall_seconds().max(self.date_s),
            count: u64::MAX - self.serial,
        });
        let resume = self.serial;
        self.serial = serial;
        self.date_s = date_s;
        let recording = match window.record {
            Some(slice) => Some(Box::new(Recording::new(length(slice))?)),
            None => None,
        };
        let taps = self.target.taps.clone();
        let mut maker = Maker::new(self.target.issuer, &self.target.acquirer_code, date_s, taps);
        // Before the clock starts; what a quicker system asks for beyond it is made as it goes.
        maker.prepare(serial, most.min(count));
        let began_ns = clock::now();
        let from_ns = began_ns + START_NS + length(window.warm);
        Ok(Run {
            window,
            maker,
            out: Outcome {
                first_serial: serial,
                date_s,
                ..Outcome::default()
            },
            recording,
            from_ns,
            until_ns: from_ns + length(measure),
            resume,
            limit: serial + count,
            pace,
            before: None,
            after: None,
            own_cpu_ns: clock::thread_cpu(),
            began_ns,
        })
    }

    fn all_closed(&self) -> bool {
        self.links.iter().all(|link| link.closed)
    }

    /// Open connections in turn.
    fn next_link(&mut self) -> usize {
        for _ in 0..self.links.len() {
            self.turn = (self.turn + 1) % self.links.len();
            if !self.links[self.turn].closed {
                break;
            }
        }
        self.turn
    }

    fn send(&mut self, number: usize, due_ns: u64, now: u64, run: &mut Run<'_>) {
        let serial = self.serial;
        self.serial += 1;
        run.offered(serial, due_ns);
        // A million in flight, or a connection that has gone: nothing is sent.
        if !self.flights.is_free(serial) {
            run.not_sent(serial, due_ns);
            return;
        }
        let link = &mut self.links[number];
        let frame = run.maker.make(serial);
        let sent = match run.window.joined {
            false => link.send(frame),
            true => link.gather(frame),
        };
        match sent {
            Sent::Now => {}
            // `hand_over` follows.
            Sent::Later if run.window.joined => {}
            Sent::Later => {
                run.out.delayed += 1;
                if !link.watched {
                    link.watched = true;
                    let _ = self
                        .poll
                        .watch(link.stream(), number, Watch::ReadingAndWriting);
                }
            }
            Sent::Closed => {
                run.not_sent(serial, due_ns);
                return;
            }
        }
        let flight = Flight {
            serial,
            due_ns,
            sent_ns: now,
            link: number as u32 + 1,
            given_up: false,
        };
        self.flights.put(flight, run.window.timeout.is_some());
    }

    /// Writes what was gathered for a connection; what its peer does not take waits for it.
    fn hand_over(&mut self, number: usize, run: &mut Run<'_>) {
        let link = &mut self.links[number];
        link.flush();
        if link.is_waiting() && !link.watched {
            run.out.delayed += 1;
            link.watched = true;
            let _ = self
                .poll
                .watch(link.stream(), number, Watch::ReadingAndWriting);
        }
    }

    /// Gives up what has waited too long.
    fn expire(&mut self, now: u64, run: &mut Run<'_>) {
        let Some(timeout) = run.window.timeout.map(length) else {
            return;
        };
        while let Some(flight) = self.flights.expire(now.saturating_sub(timeout)) {
            run.timed_out(&flight, flight.sent_ns + timeout);
        }
    }

    fn receive(&mut self, timeout: Option<Duration>, run: &mut Run<'_>) -> Result<(), LoadError> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll.wait(&mut ready, timeout)?;
        for number in &ready {
            if *number < self.links.len() {
                self.read(*number, run);
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn read(&mut self, number: usize, run: &mut Run<'_>) {
        if self.take_in(number) {
            let now = clock::now();
            // Deadlines that passed before these answers were read come first.
            self.expire(now, run);
            while let Some(place) = self.links[number].next_body() {
                self.settle(number, place, now, run);
            }
        }
        if self.links[number].closed {
            self.lose(number, run);
        }
    }

    /// Writes what waited and reads once; whether there is something new.
    fn take_in(&mut self, number: usize) -> bool {
        let link = &mut self.links[number];
        if link.is_waiting() {
            link.flush();
            if !link.is_waiting() && !link.closed && link.watched {
                link.watched = false;
                let _ = self.poll.watch(link.stream(), number, Watch::Reading);
            }
        }
        link.fill()
    }

    /// The peer's own sign-on or echo is answered; whether it was one.
    fn answered_network(&mut self, number: usize, place: (usize, usize)) -> bool {
        let link = &mut self.links[number];
        let body = link.body(place);
        if frame::asked(body) != Some(Asked::Network) {
            return false;
        }
        self.scratch.clear();
        if frame::answer(body, *b"00", &mut self.scratch).is_some() {
            link.send(&self.scratch);
        }
        true
    }

    fn settle(&mut self, number: usize, place: (usize, usize), now: u64, run: &mut Run<'_>) {
        if self.answered_network(number, place) {
            return;
        }
        let answer = Answer::read(self.links[number].body(place), *b"0210");
        let Some(taken) = self.flights.take(answer.stan) else {
            run.out.stray += 1;
            return;
        };
        let right = answer.is_reply
            && taken.link == number as u32 + 1
            && maker::agrees(taken.serial, answer.rrn, answer.terminal);
        run.answered(&taken, now, right, answer.code);
        if run.pace == Pace::Loop && now < run.until_ns {
            if self.serial < run.limit {
                let now = clock::now();
                self.send(number, now, now, run);
            } else {
                run.until_ns = now;
            }
        }
    }

    /// A connection has gone, and what was in flight on it.
    fn lose(&mut self, number: usize, run: &mut Run<'_>) {
        self.poll.remove(self.links[number].stream());
        let now = clock::now();
        for flight in self.flights.remove(|f| f.link == number as u32 + 1) {
            run.closed(&flight, now);
        }
    }

    /// Waits for what is still in flight; the rest is missing.
    fn end(&mut self, mut run: Run<'_>) -> Result<Outcome, LoadError> {
        run.mark(clock::now(), self.target.pid);
        // An expiry that nobody takes back would keep every wait from waiting.
        self.timer.arm(u64::MAX / 4)?;
        let patience = length(run.window.drain.max(run.window.timeout.unwrap_or_default()));
        let until = clock::now() + patience;
        while self.flights.waiting() > 0 && clock::now() < until {
            self.receive(Some(Duration::from_millis(2)), &mut run)?;
            self.expire(clock::now(), &mut run);
        }
        self.serial = self.serial.max(run.resume);
        let now = clock::now();
        for flight in self.flights.remove(|f| !f.given_up) {
            run.timed_out(&flight, now);
        }
        let mut out = run.out;
        out.elapsed_ns = run.until_ns - run.from_ns;
        if let (Some(before), Some(after)) = (run.before, run.after) {
            out.usage = after.since(before);
        }
        out.own_cpu_ns = clock::thread_cpu() - run.own_cpu_ns;
        out.own_ns = now - run.began_ns;
        out.recording = run.recording;
        Ok(out)
    }
}

/// Serial numbers of a window whose outcome its terminal does not know, and which it must undo.
#[must_use]
pub fn unknown(out: &Outcome) -> Vec<u64> {
    let told = out.recording.iter().flat_map(|recording| &recording.told);
    (out.first_serial..)
        .zip(told)
        .filter(|(_, told)| matches!(told.how, How::GivenUp | How::Closed | How::Wrong))
        .map(|(serial, _)| serial)
        .collect()
}
