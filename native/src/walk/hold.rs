//! Built frames that wait for their record to be on disk: one buffer and one queue per connection.
//!
//! Frames of one connection leave in the order in which they were held. A frame needs the record with number `lsn` to
//! be durable; 0 needs none. A connection is named by a number that is never used again, so what is held for one that
//! has gone can never reach a stranger.

use std::collections::{HashSet, VecDeque};

use crate::simulation::mutant::{self, Mutant};

/// Largest buffer that an emptied connection keeps. A burst may need more; it is given back.
const IDLE_BYTES_MAX: usize = 256 * 1024;
/// Most connections at one time: the low bits of a slot's number.
pub const SLOTS_MAX: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 20;

/// Number of a connection: place in the low bits, generation above.
pub type SlotId = u64;

/// What a frame is, as far as holding is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A request to a bank: may move to another connection while it is unsent.
    Request,
    /// A reversal or an advice to a bank; whoever repeats it builds it again.
    Delivery,
    /// An answer of the engine to an acquirer.
    Answer { approval: bool },
    /// An answer that touched no state.
    Refusal,
    /// Network management.
    Network,
}

/// One frame of known length in its connection's buffer. `T` is what the caller wants back when it leaves.
#[derive(Debug)]
pub struct Frame<T> {
    pub lsn: u64,
    pub txn: u64,
    pub role: Role,
    pub ticket: T,
    length: usize,
}

struct Slot<T, L> {
    generation: u64,
    open: bool,
    /// Listed in `ready`.
    listed: bool,
    institution: u16,
    link: Option<L>,
    bytes: Vec<u8>,
    frames: VecDeque<Frame<T>>,
}

/// All connections and what is held for them.
pub struct Hold<T, L> {
    slots: Vec<Slot<T, L>>,
    free: Vec<usize>,
    /// Places with something held.
    waiting: Vec<usize>,
    held: usize,
    /// Those of them that stand on a record.
    recorded: usize,
    /// Up to where `release` has looked.
    released: u64,
}

impl<T, L> Default for Hold<T, L> {
    fn default() -> Self {
        Hold {
            slots: Vec::new(),
            free: Vec::new(),
            waiting: Vec::new(),
            held: 0,
            recorded: 0,
            released: 0,
        }
    }
}

impl<T, L> Hold<T, L> {
    /// A number for a new connection, and what its owner wants to know of it; None when there are `SLOTS_MAX` of them.
    pub fn attach(&mut self, institution: u16, link: L) -> Option<SlotId> {
        let place = match self.free.pop() {
            Some(place) => place,
            None if self.slots.len() < SLOTS_MAX => {
                self.slots.push(Slot {
                    generation: 0,
                    open: false,
                    listed: false,
                    institution: 0,
                    link: None,
                    bytes: Vec::new(),
                    frames: VecDeque::new(),
                });
                self.slots.len() - 1
            }
            None => return None,
        };
        let slot = self.slots.get_mut(place)?;
        slot.open = true;
        slot.institution = institution;
        slot.link = Some(link);
        Some(slot.generation << INDEX_BITS | place as u64)
    }

    /// The connection has gone: gives back what was held for it, in order. Its number is dead from now on.
    pub fn detach(&mut self, id: SlotId) -> VecDeque<Frame<T>> {
        let Some(slot) = self.slot_mut(id) else {
            return VecDeque::new();
        };
        slot.open = false;
        slot.link = None;
        slot.generation += 1;
        slot.bytes = Vec::new();
        let frames = std::mem::take(&mut slot.frames);
        self.held -= frames.len();
        self.recorded -= frames.iter().filter(|frame| frame.lsn > 0).count();
        self.free.push(place(id));
        frames
    }

    /// Institution of an open connection.
    pub fn institution(&self, id: SlotId) -> Option<u16> {
        self.slot(id).map(|slot| slot.institution)
    }

    /// What was given with an open connection.
    pub fn link(&self, id: SlotId) -> Option<&L> {
        self.slot(id).and_then(|slot| slot.link.as_ref())
    }

    /// Frames held in all.
    pub fn held(&self) -> usize {
        self.held
    }

    /// Frames that wait for a record of theirs to be durable.
    pub fn recorded(&self) -> usize {
        self.recorded
    }

    /// Transactions of which an answer is held for any connection. Walks all that is held.
    pub fn answers(&self) -> HashSet<u64> {
        let waiting = self.waiting.iter().filter_map(|at| self.slots.get(*at));
        waiting
            .flat_map(|slot| &slot.frames)
            .filter(|frame| matches!(frame.role, Role::Answer { .. }))
            .map(|frame| frame.txn)
            .collect()
    }

    /// Bytes held for one connection.
    pub fn held_bytes(&self, id: SlotId) -> usize {
        self.slot(id).map_or(0, |slot| slot.bytes.len())
    }

    /// The buffer into which the next frame of an open connection is built; `keep` or `discard` must follow.
    pub fn buffer(&mut self, id: SlotId) -> Option<&mut Vec<u8>> {
        self.slot_mut(id).map(|slot| &mut slot.bytes)
    }

    /// Holds what was built from `start` of the connection's buffer on.
    pub fn keep(&mut self, id: SlotId, start: usize, lsn: u64, txn: u64, role: Role, ticket: T) {
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        let length = slot.bytes.len().saturating_sub(start);
        slot.frames.push_back(Frame {
            lsn,
            txn,
            role,
            ticket,
            length,
        });
        self.held += 1;
        self.recorded += usize::from(lsn > 0);
        self.list(place(id));
    }

    /// Forgets what was built from `start` on.
    pub fn discard(&mut self, id: SlotId, start: usize) {
        if let Some(slot) = self.slot_mut(id) {
            slot.bytes.truncate(start);
        }
    }

    /// Moves unsent requests to another connection of the same institution; returns how many, 0 when the other is not
    /// open or of another institution.
    pub fn retarget(&mut self, id: SlotId, other: SlotId) -> usize {
        let same =
            self.institution(id).is_some() && self.institution(id) == self.institution(other);
        if !same || id == other {
            return 0;
        }
        let Some(slot) = self.slot_mut(id) else {
            return 0;
        };
        let (mut bytes, mut moved, mut start) = (Vec::new(), VecDeque::new(), 0);
        let (mut kept_bytes, mut kept) = (Vec::new(), VecDeque::new());
        for frame in std::mem::take(&mut slot.frames) {
            let end = start + frame.length;
            let body = slot.bytes.get(start..end).unwrap_or(&[]);
            if frame.role == Role::Request {
                bytes.extend_from_slice(body);
                moved.push_back(frame);
            } else {
                kept_bytes.extend_from_slice(body);
                kept.push_back(frame);
            }
            start = end;
        }
        slot.bytes = kept_bytes;
        slot.frames = kept;
        let count = moved.len();
        if let Some(target) = self.slot_mut(other) {
            target.bytes.extend_from_slice(&bytes);
            target.frames.append(&mut moved);
        }
        if count > 0 {
            self.list(place(other));
        }
        count
    }

    /// Drops a held request; None when it has left (or was never held) there.
    pub fn cancel(&mut self, id: SlotId, txn: u64) -> Option<Frame<T>> {
        let slot = self.slot_mut(id)?;
        let mut start = 0;
        let at = slot.frames.iter().position(|frame| {
            let found = frame.role == Role::Request && frame.txn == txn;
            start += if found { 0 } else { frame.length };
            found
        })?;
        let frame = slot.frames.remove(at)?;
        let end = (start + frame.length).min(slot.bytes.len());
        slot.bytes.drain(start.min(end)..end);
        self.held -= 1;
        self.recorded -= usize::from(frame.lsn > 0);
        Some(frame)
    }

    /// Something that stands on a record may go since `release` looked, if all up to `synced` is durable.
    pub fn is_due(&self, synced: u64) -> bool {
        self.recorded > 0 && synced != self.released
    }

    /// Hands out what may go, one run of bytes per connection: `leave` is called for each frame in order, then `write`
    /// once with all their bytes. A connection whose `write` refuses (its runtime is out of memory) keeps nothing.
    pub fn release<E>(
        &mut self,
        synced: u64,
        mut leave: impl FnMut(u16, &mut Frame<T>, usize),
        mut write: impl FnMut(SlotId, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut result = Ok(());
        self.released = synced;
        let (slots, held, recorded) = (&mut self.slots, &mut self.held, &mut self.recorded);
        self.waiting.retain(|place| {
            let Some(slot) = slots.get_mut(*place) else {
                return false;
            };
            let mut bytes = 0;
            while let Some(frame) = slot
                .frames
                .front_mut()
                .filter(|frame| frame.lsn <= synced || early(frame.role))
            {
                bytes += frame.length;
                leave(slot.institution, frame, frame.length);
                *recorded -= usize::from(frame.lsn > 0);
                slot.frames.pop_front();
                *held -= 1;
            }
            if bytes > 0 {
                let id = slot.generation << INDEX_BITS | *place as u64;
                let written = write(id, slot.bytes.get(..bytes).unwrap_or(&[]));
                if written.is_err() {
                    result = written;
                }
                consume(&mut slot.bytes, bytes);
            }
            slot.listed = !slot.frames.is_empty();
            slot.listed
        });
        result
    }

    fn list(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place).filter(|slot| !slot.listed) {
            slot.listed = true;
            self.waiting.push(place);
        }
    }

    fn slot(&self, id: SlotId) -> Option<&Slot<T, L>> {
        self.slots
            .get(place(id))
            .filter(|slot| slot.open && slot.generation == id >> INDEX_BITS)
    }

    fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot<T, L>> {
        self.slots
            .get_mut(place(id))
            .filter(|slot| slot.open && slot.generation == id >> INDEX_BITS)
    }
}

fn place(id: SlotId) -> usize {
    (id & (SLOTS_MAX as u64 - 1)) as usize
}

fn consume(buffer: &mut Vec<u8>, bytes: usize) {
    if bytes < buffer.len() {
        buffer.drain(..bytes);
        return;
    }
    buffer.clear();
    if buffer.capacity() > IDLE_BYTES_MAX {
        buffer.shrink_to(IDLE_BYTES_MAX);
    }
}

/// Whether a frame leaves before its record is durable: never, but for a defect of a simulation.
fn early(role: Role) -> bool {
    match role {
        Role::Request => mutant::on(Mutant::RequestBeforeSync),
        Role::Answer { .. } => mutant::on(Mutant::AnswerBeforeSync),
        Role::Delivery => mutant::on(Mutant::ReversalBeforeSync),
        Role::Refusal | Role::Network => false,
    }
}

/// Whether something may leave before its record is durable: never, but for a defect of a simulation.
pub(super) fn any_early() -> bool {
    early(Role::Request) || early(Role::Answer { approval: true }) || early(Role::Delivery)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hold(h: &mut Hold<u64, ()>, id: SlotId, lsn: u64, txn: u64, role: Role, body: &[u8]) {
        let Some(buffer) = h.buffer(id) else { return };
        let start = buffer.len();
        buffer.extend_from_slice(body);
        h.keep(id, start, lsn, txn, role, txn);
    }

    fn release(h: &mut Hold<u64, ()>, synced: u64) -> Vec<(SlotId, Vec<u8>)> {
        let mut out = Vec::new();
        let done: Result<(), ()> = h.release(
            synced,
            |_, frame, _| assert!(frame.lsn <= synced),
            |id, bytes| {
                out.push((id, bytes.to_vec()));
                Ok(())
            },
        );
        done.unwrap();
        out
    }

    const ANSWER: Role = Role::Answer { approval: true };

    #[test]
    fn nothing_leaves_before_its_record_and_one_write_joins_what_may() {
        let mut h = Hold::default();
        let (a, b) = (h.attach(1, ()).unwrap(), h.attach(2, ()).unwrap());
        hold(&mut h, a, 1, 1, Role::Request, b"one");
        hold(&mut h, b, 2, 2, ANSWER, b"two");
        hold(&mut h, a, 3, 3, Role::Request, b"three");
        hold(&mut h, a, 0, 4, Role::Network, b"echo");
        assert_eq!(release(&mut h, 0), []);
        assert_eq!(
            release(&mut h, 2),
            [(a, b"one".to_vec()), (b, b"two".to_vec())]
        );
        assert_eq!((h.held(), h.held_bytes(a)), (2, 9));
        assert_eq!(release(&mut h, 3), [(a, b"threeecho".to_vec())]);
        assert_eq!((h.held(), h.held_bytes(a)), (0, 0));
    }

    #[test]
    fn what_waits_for_a_record_is_due_once_more_of_them_is_durable_than_was_looked_at() {
        let mut h = Hold::default();
        let a = h.attach(1, ()).unwrap();
        hold(&mut h, a, 0, 1, Role::Refusal, b"no record");
        assert!(!h.is_due(5), "nothing stands on a record");
        hold(&mut h, a, 6, 2, ANSWER, b"six");
        release(&mut h, 5);
        assert!(!h.is_due(5) && h.is_due(6));
        release(&mut h, 6);
        assert!(!h.is_due(7), "it has left");
    }

    #[test]
    fn a_gone_connection_is_a_sink_and_its_number_is_never_used_again() {
        let mut h = Hold::default();
        let a = h.attach(1, ()).unwrap();
        hold(&mut h, a, 1, 7, ANSWER, b"x");
        let gone: Vec<u64> = h.detach(a).iter().map(|f| f.txn).collect();
        assert_eq!(gone, [7]);
        let b = h.attach(2, ()).unwrap();
        assert_ne!(a, b);
        hold(&mut h, a, 1, 8, ANSWER, b"for a stranger");
        hold(&mut h, b, 1, 9, ANSWER, b"mine");
        assert_eq!(release(&mut h, 9), [(b, b"mine".to_vec())]);
        assert!(h.detach(a).is_empty() && h.institution(a).is_none());
    }

    #[test]
    fn unsent_requests_move_to_a_sister_and_nothing_else_does() {
        let mut h = Hold::default();
        let (a, b, c) = (
            h.attach(1, ()).unwrap(),
            h.attach(1, ()).unwrap(),
            h.attach(2, ()).unwrap(),
        );
        hold(&mut h, a, 1, 1, Role::Network, b"n");
        hold(&mut h, a, 2, 2, Role::Request, b"rr");
        hold(&mut h, a, 3, 3, Role::Delivery, b"vvv");
        hold(&mut h, a, 4, 4, Role::Request, b"ssss");
        assert_eq!(
            (h.retarget(a, c), h.retarget(a, a), h.retarget(a, 99)),
            (0, 0, 0)
        );
        assert_eq!(h.retarget(a, b), 2);
        assert_eq!(
            release(&mut h, 9),
            [(a, b"nvvv".to_vec()), (b, b"rrssss".to_vec())]
        );
    }

    #[test]
    fn a_cancelled_request_never_leaves_and_its_neighbours_do() {
        let mut h = Hold::default();
        let a = h.attach(1, ()).unwrap();
        hold(&mut h, a, 1, 1, Role::Request, b"a");
        hold(&mut h, a, 2, 2, Role::Request, b"bb");
        hold(&mut h, a, 3, 3, Role::Request, b"ccc");
        assert_eq!(h.cancel(a, 2).map(|f| f.ticket), Some(2));
        assert!(h.cancel(a, 2).is_none());
        assert_eq!(release(&mut h, 3), [(a, b"accc".to_vec())]);
        assert!(h.cancel(a, 1).is_none(), "it has left");
    }

    #[test]
    fn a_discarded_frame_leaves_no_bytes() {
        let mut h: Hold<u64, ()> = Hold::default();
        let a = h.attach(1, ()).unwrap();
        h.buffer(a).unwrap().extend_from_slice(b"half");
        h.discard(a, 0);
        assert_eq!((h.held_bytes(a), h.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn each_connection_gets_its_frames_in_order_and_none_early(
            acts in prop::collection::vec((0usize..4, 0u64..3, 0u8..8), 0..120),
        ) {
            let mut h = Hold::default();
            let ids: Vec<SlotId> = (0..4).map(|i| h.attach(i / 2, ()).unwrap()).collect();
            let (mut lsn, mut synced) = (0u64, 0u64);
            let mut expected: Vec<VecDeque<(u64, Vec<u8>)>> = vec![VecDeque::new(); 4];
            let mut sent: Vec<Vec<u8>> = vec![Vec::new(); 4];
            for (n, (slot, step, act)) in acts.into_iter().enumerate() {
                if act < 6 {
                    lsn += step;
                    let body = format!("<{n}>").into_bytes();
                    let needs = if act == 0 { 0 } else { lsn };
                    hold(&mut h, ids[slot], needs, n as u64, Role::Request, &body);
                    expected[slot].push_back((needs, body));
                } else {
                    synced = (synced + step).min(lsn);
                    for (id, bytes) in release(&mut h, synced) {
                        sent[ids.iter().position(|i| *i == id).unwrap()].extend(bytes);
                    }
                    for (queue, got) in expected.iter_mut().zip(&mut sent) {
                        let mut should = Vec::new();
                        while queue.front().is_some_and(|(needs, _)| *needs <= synced) {
                            should.extend(queue.pop_front().unwrap().1);
                        }
                        prop_assert_eq!(&std::mem::take(got), &should);
                    }
                }
                prop_assert_eq!(h.held(), expected.iter().map(VecDeque::len).sum::<usize>());
                let recorded = expected.iter().flatten().filter(|(needs, _)| *needs > 0).count();
                prop_assert_eq!(h.recorded(), recorded);
            }
        }
    }
}
