//! A schedule, or two of two generators side by side on one thread, so that neither takes the other's processor at
//! the wrong moment.

use std::time::Duration;

use super::super::LoadError;
use super::super::clock;
use super::super::poll;
use super::super::schedule::Schedule;
use super::super::window::{Outcome, Window};
use super::run::{Pace, Run};
use super::{Generator, length};

/// Due messages that are sent before the connections are looked at again.
const SENT_IN_A_ROW: usize = 16;
/// The same when they are joined, and how many of them go to one connection before it is the next one's turn.
const JOINED_IN_A_ROW: usize = 64;
const JOINED: usize = 16;
/// How soon a window that is watched notices that it is to end.
const WATCHED: Duration = Duration::from_millis(50);
/// From the end of all preparations of two to their first requests.
const BOTH_START_NS: u64 = 2_000_000;
const NEVER_NS: u64 = u64::MAX / 4;

/// A schedule that is being kept.
struct Pass<'a> {
    run: Run<'a>,
    due: std::iter::Peekable<std::slice::Iter<'a, u64>>,
    start_ns: u64,
    armed_ns: u64,
    over: bool,
}

/// What follows a look at the schedule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Something is due already.
    Again,
    /// The timer is set to what comes next.
    Wait,
    Over,
}

impl Generator {
    /// Sends what is due when it is due. The first `window.warm` of the schedule is not counted.
    ///
    /// # Errors
    /// As `closed`.
    pub fn open(&mut self, schedule: &Schedule, window: &Window) -> Result<Outcome, LoadError> {
        let mut pass = self.pass(schedule, window)?;
        let watched = window.progress.as_ref().map(|_| WATCHED);
        loop {
            let limit = match self.look(&mut pass)? {
                Next::Over => break,
                Next::Again => Some(Duration::ZERO),
                Next::Wait => watched,
            };
            self.receive(limit, &mut pass.run)?;
        }
        self.end(pass.run)
    }

    /// Two schedules at once, which begin at the same moment: this one's, and another generator's.
    ///
    /// # Errors
    /// As `closed`.
    pub fn open_both(
        &mut self,
        other: &mut Generator,
        schedules: [&Schedule; 2],
        windows: [&Window; 2],
    ) -> Result<[Outcome; 2], LoadError> {
        let mut mine = self.pass(schedules[0], windows[0])?;
        let mut theirs = other.pass(schedules[1], windows[1])?;
        let start_ns = clock::now() + BOTH_START_NS;
        mine.begin_at(start_ns, windows[0]);
        theirs.begin_at(start_ns, windows[1]);
        loop {
            let next = [self.look(&mut mine)?, other.look(&mut theirs)?];
            if next == [Next::Over; 2] {
                break;
            }
            if !next.contains(&Next::Again) {
                poll::either(&self.poll, &other.poll, WATCHED)?;
            }
            self.receive(Some(Duration::ZERO), &mut mine.run)?;
            other.receive(Some(Duration::ZERO), &mut theirs.run)?;
        }
        // Together, too, for what is still in flight: one that waits for the other would find its answers late.
        let patience = windows.map(|window| window.drain.max(window.timeout.unwrap_or_default()));
        let until = clock::now() + length(patience[0].max(patience[1]));
        while self.flights.waiting() + other.flights.waiting() > 0 && clock::now() < until {
            poll::either(&self.poll, &other.poll, Duration::from_millis(2))?;
            self.receive(Some(Duration::ZERO), &mut mine.run)?;
            other.receive(Some(Duration::ZERO), &mut theirs.run)?;
            self.expire(clock::now(), &mut mine.run);
            other.expire(clock::now(), &mut theirs.run);
        }
        Ok([self.end(mine.run)?, other.end(theirs.run)?])
    }

    fn pass<'a>(
        &mut self,
        schedule: &'a Schedule,
        window: &'a Window,
    ) -> Result<Pass<'a>, LoadError> {
        let warm = length(window.warm);
        let measure = Duration::from_nanos(schedule.length_ns().saturating_sub(warm));
        let most = schedule.due_ns().len() as u64;
        let run = self.begin(window, measure, Pace::Schedule, most)?;
        Ok(Pass {
            start_ns: run.from_ns - warm,
            due: schedule.due_ns().iter().peekable(),
            run,
            armed_ns: 0,
            over: false,
        })
    }

    /// Sends what is due, gives up what has waited too long, and sets the timer.
    fn look(&mut self, pass: &mut Pass<'_>) -> Result<Next, LoadError> {
        if pass.over {
            return Ok(Next::Over);
        }
        let start_ns = pass.start_ns;
        let mut now = clock::now();
        pass.run.mark(now, self.target.pid);
        if pass.run.window.joined {
            self.send_joined(pass, now);
            now = clock::now();
        }
        let mut sent = 0;
        while let Some(offset) = pass.due.next_if(|offset| {
            start_ns + **offset <= now && sent < SENT_IN_A_ROW && !pass.run.window.joined
        }) {
            let at = start_ns + offset;
            if at >= pass.run.from_ns {
                pass.run.out.lag.record(now - at);
            }
            let link = self.next_link();
            self.send(link, at, now, &mut pass.run);
            sent += 1;
            now = clock::now();
        }
        self.expire(now, &mut pass.run);
        if pass.run.is_stopped() {
            pass.run.cut(now, self.target.pid);
            return self.over(pass);
        }
        if self.all_closed() {
            for offset in pass.due.by_ref() {
                self.send(0, start_ns + offset, now, &mut pass.run);
            }
        }
        let next = pass.due.peek().map(|offset| start_ns + **offset);
        if next.is_none() && now >= pass.run.until_ns {
            return self.over(pass);
        }
        let edge = if now < pass.run.from_ns {
            pass.run.from_ns
        } else {
            pass.run.until_ns
        };
        let wake = next.unwrap_or(edge);
        if wake <= now {
            return Ok(Next::Again);
        }
        let wake = if edge > now { wake.min(edge) } else { wake };
        if wake != pass.armed_ns {
            self.timer.arm(wake)?;
            pass.armed_ns = wake;
        }
        Ok(Next::Wait)
    }

    /// Sends what is due, joined by connection. They count as sent when the last of them is handed over.
    fn send_joined(&mut self, pass: &mut Pass<'_>, now: u64) {
        let start_ns = pass.start_ns;
        let (mut due, mut count) = ([0; JOINED_IN_A_ROW], 0);
        let mut link = 0;
        while let Some(offset) = pass
            .due
            .next_if(|offset| start_ns + **offset <= now && count < JOINED_IN_A_ROW)
        {
            if count % JOINED == 0 {
                self.hand_over(link, &mut pass.run);
                link = self.next_link();
            }
            due[count] = start_ns + offset;
            self.send(link, due[count], now, &mut pass.run);
            count += 1;
        }
        if count == 0 {
            return;
        }
        self.hand_over(link, &mut pass.run);
        let after = clock::now();
        for at in &due[..count] {
            if *at >= pass.run.from_ns {
                pass.run.out.lag.record(after - at);
            }
        }
    }

    fn over(&mut self, pass: &mut Pass<'_>) -> Result<Next, LoadError> {
        pass.run.mark(clock::now(), self.target.pid);
        pass.over = true;
        // An expiry that nobody takes back would keep every wait from waiting.
        self.timer.arm(NEVER_NS)?;
        Ok(Next::Over)
    }
}

impl Pass<'_> {
    /// Moves the whole of it, before it has begun.
    fn begin_at(&mut self, start_ns: u64, window: &Window) {
        let measure = self.run.until_ns - self.run.from_ns;
        self.start_ns = start_ns;
        self.run.from_ns = start_ns + length(window.warm);
        self.run.until_ns = self.run.from_ns + measure;
    }
}
