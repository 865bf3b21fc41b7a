//! What a terminal does about a request whose outcome it does not know: it reverses it until that is acknowledged.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::super::clock;
use super::super::maker::{self, Maker};
use super::answer::Answer;
use super::{Generator, LoadError, length};

/// Reversals in flight at a time: an end to a run, not a load.
const AT_ONCE: usize = 64;
/// Until a reversal is repeated under its own numbers.
const REPEAT_NS: u64 = 1_000_000_000;

/// One reversal that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reversed {
    pub serial: u64,
    pub code: [u8; 2],
}

struct Pending {
    serial: u64,
    own: u64,
    sent_ns: u64,
    again: bool,
}

impl Generator {
    /// Reverses requests of the window that was dated `date_s`: 0420, then 0421 with the same numbers. Ends when
    /// all are acknowledged, or after `patience`; what is not in the answer is still owed.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn reverse(
        &mut self,
        serials: &[u64],
        date_s: u64,
        patience: Duration,
    ) -> Result<Vec<Reversed>, LoadError> {
        let taps = self.target.taps.clone();
        let code = self.target.acquirer_code.clone();
        let mut maker = Maker::new(self.target.issuer, &code, date_s, taps);
        let until = clock::now() + length(patience);
        let mut queue: VecDeque<Pending> = serials
            .iter()
            .map(|serial| Pending {
                serial: *serial,
                own: 0,
                sent_ns: 0,
                again: false,
            })
            .collect();
        let mut pending: HashMap<u64, Pending> = HashMap::new();
        let mut done = Vec::new();
        while done.len() < serials.len() && clock::now() < until && !self.all_closed() {
            while pending.len() < AT_ONCE {
                let Some(one) = queue.pop_front() else {
                    break;
                };
                let one = self.send_reversal(&mut maker, one);
                pending.insert(maker::stan(one.own), one);
            }
            self.hear(&mut pending, &mut done)?;
            let now = clock::now();
            let slow: Vec<u64> = pending
                .iter()
                .filter(|(_, one)| now.saturating_sub(one.sent_ns) > REPEAT_NS)
                .map(|(stan, _)| *stan)
                .collect();
            queue.extend(slow.iter().filter_map(|stan| pending.remove(stan)));
        }
        Ok(done)
    }

    fn send_reversal(&mut self, maker: &mut Maker, mut one: Pending) -> Pending {
        let mti = if one.again { *b"0421" } else { *b"0420" };
        if !one.again {
            one.own = self.serial;
            self.serial += 1;
        }
        let frame = maker.reversal(one.serial, one.own, mti, maker.transmission_time());
        let number = self.next_link();
        self.links[number].send(&frame);
        one.again = true;
        one.sent_ns = clock::now();
        one
    }

    fn hear(
        &mut self,
        pending: &mut HashMap<u64, Pending>,
        done: &mut Vec<Reversed>,
    ) -> Result<(), LoadError> {
        let mut ready = std::mem::take(&mut self.ready);
        self.poll
            .wait(&mut ready, Some(Duration::from_millis(20)))?;
        let known = self.links.len();
        for number in ready.iter().filter(|number| **number < known) {
            if !self.take_in(*number) {
                continue;
            }
            while let Some(place) = self.links[*number].next_body() {
                if self.answered_network(*number, place) {
                    continue;
                }
                let answer = Answer::read(self.links[*number].body(place), *b"0430");
                if !answer.is_reply {
                    // A late answer to what is being reversed.
                    continue;
                }
                if let Some(one) = pending.remove(&answer.stan) {
                    done.push(Reversed {
                        serial: one.serial,
                        code: answer.code,
                    });
                }
            }
            if self.links[*number].closed {
                self.poll.remove(self.links[*number].stream());
            }
        }
        self.ready = ready;
        Ok(())
    }
}
