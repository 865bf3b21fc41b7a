//! The generator straight at a bank.

use super::super::bank::Bank;
use super::super::recording::Progress;
use super::super::schedule::Schedule;
use super::*;
use std::sync::Arc;

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
        timeout: None,
        record: None,
        joined: false,
        progress: None,
    }
}

fn sums_up(out: &Outcome) {
    let ends = out.answered + out.other_code + out.wrong + out.missing + out.closed + out.not_sent;
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

fn recorded(timeout_ms: u64) -> Window {
    Window {
        timeout: Some(Duration::from_millis(timeout_ms)),
        record: Some(Duration::from_millis(50)),
        ..window(0)
    }
}

#[test]
fn a_time_out_counts_as_its_deadline_and_a_late_answer_apart() -> Result<(), LoadError> {
    let bank = Bank::open("127.0.0.1:0", None, true, false)?;
    let mut generator = Generator::connect(target(bank.address(), 2))?;
    let out = generator.open(&Schedule::constant(500.0, 0.4)?, &recorded(100))?;
    sums_up(&out);
    assert_eq!((out.missing, out.late), (200, 0));
    // Not when the drain ended, as without a deadline.
    let median = out.latency.quantile(0.5);
    assert!((100_000_000..150_000_000).contains(&median), "{median}");
    let recording = out
        .recording
        .as_deref()
        .ok_or(LoadError::Usage(String::new()))?;
    assert_eq!(
        recording.sent.total().quantile(1.0),
        recording.sent.total().quantile(0.0)
    );
    assert_eq!(recording.counts.timeouts, recording.counts.offered);
    assert!(recording.counts.offered < 200, "the warm-up is not counted");
    assert_eq!(recording.told.len(), 200);
    assert!(recording.told.iter().all(|told| told.how == How::GivenUp));
    assert_eq!(unknown(&out).len(), 200);
    let errors: u32 = recording.timeline.iter().map(|moment| moment.errors).sum();
    assert_eq!(u64::from(errors), recording.counts.timeouts);
    Ok(())
}

#[test]
fn what_was_given_up_is_reversed_until_it_is_acknowledged() -> Result<(), LoadError> {
    let bank = Bank::open("127.0.0.1:0", None, true, false)?;
    let mut generator = Generator::connect(target(bank.address(), 2))?;
    let out = generator.open(&Schedule::constant(500.0, 0.2)?, &recorded(50))?;
    let serials = unknown(&out);
    let done = generator.reverse(&serials, out.date_s, Duration::from_secs(3))?;
    assert_eq!(done.len(), 100);
    assert!(done.iter().all(|one| one.code == *b"00"));
    let lines = bank.bookings();
    assert_eq!(lines.len(), 200);
    // Silence held nothing.
    assert!(
        lines[100..]
            .iter()
            .all(|line| line.saw == super::super::ledger::Saw::Nothing)
    );
    let after = generator.open(&Schedule::constant(500.0, 0.1)?, &recorded(50))?;
    assert!(after.first_serial >= out.first_serial + 200);
    Ok(())
}

#[test]
fn both_times_are_kept_and_the_timeline_adds_up() -> Result<(), LoadError> {
    let bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
    let mut generator = Generator::connect(target(bank.address(), 4))?;
    let progress = Arc::new(Progress::default());
    let watched = Window {
        progress: Some(Arc::clone(&progress)),
        ..recorded(1000)
    };
    let out = generator.open(&Schedule::poisson(2000.0, 0.5, 3)?, &watched)?;
    assert!(out.is_clean(), "{out:?}");
    let recording = out
        .recording
        .as_deref()
        .ok_or(LoadError::Usage(String::new()))?;
    let counts = recording.counts;
    assert_eq!(counts.offered, counts.answered);
    assert_eq!(recording.due.total().count(), counts.offered);
    assert_eq!(recording.sent.total().count(), counts.offered);
    // From due is never shorter than from sent.
    for q in [0.1, 0.5, 0.9, 1.0] {
        assert!(recording.due.total().quantile(q) >= recording.sent.total().quantile(q));
    }
    let offered: u32 = recording.timeline.iter().map(|moment| moment.offered).sum();
    assert_eq!(u64::from(offered), counts.offered);
    assert!(
        (9..=11).contains(&recording.timeline.len()),
        "{}",
        recording.timeline.len()
    );
    assert_eq!(
        progress.offered.load(std::sync::atomic::Ordering::Relaxed),
        out.offered
    );
    assert!(out.own_cpu_ns > 0 && out.own_cpu_ns <= out.own_ns);
    Ok(())
}

#[test]
fn a_window_that_is_told_to_end_ends() -> Result<(), LoadError> {
    let bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
    let mut generator = Generator::connect(target(bank.address(), 2))?;
    let progress = Arc::new(Progress::default());
    let watched = Window {
        progress: Some(Arc::clone(&progress)),
        ..recorded(1000)
    };
    let ender = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        progress.stop();
    });
    let out = generator.open(&Schedule::constant(200.0, 30.0)?, &watched)?;
    let _ = ender.join();
    assert!(out.offered < 2000 && out.offered > 20, "{}", out.offered);
    assert!(out.is_clean() && out.elapsed_ns < 5_000_000_000);
    Ok(())
}

#[test]
fn a_lost_connection_comes_back() -> Result<(), LoadError> {
    let mut bank = Bank::start("127.0.0.1:0", Some(*b"00"))?;
    let address = bank.address();
    let mut generator = Generator::connect(target(address, 2))?;
    bank.stop();
    let out = generator.open(&Schedule::constant(200.0, 0.1)?, &recorded(100))?;
    sums_up(&out);
    assert_eq!(out.answered, 0);
    let _again = Bank::start(&address.to_string(), Some(*b"00"))?;
    generator.reconnect(Duration::from_secs(2))?;
    assert!(
        generator
            .open(&Schedule::constant(200.0, 0.1)?, &recorded(100))?
            .is_clean()
    );
    Ok(())
}
