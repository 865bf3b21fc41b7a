//! What the walk remembers under which names: institutions, and their request keys in the duplicates table.

use std::borrow::Cow;
use std::sync::Arc;

use super::digest::{CardRef, Digest, Digester};
use super::duplicates::{Duplicates, Entry, Handle};
use super::original::trimmed;
use super::reference::reference;
use super::state::KeyState;
use super::turned_away::{Told, TurnedAway};
use super::veil::Veil;
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::codec::name::{Name, Source};
use crate::codec::supply::Receipt;
use crate::codec::wipe;
use crate::journal::keys::KeysError;
use crate::limits::StandIns;
use crate::simulation::mutant::{self, Mutant};
use crate::tap::Tap;
use crate::tap::atc::{AtcKey, AtcTable, Freshness};
use crate::terminal::Terminals;

/// Most institutions of a node: they are members from the settings, not peers that come and go.
pub const INSTITUTIONS_MAX: usize = 4096;

/// A member, under the id of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Institution {
    pub name: String,
    /// Its institution code (field 32 or 33).
    pub code: String,
}

/// An entry as an asking message sees it.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub entry: Entry,
    /// The asking message has the same body, and is of the same kind.
    pub same_body: bool,
    /// The asking message names the same card.
    pub card_agrees: bool,
}

/// Institutions, keys and table; shared by the gate and by those who ask.
pub struct Memory {
    pub digester: Digester,
    pub table: Duplicates,
    /// Transaction counters of tokens.
    pub atc: AtcTable,
    pub veil: Veil,
    /// What was approved in banks' names.
    pub stand_ins: StandIns,
    /// Refused without a record a moment ago.
    pub turned_away: TurnedAway,
    /// Terminals that sign on; None: the node has none.
    pub terminals: Option<Arc<Terminals>>,
    institutions: Vec<Institution>,
    /// Seconds that the business zone is east of UTC now.
    pub zone_offset_s: i64,
    /// Holds card numbers for the length of a call; wiped after each.
    scratch: Vec<u8>,
}

impl Memory {
    /// `counters`: tokens whose transaction counters have room from the start. `stand_in_cards`: cards that are counted
    /// for stand-in.
    pub fn new(
        digester: Digester,
        table: Duplicates,
        counters: usize,
        stand_in_cards: usize,
    ) -> Result<Memory, KeysError> {
        Ok(Memory {
            digester,
            table,
            atc: AtcTable::new(counters),
            veil: Veil::new()?,
            stand_ins: StandIns::new(stand_in_cards),
            turned_away: TurnedAway::default(),
            terminals: None,
            institutions: Vec::new(),
            zone_offset_s: 0,
            scratch: Vec::with_capacity(512),
        })
    }

    /// Index of an institution, the same for the same name; None when there are too many. A known name keeps the code
    /// that it got first unless that was empty.
    pub fn institution(&mut self, name: &str, code: &str) -> Option<u16> {
        let known = self.institutions.iter().position(|i| i.name == name);
        let at = known.unwrap_or(self.institutions.len());
        if known.is_none() {
            if at >= INSTITUTIONS_MAX {
                return None;
            }
            self.institutions.push(Institution {
                name: name.to_owned(),
                code: code.to_owned(),
            });
        } else if let Some(institution) = self.institutions.get_mut(at)
            && institution.code.is_empty()
        {
            institution.code = code.to_owned();
        }
        u16::try_from(at).ok()
    }

    /// Index and id of every institution.
    pub fn names(&self) -> impl Iterator<Item = (u16, &str)> {
        (0..=u16::MAX).zip(self.institutions.iter().map(|i| i.name.as_str()))
    }

    /// The id of an index; empty when there is none such.
    pub fn name(&self, institution: u16) -> &str {
        self.institutions
            .get(usize::from(institution))
            .map_or("", |i| i.name.as_str())
    }

    /// The institution code of an index; empty when there is none such.
    pub fn code(&self, institution: u16) -> &str {
        self.institutions
            .get(usize::from(institution))
            .map_or("", |i| i.code.as_str())
    }

    /// Adds to a message what its dialect says and it lacks. `txn` 0: it has no reference of its own.
    pub fn supply(
        &self,
        message: &Message,
        institution: u16,
        txn: u64,
        now_s: i64,
        before: Option<&dyn Source>,
    ) {
        let made = reference(txn, now_s);
        message.supply(&Receipt {
            now_s,
            zone_offset_s: self.zone_offset_s,
            link: self.code(institution),
            reference: if txn == 0 { &[] } else { &made },
            before,
        });
    }

    /// As `supply`, of a message that is claimed: a repeat gets what its first presentation got, a reversal the
    /// reference of its original.
    #[cold]
    fn supply_claimed(
        &mut self,
        message: &Message,
        institution: u16,
        txn: u64,
        now_s: i64,
        known: Option<Handle>,
    ) {
        let first = known.and_then(|handle| self.table.get(handle)).copied();
        let original = match (first, message.kind()) {
            (None, Kind::ReversalRequest | Kind::ReversalAdvice) => self
                .original_key_of(message, institution, now_s)
                .and_then(|key| self.table.get(self.table.find(&key)?).copied()),
            _ => None,
        };
        let before = match (&first, &original) {
            (Some(entry), _) => Some(Before { entry, times: true }),
            (None, Some(entry)) => Some(Before {
                entry,
                times: false,
            }),
            (None, None) => None,
        };
        let before = before.as_ref().map(|before| before as &dyn Source);
        self.supply(message, institution, txn, now_s, before);
    }

    /// Digest of the message's own request key. An advice that was recorded before advices had keys of their own has
    /// the one that a request has.
    pub fn key_of(&mut self, message: &Message, institution: u16, now_s: i64) -> Digest {
        self.open_key(institution);
        message.key_material(now_s, &mut self.scratch);
        let key = self.digester.request(&self.scratch);
        if message.advises() && self.table.find(&key).is_none() {
            let former = self.request_key_of(message, institution, now_s);
            let kind = message.kind() as u8;
            if self.found(&former).is_some_and(|entry| entry.kind == kind) {
                return former;
            }
        }
        key
    }

    /// Of an advice: the digest of the key that a request with its numbers has.
    #[cold]
    fn request_key_of(&mut self, advice: &Message, institution: u16, now_s: i64) -> Digest {
        self.open_key(institution);
        advice.request_key_material(now_s, &mut self.scratch);
        self.digester.request(&self.scratch)
    }

    fn found(&self, key: &Digest) -> Option<&Entry> {
        self.table.get(self.table.find(key)?)
    }

    /// What stands in the way of an advice that is new: the same request under its numbers, when its bank has approved
    /// it, and so knows already what the advice tells, or may still do so. One that came to nothing does not.
    #[cold]
    fn told_already(
        &mut self,
        advice: &Message,
        body: &Digest,
        institution: u16,
        now_s: i64,
    ) -> Option<KeyState> {
        let key = self.request_key_of(advice, institution, now_s);
        let entry = self.found(&key)?;
        let known = matches!(entry.state, KeyState::Approved | KeyState::InFlight);
        (known && entry.body == *body).then_some(entry.state)
    }

    /// Adds the material of another key, which `write` appends with who asks in front of it (`asker`), to that of those
    /// before; where it ends. `fresh`: it is the first.
    #[inline]
    pub fn add_key(&mut self, fresh: bool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        if fresh {
            self.scratch.clear();
        }
        write(&mut self.scratch);
        self.scratch.len()
    }

    /// What stands in front of the material of all keys of an institution.
    pub fn asker(&mut self, institution: u16) -> Vec<u8> {
        self.open_key(institution);
        self.scratch.clone()
    }

    /// Digests of what was added, whose ends are these. Asks for what is known of each key to be at hand when it is looked
    /// for.
    pub fn keys_at_hand(&self, ends: &[usize], keys: &mut [Digest]) {
        self.digester.requests(&self.scratch, ends, keys);
        for (key, _) in keys.iter().zip(ends) {
            self.table.prefetch(key);
            self.turned_away.prefetch(key);
        }
    }

    /// Digest of the key of the original that a reversal names; None when it names none.
    pub fn original_key_of(
        &mut self,
        reversal: &Message,
        institution: u16,
        now_s: i64,
    ) -> Option<Digest> {
        self.open_key(institution);
        reversal
            .original_key_material(now_s, &mut self.scratch)
            .then(|| self.digester.request(&self.scratch))
    }

    /// Key material begins with who asks, its length before it, so that no two askers and keys give the same bytes.
    fn open_key(&mut self, institution: u16) {
        self.scratch.clear();
        let name = self
            .institutions
            .get(usize::from(institution))
            .map_or("", |i| i.name.as_str());
        self.scratch
            .push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        self.scratch.extend_from_slice(name.as_bytes());
    }

    /// Digest of the message's body.
    pub fn body_of(&mut self, message: &Message) -> Digest {
        self.scratch.clear();
        message.body_material(&mut self.scratch);
        let digest = self.digester.body(&self.scratch);
        wipe(&mut self.scratch);
        digest
    }

    /// Reference of the message's card; zeros when it has none.
    pub fn card_of(&mut self, message: &Message) -> CardRef {
        with_pan(message, |pan| self.digester.card(pan)).unwrap_or([0; 8])
    }

    /// Claims the message's key for `txn`. New: the message keeps the handle. Else what stands there, and whether kind
    /// and body are the same.
    pub fn claim(
        &mut self,
        message: &Message,
        institution: u16,
        txn: u64,
        now_s: i64,
    ) -> (KeyState, bool) {
        let key = self.key_of(message, institution, now_s);
        let body = self.body_of(message);
        let known = self.table.find(&key);
        if message.dialect().supplies_any() {
            self.supply_claimed(message, institution, txn, now_s, known);
        }
        let forgets = mutant::on(Mutant::DuplicateForgotten);
        if let Some(entry) = known
            .filter(|_| !forgets)
            .and_then(|handle| self.table.get(handle))
        {
            return (entry.state, entry.same_as(message, &body));
        }
        if message.advises()
            && let Some(state) = self.told_already(message, &body, institution, now_s)
        {
            return (state, false);
        }
        if is_request(message) && self.turned_away.told(&key, now_s).is_some() {
            return (KeyState::TurnedAway, true);
        }
        let card = self.card_of(message);
        // If it is a token, its counters are wanted some microseconds from now.
        self.atc.prefetch(&card);
        let at_s = u32::try_from(now_s).unwrap_or(0);
        let mut entry = Entry {
            amount: u64::try_from(message.amount_minor()).unwrap_or(0),
            acquirer: institution,
            kind: message.kind() as u8,
            ..Entry::claimed(key, body, card, txn, at_s)
        };
        entry.keep_request(message);
        let handle = self.table.insert(entry);
        message.set_handle(handle.to_bits());
        (KeyState::New, true)
    }

    /// The entry under the message's own key.
    pub fn look(&mut self, message: &Message, institution: u16, now_s: i64) -> Option<View> {
        let key = self.key_of(message, institution, now_s);
        self.view(message, &key)
    }

    /// The entry of the original that a reversal names.
    pub fn original(&mut self, reversal: &Message, institution: u16, now_s: i64) -> Option<View> {
        let key = self.original_key_of(reversal, institution, now_s)?;
        self.view(reversal, &key)
    }

    fn view(&mut self, message: &Message, key: &Digest) -> Option<View> {
        let entry = *self.table.get(self.table.find(key)?)?;
        Some(View {
            entry,
            same_body: entry.same_as(message, &self.body_of(message)),
            card_agrees: self.card_of(message) == entry.card,
        })
    }

    /// Claims the counter of a tap that was proved and not seen before; anything but `Fresh` has had no effect. The
    /// message's key was claimed first, and its record follows in the same call chain.
    pub fn claim_tap(&mut self, message: &Message, tap: &Tap, gap_max: u16) -> Freshness {
        let Memory {
            table, atc, veil, ..
        } = self;
        let handle = Handle::from_bits(message.handle());
        let Some(entry) = handle.and_then(|handle| table.get_mut(handle)) else {
            return Freshness::Old;
        };
        let key = AtcKey {
            token: entry.card,
            sequence: tap.token_sequence,
        };
        let freshness = atc.check(&key, tap.atc, gap_max);
        if freshness == Freshness::Fresh {
            if !mutant::on(Mutant::CounterNotClaimed) {
                atc.claim(&key, tap.atc);
            }
            entry.keep_tap(tap, veil);
        }
        freshness
    }

    /// Takes back what `claim_tap` claimed for a message that gets no record: the same tap may come again. Nothing for
    /// any other message.
    pub fn release_tap(&mut self, message: &Message) {
        let Some(tap) = Tap::of(message) else {
            return;
        };
        let Some(entry) = self.entry_of(message).filter(|entry| entry.lsn == 0) else {
            return;
        };
        let key = AtcKey {
            token: entry.card,
            sequence: tap.token_sequence,
        };
        self.atc.release(&key, tap.atc);
    }

    /// Takes back a claim that got no record: the same request may come again, and nothing waits for an outcome of this
    /// one. Nothing for a key that a record stands behind.
    ///
    /// A request's repeat that is under way already is told the same (`turned_away`).
    pub fn unclaim(&mut self, message: &Message, told: Told, now_s: i64) {
        let Some(handle) = Handle::from_bits(message.handle()) else {
            return;
        };
        let unrecorded = |entry: &&Entry| entry.lsn == 0 && entry.state == KeyState::InFlight;
        if let Some(entry) = self.table.get(handle).filter(unrecorded) {
            if is_request(message) {
                self.turned_away.remember(&entry.key, told, now_s);
            }
            if !mutant::on(Mutant::RefusedStaysClaimed) {
                self.table.remove(handle);
            }
        }
    }

    /// The entry that a claimed message stands for.
    pub fn entry_of(&self, message: &Message) -> Option<&Entry> {
        self.table.get(Handle::from_bits(message.handle())?)
    }

    /// As `entry_of`, to settle it.
    pub fn entry_of_mut(&mut self, message: &Message) -> Option<&mut Entry> {
        self.table.get_mut(Handle::from_bits(message.handle())?)
    }
}

/// 0100, 0200 and their repeats: reversals and advices are never turned away for good.
fn is_request(message: &Message) -> bool {
    message.mti()[2] == b'0'
}

/// What was supplied to an earlier message, as far as it is remembered.
struct Before<'a> {
    entry: &'a Entry,
    /// The times too: it is the same message.
    times: bool,
}

impl Source for Before<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        let value = match name {
            Name::Rrn => trimmed(&self.entry.rrn),
            Name::LocalTime if self.times => trimmed(&self.entry.local_time),
            Name::LocalDate if self.times => trimmed(&self.entry.local_date),
            _ => &[],
        };
        out.extend_from_slice(value);
        !value.is_empty()
    }
}

/// A request as its bank knows it: for a proved tap the card behind the token, and the message for all else.
pub struct Carded<'a>(pub &'a Message);

impl Source for Carded<'_> {
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        match Tap::of(self.0) {
            Some(tap) if name == Name::Pan => tap.normal(name, out),
            _ => self.0.normal(name, out),
        }
    }
}

/// Reads a message's card number in digits; a copy that its dialect needs is wiped.
pub fn with_pan<R>(message: &Message, read: impl FnOnce(&[u8]) -> R) -> Option<R> {
    match message.value(Name::Pan)? {
        Cow::Borrowed(pan) => Some(read(pan)),
        Cow::Owned(mut pan) => {
            let result = read(&pan);
            wipe(&mut pan);
            Some(result)
        }
    }
}
