//! The generator: closed loops for throughput, a schedule for latency.
//!
//! One thread. In a closed loop every connection keeps a number of requests in flight, so the system under test
//! sets the pace. With a schedule the answers set nothing: a request is sent when it is due, and its latency
//! counts from when it was **due**, so a system (or a generator) that stands still cannot hide it.
//!
//! Every request ends in exactly one bucket of `Outcome`.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::LoadError;
use super::clock::{self, Timer};
use super::frame::{self, Asked, Writer};
use super::link::{Link, Sent};
use super::maker::{self, Maker, STAN_MAX, Taps};
use super::poll::{Poll, Watch};
use super::schedule::Schedule;
use super::usage::Usage;
use super::window::{Again, Outcome, Window};

const TIMER: usize = usize::MAX;
/// Due messages that are sent before the connections are looked at again.
const SENT_IN_A_ROW: usize = 16;
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

#[derive(Clone, Copy, Debug, Default)]
struct InFlight {
    serial: u64,
    from_ns: u64,
    /// Link number plus one; 0: nothing in flight under this STAN.
    link: u32,
}

/// Open connections to one system under test, used window after window.
#[derive(Debug)]
pub struct Generator {
    target: Target,
    links: Vec<Link>,
    poll: Poll,
    timer: Timer,
    ready: Vec<usize>,
    flights: Vec<InFlight>,
    in_flight: u64,
    serial: u64,
    date_s: u64,
    scratch: Vec<u8>,
    turn: usize,
}

/// State of the window under way.
struct Run<'a> {
    window: &'a Window,
    maker: Maker,
    out: Outcome,
    /// Start and end of what is counted.
    from_ns: u64,
    until_ns: u64,
    /// Serial numbers below are used up, also after requests were sent again.
    resume: u64,
    /// Serial number at which a closed loop ends.
    limit: u64,
    before: Option<Usage>,
    after: Option<Usage>,
    pace: Pace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// An answer is followed by the next request.
    Loop,
    Schedule,
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
            flights: vec![InFlight::default(); STAN_MAX as usize + 1],
            in_flight: 0,
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
        let mut run = self.begin(window, window.measure, Pace::Loop, most);
        for number in 0..self.links.len() {
            for _ in 0..depth {
                self.send(number, clock::now(), &mut run);
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

    /// Sends what is due when it is due. The first `window.warm` of the schedule is not counted.
    ///
    /// # Errors
    /// As `closed`.
    pub fn open(&mut self, schedule: &Schedule, window: &Window) -> Result<Outcome, LoadError> {
        let warm = u64::try_from(window.warm.as_nanos()).unwrap_or(u64::MAX);
        let measure = Duration::from_nanos(schedule.length_ns().saturating_sub(warm));
        let most = schedule.due_ns().len() as u64;
        let mut run = self.begin(window, measure, Pace::Schedule, most);
        let start = run.from_ns - warm;
        let mut armed_ns = 0;
        let mut due = schedule
            .due_ns()
            .iter()
            .map(|offset| start + offset)
            .peekable();
        loop {
            let mut now = clock::now();
            run.mark(now, self.target.pid);
            let mut sent = 0;
            while let Some(at) = due.next_if(|at| *at <= now && sent < SENT_IN_A_ROW) {
                if at >= run.from_ns {
                    run.out.lag.record(now - at);
                }
                let link = self.next_link();
                self.send(link, at, &mut run);
                sent += 1;
                now = clock::now();
            }
            if self.all_closed() {
                for at in due.by_ref() {
                    self.send(0, at, &mut run);
                }
            }
            let next = due.peek().copied();
            if next.is_none() && now >= run.until_ns {
                break;
            }
            let edge = if now < run.from_ns {
                run.from_ns
            } else {
                run.until_ns
            };
            let wake = next.unwrap_or(edge);
            if wake <= now {
                self.receive(Some(Duration::ZERO), &mut run)?;
                continue;
            }
            let wake = if edge > now { wake.min(edge) } else { wake };
            if wake != armed_ns {
                self.timer.arm(wake)?;
                armed_ns = wake;
            }
            self.receive(None, &mut run)?;
        }
        self.end(run)
    }

    /// Sends 0800 001 on every connection and waits until all are answered.
    ///
    /// # Errors
    /// When the answers do not come in time.
    pub fn sign_on(&mut self, patience: Duration) -> Result<(), LoadError> {
        let maker = Maker::new(
            self.target.issuer,
            &self.target.acquirer_code,
            clock::wall_seconds(),
            None,
        );
        for (number, link) in self.links.iter_mut().enumerate() {
            let mut stan = [0; 6];
            frame::write_decimal(&mut stan, number as u64 + 1);
            self.scratch.clear();
            let mut writer = Writer::new(&mut self.scratch, *b"0800", true);
            writer.put(7, &maker.transmission_time());
            writer.put(11, &stan);
            writer.put(70, b"001");
            writer.finish();
            link.send(&self.scratch);
        }
        let until = clock::now() + u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let mut signed = vec![false; self.links.len()];
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
    ) -> Run<'a> {
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
        let length = |t: Duration| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX / 4);
        let taps = self.target.taps.clone();
        let mut maker = Maker::new(self.target.issuer, &self.target.acquirer_code, date_s, taps);
        // Before the clock starts; what a quicker system asks for beyond it is made as it goes.
        maker.prepare(serial, most.min(count));
        let from_ns = clock::now() + START_NS + length(window.warm);
        Run {
            window,
            maker,
            out: Outcome {
                first_serial: serial,
                date_s,
                ..Outcome::default()
            },
            from_ns,
            until_ns: from_ns + length(measure),
            resume,
            limit: serial + count,
            before: None,
            after: None,
            pace,
        }
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

    fn send(&mut self, number: usize, from_ns: u64, run: &mut Run<'_>) {
        let serial = self.serial;
        self.serial += 1;
        run.out.offered += 1;
        let flight = &mut self.flights[maker::stan(serial) as usize];
        // A million in flight, or a connection that has gone: nothing is sent.
        if flight.link != 0 {
            run.out.not_sent += 1;
            return;
        }
        let link = &mut self.links[number];
        let waited = link.is_waiting();
        match link.send(run.maker.make(serial)) {
            Sent::Now => {}
            Sent::Later => {
                run.out.delayed += 1;
                if !waited {
                    let _ = self
                        .poll
                        .watch(link.stream(), number, Watch::ReadingAndWriting);
                }
            }
            Sent::Closed => {
                run.out.not_sent += 1;
                return;
            }
        }
        self.in_flight += 1;
        *flight = InFlight {
            serial,
            from_ns,
            link: number as u32 + 1,
        };
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
        let link = &mut self.links[number];
        if link.is_waiting() {
            link.flush();
            if !link.is_waiting() && !link.closed {
                let _ = self.poll.watch(link.stream(), number, Watch::Reading);
            }
        }
        if link.fill() {
            let now = clock::now();
            while let Some(place) = self.links[number].next_body() {
                self.settle(number, place, now, run);
            }
        }
        if self.links[number].closed {
            self.lose(number, run);
        }
    }

    fn settle(&mut self, number: usize, place: (usize, usize), now: u64, run: &mut Run<'_>) {
        let link = &mut self.links[number];
        let body = link.body(place);
        if frame::asked(body) == Some(Asked::Network) {
            self.scratch.clear();
            if frame::answer(body, *b"00", &mut self.scratch).is_some() {
                link.send(&self.scratch);
            }
            return;
        }
        let answer = Answer::read(body);
        let flight = self.flights.get_mut(answer.stan as usize);
        let Some(flight) = flight.filter(|f| f.link != 0) else {
            run.out.stray += 1;
            return;
        };
        let taken = std::mem::take(flight);
        self.in_flight -= 1;
        let right = answer.is_reply
            && taken.link == number as u32 + 1
            && maker::agrees(taken.serial, answer.rrn, answer.terminal);
        let counter = if !right {
            &mut run.out.wrong
        } else if answer.code != run.window.expect {
            &mut run.out.other_code
        } else {
            &mut run.out.answered
        };
        *counter += 1;
        run.count(taken.from_ns, now);
        if run.pace == Pace::Loop && now < run.until_ns {
            if self.serial < run.limit {
                self.send(number, clock::now(), run);
            } else {
                run.until_ns = now;
            }
        }
    }

    /// A connection has gone, and what was in flight on it.
    fn lose(&mut self, number: usize, run: &mut Run<'_>) {
        self.poll.remove(self.links[number].stream());
        for flight in &mut self.flights {
            if flight.link == number as u32 + 1 {
                *flight = InFlight::default();
                self.in_flight -= 1;
                run.out.closed += 1;
            }
        }
    }

    /// Waits for what is still in flight; the rest is missing.
    fn end(&mut self, mut run: Run<'_>) -> Result<Outcome, LoadError> {
        run.mark(clock::now(), self.target.pid);
        // An expiry that nobody takes back would keep every wait from waiting.
        self.timer.arm(u64::MAX / 4)?;
        let patience = u64::try_from(run.window.drain.as_nanos()).unwrap_or(u64::MAX / 4);
        let until = clock::now() + patience;
        while self.in_flight > 0 && clock::now() < until {
            self.receive(Some(Duration::from_millis(2)), &mut run)?;
        }
        self.serial = self.serial.max(run.resume);
        let mut out = run.out;
        if self.in_flight > 0 {
            out.missing = self.in_flight;
            let now = clock::now();
            for flight in self.flights.iter_mut().filter(|f| f.link != 0) {
                out.latency.record(now.saturating_sub(flight.from_ns));
                *flight = InFlight::default();
            }
            self.in_flight = 0;
        }
        out.elapsed_ns = run.until_ns - run.from_ns;
        if let (Some(before), Some(after)) = (run.before, run.after) {
            out.usage = after.since(before);
        }
        Ok(out)
    }
}

impl Run<'_> {
    /// Takes the process's figures when the counted stretch begins and when it ends.
    fn mark(&mut self, now: u64, pid: u32) {
        if self.before.is_none() && now >= self.from_ns {
            self.before = Some(Usage::of(pid));
            self.from_ns = clock::now();
            if self.pace == Pace::Loop {
                self.until_ns = self.from_ns
                    + u64::try_from(self.window.measure.as_nanos()).unwrap_or(u64::MAX / 4);
            }
        }
        if self.after.is_none() && now >= self.until_ns {
            self.after = Some(Usage::of(pid));
            self.until_ns = clock::now();
        }
    }

    fn count(&mut self, from_ns: u64, now: u64) {
        let inside = self.before.is_some() && self.after.is_none();
        if inside {
            self.out.counted += 1;
        }
        let of_stretch = match self.pace {
            Pace::Loop => inside,
            Pace::Schedule => from_ns >= self.from_ns,
        };
        if of_stretch {
            self.out.latency.record(now.saturating_sub(from_ns));
        }
    }
}

struct Answer<'a> {
    is_reply: bool,
    stan: u64,
    rrn: &'a [u8],
    terminal: &'a [u8],
    code: [u8; 2],
}

impl<'a> Answer<'a> {
    /// What does not hold together comes back as no reply with STAN 0, which is never in flight.
    fn read(body: &'a [u8]) -> Self {
        let mut answer = Self {
            is_reply: body.starts_with(b"0210"),
            stan: 0,
            rrn: b"",
            terminal: b"",
            code: [0; 2],
        };
        let walked = frame::walk(body, |field| match field.number {
            11 => answer.stan = frame::decimal(field.value).unwrap_or(0),
            37 => answer.rrn = field.value,
            39 => answer.code = field.value.try_into().unwrap_or([0; 2]),
            41 => answer.terminal = field.value,
            _ => {}
        });
        answer.is_reply &= walked.is_some();
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::super::bank::Bank;
    use super::*;

    fn target(address: SocketAddr, connections: usize) -> Target {
        Target {
            address,
            connections,
            issuer: *b"629900",
            acquirer_code: b"10000001".to_vec(),
            pid: std::process::id(),
            taps: None,
        }
    }

    fn window(measure_ms: u64) -> Window {
        Window {
            warm: Duration::from_millis(20),
            measure: Duration::from_millis(measure_ms),
            drain: Duration::from_millis(500),
            expect: *b"00",
            again: None,
        }
    }

    fn sums_up(out: &Outcome) {
        let ends =
            out.answered + out.other_code + out.wrong + out.missing + out.closed + out.not_sent;
        assert_eq!(out.offered, ends, "{out:?}");
    }

    #[test]
    fn a_closed_loop_straight_to_the_bank_is_clean() -> Result<(), LoadError> {
        let bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
        let mut generator = Generator::connect(target(bank.address(), 4))?;
        generator.sign_on(Duration::from_secs(2))?;
        for _ in 0..2 {
            let out = generator.closed(3, &window(100))?;
            sums_up(&out);
            assert!(out.is_clean() && out.counted > 50, "{out:?}");
            assert!(out.latency.count() == out.counted && out.usage.cpu_ns > 0);
        }
        assert_eq!(bank.seen().network, 4);
        Ok(())
    }

    #[test]
    fn a_schedule_is_kept_and_every_request_ends_once() -> Result<(), LoadError> {
        let bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
        let mut generator = Generator::connect(target(bank.address(), 4))?;
        let schedule = Schedule::poisson(2000.0, 0.3, 11)?;
        let out = generator.open(&schedule, &window(0))?;
        sums_up(&out);
        assert!(out.is_clean());
        assert_eq!(out.offered, schedule.due_ns().len() as u64);
        assert_eq!(out.lag.count(), out.latency.count());
        bank.set_code(Some(*b"51"));
        let out = generator.open(&schedule, &window(0))?;
        sums_up(&out);
        assert_eq!(out.other_code, out.offered);
        Ok(())
    }

    #[test]
    fn silence_is_missing_and_counts_in_the_tail() -> Result<(), LoadError> {
        let bank = Bank::start("127.0.0.1:0", None)?;
        let mut generator = Generator::connect(target(bank.address(), 2))?;
        let out = generator.open(&Schedule::constant(500.0, 0.1)?, &window(0))?;
        sums_up(&out);
        assert_eq!(out.missing, 50);
        assert!(out.latency.quantile(0.5) > 400_000_000);
        Ok(())
    }

    #[test]
    fn a_lost_connection_closes_what_was_in_flight() -> Result<(), LoadError> {
        let mut bank = Bank::start("127.0.0.1:0", None)?;
        let mut generator = Generator::connect(target(bank.address(), 2))?;
        let ender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            bank.stop();
        });
        let out = generator.open(&Schedule::constant(500.0, 0.3)?, &window(0))?;
        let _ = ender.join();
        sums_up(&out);
        assert!(out.closed > 20 && out.not_sent > 20, "{out:?}");
        assert_eq!(out.answered, 0);
        Ok(())
    }

    #[test]
    fn an_earlier_window_can_be_sent_again() -> Result<(), LoadError> {
        let bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
        let mut generator = Generator::connect(target(bank.address(), 1))?;
        let first = generator.open(&Schedule::constant(200.0, 0.1)?, &window(0))?;
        let again = Window {
            again: Some(Again {
                first_serial: first.first_serial,
                date_s: first.date_s,
                count: first.offered,
            }),
            ..window(0)
        };
        let second = generator.open(&Schedule::constant(200.0, 0.1)?, &again)?;
        assert_eq!(
            (second.first_serial, second.date_s),
            (first.first_serial, first.date_s)
        );
        let third = generator.open(&Schedule::constant(200.0, 0.1)?, &window(0))?;
        assert_eq!(third.first_serial, first.first_serial + first.offered);
        Ok(())
    }
}
