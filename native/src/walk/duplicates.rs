//! Request keys that were seen, with the answer each got: a ring of fixed slots and an open-addressing index.
//!
//! Everything is allocated at the start. An insertion takes the oldest slot and evicts at most its one entry: there is
//! no sweep, because bulk work is what makes a tail (design/walk.md, answer 8). Entries in flight are passed over, so
//! the caller keeps the number of requests in flight far below the capacity. A slot has a generation, so a handle that
//! a message keeps is either good or known to be stale.

use super::digest::{CardRef, Digest};
use super::state::KeyState;
use super::veil::{VEIL_BYTES, Veil};
use crate::buf::prefetch;
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::tap::Tap;

/// Longest field 54 that is kept for a repeat (two amounts of 20). A longer one is left out of the repeated answer.
pub const AMOUNTS_BYTES_MAX: usize = 40;
/// Issuer authentication data that are kept (tag 91 by either method).
pub const AUTH_BYTES_MAX: usize = 10;
/// Most slots of a table, so that an index entry fits one word.
pub const CAPACITY_MAX: usize = 1 << 26;

/// What is remembered of one request. Fields of the wire are in normal form; zero bytes mean absent.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Entry {
    pub key: Digest,
    pub body: Digest,
    pub card: CardRef,
    pub txn: u64,
    pub amount: u64,
    /// Record it stands on; 0 while only claimed.
    pub lsn: u64,
    /// Unix seconds of the claim.
    pub at_s: u32,
    /// Our STAN towards the bank, 0 when it never went there.
    pub out_stan: u32,
    /// Of a proved tap: version of the token's mapping that was in force.
    pub mapping_version: u32,
    pub acquirer: u16,
    /// `NO_ISSUER` when it never went to a bank.
    pub issuer: u16,
    /// Of a proved tap: transaction counter.
    pub atc: u16,
    /// Of a proved tap: sequence number of the token.
    pub token_sequence: u8,
    /// A tap that was proved; its card is veiled. Else the card's number was the message's own.
    pub tapped: bool,
    pub state: KeyState,
    /// `switch.model.kind.Kind`.
    pub kind: u8,
    pub out_time: [u8; 10],
    /// MTI under which it went to the bank.
    pub out_mti: [u8; 4],
    pub business_date: [u8; 8],
    pub code: [u8; 2],
    pub auth_code: [u8; 6],
    pub settlement_date: [u8; 4],
    /// What a bank's reversal repeats of the request, though the acquirer's reversal of it may lack it.
    pub rrn: [u8; 12],
    pub currency: [u8; 3],
    pub local_time: [u8; 6],
    pub local_date: [u8; 4],
    /// The card behind the token, see `veil`: what a later reversal names towards the bank.
    pub veiled: [u8; VEIL_BYTES],
    pub(super) auth_length: u8,
    pub(super) auth: [u8; AUTH_BYTES_MAX],
    pub(super) amounts_length: u8,
    pub(super) amounts: [u8; AMOUNTS_BYTES_MAX],
}

/// Issuer of an entry that never went to a bank.
pub const NO_ISSUER: u16 = u16::MAX;

impl Entry {
    /// `message`, whose body has this digest, says the same as the request that stands here: equal fields alone do not
    /// make a purchase the repeat of a completion.
    #[inline]
    pub fn same_as(&self, message: &Message, body: &Digest) -> bool {
        self.body == *body && message.kind().repeats(self.kind)
    }

    /// A key that has just been claimed.
    pub fn claimed(key: Digest, body: Digest, card: CardRef, txn: u64, at_s: u32) -> Entry {
        Entry {
            key,
            body,
            card,
            txn,
            amount: 0,
            lsn: 0,
            at_s,
            out_stan: 0,
            mapping_version: 0,
            acquirer: 0,
            issuer: NO_ISSUER,
            atc: 0,
            token_sequence: 0,
            tapped: false,
            state: KeyState::InFlight,
            kind: 0,
            out_time: [0; 10],
            out_mti: [0; 4],
            business_date: [0; 8],
            code: [0; 2],
            auth_code: [0; 6],
            settlement_date: [0; 4],
            rrn: [0; 12],
            currency: [0; 3],
            local_time: [0; 6],
            local_date: [0; 4],
            veiled: [0; VEIL_BYTES],
            auth_length: 0,
            auth: [0; AUTH_BYTES_MAX],
            amounts_length: 0,
            amounts: [0; AMOUNTS_BYTES_MAX],
        }
    }

    /// Field 54 as it will be repeated.
    pub fn amounts(&self) -> &[u8] {
        self.amounts
            .get(..usize::from(self.amounts_length))
            .unwrap_or(&[])
    }

    /// Keeps field 54, or nothing of it when it is too long.
    pub fn set_amounts(&mut self, value: &[u8]) {
        self.amounts_length = 0;
        if let Some(place) = self.amounts.get_mut(..value.len()) {
            place.copy_from_slice(value);
            self.amounts_length = value.len() as u8;
        }
    }

    /// Issuer authentication data as they will be repeated; empty when there are none.
    pub fn issuer_auth(&self) -> &[u8] {
        self.auth
            .get(..usize::from(self.auth_length))
            .unwrap_or(&[])
    }

    /// Keeps them, or nothing of them when they are too long.
    pub fn set_issuer_auth(&mut self, value: &[u8]) {
        self.auth_length = 0;
        if let Some(place) = self.auth.get_mut(..value.len()) {
            place.copy_from_slice(value);
            self.auth_length = value.len() as u8;
        }
    }

    /// Keeps what was proved of the request.
    pub fn keep_tap(&mut self, tap: &Tap, veil: &Veil) {
        self.tapped = true;
        self.token_sequence = tap.token_sequence;
        self.atc = tap.atc;
        self.mapping_version = tap.mapping_version;
        self.veiled = veil.cover(&self.key, tap.card.pan());
    }

    /// Keeps what a later reversal repeats of the request; a value that is not of the field's length is left out.
    pub fn keep_request(&mut self, request: &Message) {
        self.rrn = exactly(request, Name::Rrn);
        self.currency = exactly(request, Name::Currency);
        self.local_time = exactly(request, Name::LocalTime);
        self.local_date = exactly(request, Name::LocalDate);
    }

    /// Keeps what a bank's answer says; a value that is not of the field's length is left out.
    pub fn keep_answer(&mut self, reply: &Message) {
        self.code = exactly(reply, Name::ResponseCode);
        self.auth_code = exactly(reply, Name::AuthCode);
        self.settlement_date = exactly(reply, Name::SettlementDate);
        self.set_amounts(&reply.value(Name::AdditionalAmounts).unwrap_or_default());
    }

    /// Replaces the answer by a code of ours.
    pub fn keep_code(&mut self, code: [u8; 2]) {
        self.code = code;
        self.auth_code = [0; 6];
        self.settlement_date = [0; 4];
        self.amounts_length = 0;
        self.auth_length = 0;
    }
}

fn exactly<const N: usize>(message: &Message, name: Name) -> [u8; N] {
    message
        .value(name)
        .and_then(|value| value.as_ref().try_into().ok())
        .unwrap_or([0; N])
}

/// The stored answer as the source of a repeated one.
impl Source for Entry {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let value: &[u8] = match name {
            Name::ResponseCode => &self.code,
            Name::AuthCode => &self.auth_code,
            Name::SettlementDate => &self.settlement_date,
            Name::AdditionalAmounts => self.amounts(),
            _ => return false,
        };
        if value.first().is_none_or(|first| *first == 0) {
            return false;
        }
        out.extend_from_slice(value);
        true
    }
}

/// Place and generation of an entry; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u64);

impl Handle {
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The handle of bits once given out; 0 is none.
    pub fn from_bits(bits: u64) -> Option<Handle> {
        (bits != 0).then_some(Handle(bits))
    }
}

struct Slot {
    generation: u32,
    used: bool,
    entry: Entry,
}

/// Figures about what had to go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    pub all: u64,
    /// Younger than what an acquirer may still repeat: the table is too small for the traffic.
    pub early: u64,
    /// Age of the last early one in seconds.
    pub early_age_s: u32,
    /// In flight: a repeat of it would go to the bank again, and its answer would find no place. Never, when settings
    /// keep the banks' in-flight caps below the capacity (`tapswitch check` does).
    pub in_flight: u64,
}

/// The table. See the module for what it promises.
pub struct Duplicates {
    slots: Vec<Slot>,
    /// Low half: slot + 1 (0: empty). High half: tag, from which the home position is computed too.
    index: Vec<u64>,
    next: usize,
    used: usize,
    retention_s: u32,
    early_s: u32,
    pub evictions: Evictions,
}

impl Duplicates {
    /// A table of `capacity` slots (1 to `CAPACITY_MAX`, about 220 bytes each plus 16 to 32 of index). Checkpoints carry
    /// entries younger than `retention_s`, and one of them that is evicted counts as early; see `keep`.
    pub fn new(capacity: usize, retention_s: u32) -> Duplicates {
        let capacity = capacity.clamp(1, CAPACITY_MAX);
        let blank = Entry::claimed([0; 16], [0; 16], [0; 8], 0, 0);
        let mut slots = Vec::with_capacity(capacity);
        slots.resize_with(capacity, || Slot {
            generation: 0,
            used: false,
            entry: blank,
        });
        Duplicates {
            slots,
            index: vec![0; (capacity * 2).next_power_of_two()],
            next: 0,
            used: 0,
            retention_s,
            early_s: retention_s,
            evictions: Evictions::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.used
    }

    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// The entry under a key.
    #[inline]
    pub fn find(&self, key: &Digest) -> Option<Handle> {
        let (tag, mut at) = self.home(key);
        loop {
            let word = *self.index.get(at)?;
            if word == 0 {
                return None;
            }
            if word >> 32 == tag {
                let slot = (word as u32).wrapping_sub(1) as usize;
                if self.slots.get(slot).is_some_and(|s| s.entry.key == *key) {
                    return self.handle(slot);
                }
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Asks for the place of a key to be at hand when it is looked for: the index is larger than any cache.
    #[inline]
    pub fn prefetch(&self, key: &Digest) {
        let (_, home) = self.home(key);
        if let Some(word) = self.index.get(home) {
            prefetch(word);
        }
    }

    /// The entry of a handle; None when its slot was given to another since.
    #[inline]
    pub fn get(&self, handle: Handle) -> Option<&Entry> {
        let slot = self.slots.get(place(handle))?;
        (slot.used && slot.generation == generation(handle)).then_some(&slot.entry)
    }

    /// As `get`, to settle it. The key must stay what it is.
    #[inline]
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(place(handle))?;
        (slot.used && slot.generation == generation(handle)).then_some(&mut slot.entry)
    }

    /// Remembers an entry whose key does not stand in the table yet (`find` first), in the place of the oldest.
    pub fn insert(&mut self, entry: Entry) -> Handle {
        let at = self.free_place(entry.at_s);
        let (tag, mut home) = self.home(&entry.key);
        while self.index.get(home).is_some_and(|word| *word != 0) {
            home = (home + 1) & self.mask();
        }
        if let Some(word) = self.index.get_mut(home) {
            *word = tag << 32 | (at as u64 + 1);
        }
        if let Some(slot) = self.slots.get_mut(at) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.used = true;
            slot.entry = entry;
        }
        self.used += 1;
        self.next = (at + 1) % self.slots.len();
        // The table is larger than any cache: the next insertion finds its place fetched already.
        if let Some(next) = self.slots.get(self.next) {
            prefetch(next);
        }
        self.handle(at).unwrap_or(Handle(u64::MAX))
    }

    /// Forgets an entry, as if it had never been there.
    pub fn remove(&mut self, handle: Handle) {
        let at = place(handle);
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        if slot.used && slot.generation == generation(handle) {
            slot.used = false;
            let key = slot.entry.key;
            self.used -= 1;
            self.unlink(&key, at);
        }
    }

    /// Where the oldest entry stands: a walk that starts here sees entries about in the order of their age.
    pub fn oldest(&self) -> usize {
        self.next
    }

    /// The entry in one place, for a checkpoint that walks the table in small steps; places wrap around.
    pub fn at(&self, place: usize) -> Option<&Entry> {
        let slot = self.slots.get(place % self.slots.len())?;
        slot.used.then_some(&slot.entry)
    }

    /// How old what checkpoints carry may be. In memory nothing lapses by its age.
    pub fn retention_s(&self) -> u32 {
        self.retention_s
    }

    /// From now on checkpoints carry what is younger than `retention_s`, and evicted early is what is younger than
    /// `early_s`.
    pub fn keep(&mut self, retention_s: u32, early_s: u32) {
        (self.retention_s, self.early_s) = (retention_s, early_s);
    }

    /// The place for the next entry, emptied: the oldest that is not in flight. However many in flight stand in its way,
    /// they are passed over once per turn of the ring, so that an insertion costs little on average.
    fn free_place(&mut self, now_s: u32) -> usize {
        let mut at = self.next;
        for _ in 0..self.slots.len() {
            match self.slots.get(at) {
                Some(slot) if slot.used && slot.entry.state == KeyState::InFlight => {
                    at = (at + 1) % self.slots.len();
                }
                _ => break,
            }
        }
        self.evict(at, now_s);
        at
    }

    fn evict(&mut self, at: usize, now_s: u32) {
        let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.used) else {
            return;
        };
        slot.used = false;
        let age = now_s.saturating_sub(slot.entry.at_s);
        self.evictions.all += 1;
        if age < self.early_s {
            self.evictions.early += 1;
            self.evictions.early_age_s = age;
        }
        if slot.entry.state == KeyState::InFlight {
            self.evictions.in_flight += 1;
        }
        let key = slot.entry.key;
        self.used -= 1;
        self.unlink(&key, at);
    }

    /// Takes a slot out of the index and moves those behind it up, so that no marks of deleted ones pile up.
    fn unlink(&mut self, key: &Digest, slot: usize) {
        let mask = self.mask();
        let (_, mut hole) = self.home(key);
        while self.index[hole] != 0 && self.index[hole] as u32 as usize != slot + 1 {
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let word = self.index[at];
            if word == 0 {
                break;
            }
            let home = (word >> 32) as usize & mask;
            // It may fill the hole unless its home lies behind the hole.
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.index[hole] = word;
                hole = at;
            }
        }
        self.index[hole] = 0;
    }

    #[inline]
    fn mask(&self) -> usize {
        self.index.len() - 1
    }

    /// Tag and home position of a key. Keys are digests, so any of their bits serve.
    #[inline]
    fn home(&self, key: &Digest) -> (u64, usize) {
        let tag = u32::from_le_bytes([key[0], key[1], key[2], key[3]]);
        (u64::from(tag), tag as usize & self.mask())
    }

    #[inline]
    fn handle(&self, at: usize) -> Option<Handle> {
        let slot = self.slots.get(at)?;
        Some(Handle(u64::from(slot.generation) << 32 | (at as u64 + 1)))
    }
}

#[inline]
fn place(handle: Handle) -> usize {
    (handle.0 as u32).wrapping_sub(1) as usize
}

#[inline]
fn generation(handle: Handle) -> u32 {
    (handle.0 >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn entry(number: u64, at_s: u32) -> Entry {
        let mut key = [0; 16];
        // Few different tags, so that runs in the index are long and wrap around.
        key[0] = (number % 5 * 63) as u8;
        key[8..].copy_from_slice(&number.to_le_bytes());
        Entry {
            state: KeyState::Declined,
            ..Entry::claimed(key, [0; 16], [0; 8], number, at_s)
        }
    }

    #[test]
    fn what_is_remembered_is_found_until_it_is_the_oldest() {
        let mut table = Duplicates::new(3, 100);
        let handles: Vec<Handle> = (1..=3).map(|n| table.insert(entry(n, 10))).collect();
        assert_eq!(table.find(&entry(1, 0).key), Some(handles[0]));
        table.insert(entry(4, 40));
        assert_eq!(table.find(&entry(1, 0).key), None);
        assert!(
            table.get(handles[0]).is_none(),
            "a stale handle is known to be stale"
        );
        assert_eq!(table.find(&entry(2, 0).key), Some(handles[1]));
        assert_eq!(
            table.evictions,
            Evictions {
                all: 1,
                early: 1,
                early_age_s: 30,
                in_flight: 0
            }
        );
        table.insert(entry(5, 110));
        assert_eq!(
            (table.evictions.all, table.evictions.early, table.len()),
            (2, 1, 3)
        );
        table.keep(1_000, 50);
        assert_eq!(table.retention_s(), 1_000);
        table.insert(entry(6, 100));
        assert_eq!((table.evictions.all, table.evictions.early), (3, 1));
        table.insert(entry(7, 89));
        assert_eq!((table.evictions.all, table.evictions.early), (4, 2));
    }

    #[test]
    fn requests_in_flight_are_passed_over() {
        let mut table = Duplicates::new(3, 0);
        for n in 1..=3 {
            table.insert(Entry {
                state: KeyState::InFlight,
                ..entry(n, 1)
            });
        }
        if let Some(e) = table.find(&entry(2, 0).key).and_then(|h| table.get_mut(h)) {
            e.state = KeyState::Approved;
        }
        table.insert(entry(4, 2));
        assert!(table.find(&entry(1, 0).key).is_some() && table.find(&entry(2, 0).key).is_none());
        assert_eq!(table.evictions.in_flight, 0);
        let mut long = Duplicates::new(3000, 0);
        for n in 1..=3000 {
            let state = if n == 2500 {
                KeyState::Declined
            } else {
                KeyState::InFlight
            };
            long.insert(Entry {
                state,
                ..entry(n, 1)
            });
        }
        long.insert(entry(3001, 2));
        assert!(long.find(&entry(2500, 0).key).is_none());
        assert_eq!(
            long.evictions.in_flight, 0,
            "however long the run of them is"
        );
        let mut full = Duplicates::new(1, 0);
        full.insert(Entry {
            state: KeyState::InFlight,
            ..entry(1, 1)
        });
        full.insert(entry(2, 2));
        assert_eq!((full.evictions.in_flight, full.len()), (1, 1));
    }

    #[test]
    fn long_additional_amounts_are_left_out_of_the_repeat() {
        let mut e = entry(1, 1);
        e.keep_code(*b"00");
        e.set_amounts(&[b'1'; AMOUNTS_BYTES_MAX]);
        let mut out = Vec::new();
        assert!(e.normal(Name::AdditionalAmounts, &mut out) && out.len() == AMOUNTS_BYTES_MAX);
        e.set_amounts(&[b'1'; AMOUNTS_BYTES_MAX + 20]);
        assert!(!e.normal(Name::AdditionalAmounts, &mut out));
        assert!(!e.normal(Name::AuthCode, &mut out) && !e.normal(Name::Pan, &mut out));
        out.clear();
        assert!(e.normal(Name::ResponseCode, &mut out) && out == b"00");
    }

    #[test]
    fn an_entry_is_small() {
        assert!(
            std::mem::size_of::<Slot>() <= 216,
            "{}",
            std::mem::size_of::<Slot>()
        );
    }

    #[test]
    fn a_walk_from_the_oldest_sees_every_entry_once_in_order() {
        let mut table = Duplicates::new(5, 0);
        for n in 0..7 {
            table.insert(entry(n, 1));
        }
        let start = table.oldest();
        let seen: Vec<u64> = (0..5)
            .filter_map(|i| table.at(start + i).map(|e| e.txn))
            .collect();
        assert_eq!(seen, [2, 3, 4, 5, 6]);
    }

    proptest! {
        /// Against a queue that evicts its oldest entry that is not in flight.
        #[test]
        fn agrees_with_a_model(
            capacity in 1usize..12,
            acts in prop::collection::vec((0u64..20, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut table = Duplicates::new(capacity, u32::MAX);
            let mut model: VecDeque<(u64, bool)> = VecDeque::new();
            let mut ring = 0usize; // where the ring stands, as the model's rotation
            let mut places: Vec<Option<u64>> = vec![None; capacity];
            for (now, (number, flying, settle)) in acts.into_iter().enumerate() {
                let key = entry(number, 0).key;
                let known = model.iter().position(|(n, _)| *n == number);
                prop_assert_eq!(table.find(&key).is_some(), known.is_some());
                match known {
                    Some(at) if settle => {
                        model[at].1 = false;
                        if let Some(e) = table.find(&key).and_then(|h| table.get_mut(h)) {
                            e.state = KeyState::Approved;
                        }
                    }
                    Some(_) => {}
                    None => {
                        let state = if flying { KeyState::InFlight } else { KeyState::Declined };
                        let mut at = ring;
                        for _ in 0..capacity {
                            let occupied = places[at].and_then(|n| model.iter().find(|(m, _)| *m == n));
                            if occupied.is_some_and(|(_, flying)| *flying) {
                                at = (at + 1) % capacity;
                            } else {
                                break;
                            }
                        }
                        if let Some(gone) = places[at] {
                            model.retain(|(n, _)| *n != gone);
                        }
                        places[at] = Some(number);
                        model.push_back((number, flying));
                        ring = (at + 1) % capacity;
                        let handle = table.insert(Entry { state, ..entry(number, now as u32) });
                        prop_assert_eq!(table.get(handle).map(|e| e.txn), Some(number));
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                for number in 0..20 {
                    let found = table.find(&entry(number, 0).key).and_then(|h| table.get(h)).map(|e| e.txn);
                    prop_assert_eq!(found, model.iter().any(|(n, _)| *n == number).then_some(number));
                }
            }
        }
    }
}
