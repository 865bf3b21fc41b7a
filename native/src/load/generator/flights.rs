//! What is in flight: a place for each STAN, and a queue in which deadlines pass in order.

use std::collections::VecDeque;

use super::super::maker::{self, STAN_MAX};

/// One request on its way.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flight {
    pub serial: u64,
    pub due_ns: u64,
    pub sent_ns: u64,
    /// Number of its link plus one; 0: nothing in flight under this STAN.
    pub link: u32,
    /// Its deadline has passed: an answer is late.
    pub given_up: bool,
}

/// All of them. A STAN comes back after a million requests.
#[derive(Debug)]
pub struct Flights {
    table: Vec<Flight>,
    waiting: u64,
    /// Time of sending and serial number; kept only when there are deadlines.
    queue: VecDeque<(u64, u64)>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            table: vec![Flight::default(); STAN_MAX as usize + 1],
            waiting: 0,
            queue: VecDeque::new(),
        }
    }
}

impl Flights {
    /// Requests that still may be answered in time.
    pub fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether nothing waits under the STAN of this serial number.
    pub fn is_free(&self, serial: u64) -> bool {
        let flight = &self.table[maker::stan(serial) as usize];
        flight.link == 0 || flight.given_up
    }

    /// `timed`: it has a deadline.
    pub fn put(&mut self, flight: Flight, timed: bool) {
        self.table[maker::stan(flight.serial) as usize] = flight;
        self.waiting += 1;
        if timed {
            self.queue.push_back((flight.sent_ns, flight.serial));
        }
    }

    /// The one under a STAN, taken out.
    pub fn take(&mut self, stan: u64) -> Option<Flight> {
        let place = self.table.get_mut(usize::try_from(stan).ok()?)?;
        if place.link == 0 {
            return None;
        }
        let flight = std::mem::take(place);
        self.waiting -= u64::from(!flight.given_up);
        Some(flight)
    }

    /// The next one that was sent at `sent_ns` or before and has no answer: from now on it is given up.
    pub fn expire(&mut self, sent_ns: u64) -> Option<Flight> {
        while self.queue.front().is_some_and(|(sent, _)| *sent <= sent_ns) {
            let Some((_, serial)) = self.queue.pop_front() else {
                break;
            };
            let flight = &mut self.table[maker::stan(serial) as usize];
            if flight.link != 0 && flight.serial == serial && !flight.given_up {
                flight.given_up = true;
                self.waiting -= 1;
                return Some(*flight);
            }
        }
        None
    }

    /// Those that `which` chooses and that still wait, taken out; what was given up is forgotten with them.
    pub fn remove(&mut self, which: impl Fn(&Flight) -> bool) -> Vec<Flight> {
        let mut removed = Vec::new();
        for place in &mut self.table {
            if place.link != 0 && which(place) {
                let flight = std::mem::take(place);
                if !flight.given_up {
                    self.waiting -= 1;
                    removed.push(flight);
                }
            }
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(serial: u64, sent_ns: u64) -> Flight {
        Flight {
            serial,
            sent_ns,
            due_ns: sent_ns,
            link: 1,
            given_up: false,
        }
    }

    #[test]
    fn deadlines_pass_in_order_and_spare_what_was_answered() {
        let mut flights = Flights::default();
        for serial in 1..=4 {
            flights.put(flight(serial, 10 * serial), true);
        }
        assert!(flights.take(maker::stan(2)).is_some());
        let expired: Vec<u64> = std::iter::from_fn(|| flights.expire(30))
            .map(|f| f.serial)
            .collect();
        assert_eq!(expired, [1, 3]);
        assert_eq!(flights.waiting(), 1);
        // Late: known, but no longer waited for.
        assert!(flights.take(maker::stan(1)).is_some_and(|f| f.given_up));
        assert_eq!(flights.waiting(), 1);
        assert_eq!(flights.remove(|_| true).len(), 1);
        assert_eq!(flights.waiting(), 0);
    }

    #[test]
    fn a_stan_that_was_given_up_may_be_used_again() {
        let mut flights = Flights::default();
        flights.put(flight(1, 5), true);
        assert!(!flights.is_free(1));
        assert!(flights.expire(5).is_some());
        assert!(flights.is_free(1 + STAN_MAX));
        flights.put(flight(1 + STAN_MAX, 9), true);
        assert_eq!(
            flights.take(maker::stan(1)).map(|f| f.serial),
            Some(1 + STAN_MAX)
        );
        assert!(flights.expire(100).is_none());
    }
}
