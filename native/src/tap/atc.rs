//! Transaction counters that were claimed: replay of a tap ends here.
//!
//! Per token and sequence number the highest counter (ATC) is kept, and which of the 64 up to it were claimed: taps of
//! one device may arrive out of order, so an unseen counter inside the window passes, a seen or an older one never.
//! Claims commute and repeat harmlessly, so a replay of the journal, a checkpoint's windows and both together lead to
//! the same table.
//!
//! The table has room for a settled number of devices from the start (its pages come with their first use), and open
//! addressing: a look touches one or two cache lines, which can be fetched ahead. More devices cost one pause each time
//! the room doubles. Nothing is ever evicted, because a device that is forgotten could be replayed. Places stay where
//! they are until the room doubles, so a checkpoint can walk the table in small steps.

use crate::buf::prefetch;
use crate::journal::record::{WINDOW_BYTES, WINDOW_MARK};

/// Counters up to the highest that are told apart, the highest among them.
pub const WINDOW: u16 = 64;
/// Accepted from nobody: a counter does not wrap, and a device blocks itself when it gets here.
pub const SPENT: u16 = u16::MAX;
/// Most devices for which there is room from the start.
pub const CAPACITY_MAX: usize = 1 << 28;
/// Least room of a table that grows.
const GROWN_MIN: usize = 1024;

/// Keyed hash of a token's number.
pub type TokenRef = [u8; 8];

/// Whose counter: the token, and its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtcKey {
    pub token: TokenRef,
    pub sequence: u8,
}

/// Whether a counter may be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// It was accepted before.
    Seen,
    /// Below the window: nobody knows any more.
    Old,
    /// Further above the highest than the setting allows.
    Gap,
    /// The last one that there is: a device that has come to it has ended, and nothing could follow it but zero.
    Spent,
}

/// What is remembered of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub key: AtcKey,
    pub highest: u16,
    /// Bit n: `highest - n` was claimed.
    pub seen: u64,
}

impl Window {
    /// The window of a single claim.
    fn of(key: &AtcKey, atc: u16) -> Window {
        Window {
            key: *key,
            highest: atc,
            seen: 1,
        }
    }

    /// As records keep it: a mark, token, sequence number, highest counter and seen ones, little-endian.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(WINDOW_MARK);
        out.extend_from_slice(&self.key.token);
        out.push(self.key.sequence);
        out.extend_from_slice(&self.highest.to_le_bytes());
        out.extend_from_slice(&self.seen.to_le_bytes());
    }

    /// The windows of a record's field; what is no window ends them.
    pub fn read_all(bytes: &[u8]) -> impl Iterator<Item = Window> + '_ {
        bytes.chunks(WINDOW_BYTES).map_while(Window::read)
    }

    fn read(bytes: &[u8]) -> Option<Window> {
        let rest = bytes.strip_prefix(&[WINDOW_MARK])?;
        let (token, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first()?;
        let (highest, rest) = rest.split_first_chunk()?;
        Some(Window {
            key: AtcKey {
                token: *token,
                sequence: *sequence,
            },
            highest: u16::from_le_bytes(*highest),
            seen: u64::from_le_bytes(rest.try_into().ok()?),
        })
    }

    fn judge(&self, atc: u16, gap_max: u16) -> Freshness {
        if let Some(gap) = atc.checked_sub(self.highest).filter(|gap| *gap > 0) {
            return match gap > gap_max {
                true => Freshness::Gap,
                false => Freshness::Fresh,
            };
        }
        let behind = self.highest - atc;
        if behind >= WINDOW {
            Freshness::Old
        } else if self.seen >> behind & 1 == 1 {
            Freshness::Seen
        } else {
            Freshness::Fresh
        }
    }

    /// Takes over what another window of the same device knows.
    fn join(&mut self, other: &Window) {
        let (high, low) = match other.highest > self.highest {
            true => (other, *self),
            false => (&*self, *other),
        };
        let behind = u32::from(high.highest - low.highest);
        let seen = high.seen | low.seen.checked_shl(behind).unwrap_or(0);
        (self.highest, self.seen) = (high.highest, seen);
    }
}

/// A place: the token, the seen counters, and `USED | sequence << 16 | highest`; zeros when it is empty.
type Place = [u64; 3];

const USED: u64 = 1 << 32;

fn window_of(place: &Place) -> Option<Window> {
    let [token, seen, meta] = *place;
    (meta != 0).then_some(Window {
        key: AtcKey {
            token: token.to_le_bytes(),
            sequence: (meta >> 16) as u8,
        },
        highest: meta as u16,
        seen,
    })
}

fn place_of(window: &Window) -> Place {
    let meta = USED | u64::from(window.key.sequence) << 16 | u64::from(window.highest);
    [u64::from_le_bytes(window.key.token), window.seen, meta]
}

/// The table. See the module for what it promises.
#[derive(Default)]
pub struct AtcTable {
    places: Vec<Place>,
    used: usize,
    capacity: usize,
    /// How often the room has doubled.
    doubled: u32,
}

impl AtcTable {
    /// Room for `capacity` devices (at most `CAPACITY_MAX`), 36 bytes each.
    pub fn new(capacity: usize) -> AtcTable {
        AtcTable::with_room(capacity.min(CAPACITY_MAX))
    }

    fn with_room(capacity: usize) -> AtcTable {
        AtcTable {
            places: vec![[0; 3]; capacity + capacity / 2 + 2],
            used: 0,
            capacity,
            doubled: 0,
        }
    }

    /// Devices in the table.
    pub fn len(&self) -> usize {
        self.used
    }

    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Devices for which there is room without a pause.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How often the room has doubled: places are others then.
    pub fn doubled(&self) -> u32 {
        self.doubled
    }

    /// What becomes of a counter that is proved: a pure look. The first one of a device may be any; later ones are at
    /// most `gap_max` above the highest.
    #[inline]
    pub fn check(&self, key: &AtcKey, atc: u16, gap_max: u16) -> Freshness {
        if atc == SPENT {
            return Freshness::Spent;
        }
        self.get(key)
            .map_or(Freshness::Fresh, |window| window.judge(atc, gap_max))
    }

    /// The counter counts as seen from now on; doing it twice is doing it once.
    #[inline]
    pub fn claim(&mut self, key: &AtcKey, atc: u16) {
        self.merge(&Window::of(key, atc));
    }

    /// Takes a claim back of which no record was made: the same tap may come again.
    pub fn release(&mut self, key: &AtcKey, atc: u16) {
        let at = self.place(key);
        let Some(mut window) = self.places.get(at).and_then(window_of) else {
            return;
        };
        if let Some(behind) = window.highest.checked_sub(atc).filter(|b| *b < WINDOW) {
            window.seen &= !(1 << behind);
            self.places[at] = place_of(&window);
        }
    }

    /// Takes over a window that a journal tells.
    pub fn merge(&mut self, window: &Window) {
        let mut at = self.place(&window.key);
        let known = self.places.get(at).and_then(window_of);
        if known.is_none() && self.used >= self.capacity {
            self.grow();
            at = self.place(&window.key);
        }
        self.put(at, known, window);
    }

    /// Places of the table: a walk over all of them sees each device once.
    pub fn places(&self) -> usize {
        self.places.len()
    }

    /// The device in one place.
    pub fn at(&self, place: usize) -> Option<Window> {
        self.places.get(place).and_then(window_of)
    }

    /// Asks the processor for a token's place while other work goes on.
    #[inline]
    pub fn prefetch(&self, token: &TokenRef) {
        if self.used > 0
            && let Some(place) = self.places.get(self.home(token))
        {
            prefetch(place);
        }
    }

    /// The window of a device that has tapped before.
    pub fn get(&self, key: &AtcKey) -> Option<Window> {
        self.places.get(self.place(key)).and_then(window_of)
    }

    /// Where a device stands, or would: there is always an empty place.
    #[inline]
    fn place(&self, key: &AtcKey) -> usize {
        let wanted = u64::from_le_bytes(key.token);
        let mut at = self.home(&key.token);
        while let Some([token, _, meta]) = self.places.get(at) {
            if *meta == 0 || (*token == wanted && (meta >> 16) as u8 == key.sequence) {
                break;
            }
            at = if at + 1 == self.places.len() {
                0
            } else {
                at + 1
            };
        }
        at
    }

    /// References are keyed digests, so their high bits are as good as any. The sequence number is left out: the place
    /// can be fetched before it is read.
    #[inline]
    fn home(&self, token: &TokenRef) -> usize {
        let token = u128::from(u64::from_le_bytes(*token));
        ((token * self.places.len() as u128) >> 64) as usize
    }

    fn put(&mut self, at: usize, known: Option<Window>, window: &Window) {
        let joined = match known {
            Some(mut known) => {
                known.join(window);
                known
            }
            None => {
                self.used += 1;
                *window
            }
        };
        if let Some(place) = self.places.get_mut(at) {
            *place = place_of(&joined);
        }
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = AtcTable::with_room((self.capacity * 2).max(GROWN_MIN));
        larger.doubled = self.doubled + 1;
        for window in self.places.iter().filter_map(window_of) {
            let at = larger.place(&window.key);
            larger.put(at, None, &window);
        }
        *self = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    const ANY: u16 = u16::MAX;

    fn key(number: u8, sequence: u8) -> AtcKey {
        // Few different homes, so that runs are long and wrap around.
        let mut token = [0xff; 8];
        token[0] = number;
        token[7] = if number.is_multiple_of(3) { 0 } else { 0xff };
        AtcKey { token, sequence }
    }

    #[test]
    fn a_window_of_64_lies_behind_the_highest() {
        let mut table = AtcTable::new(1);
        assert_eq!(table.check(&key(1, 0), 500, 10), Freshness::Fresh);
        table.claim(&key(1, 0), 500);
        for (atc, expected) in [
            (500, Freshness::Seen),
            (499, Freshness::Fresh),
            (437, Freshness::Fresh),
            (436, Freshness::Old),
            (0, Freshness::Old),
            (501, Freshness::Fresh),
            (510, Freshness::Fresh),
            (511, Freshness::Gap),
            (u16::MAX - 1, Freshness::Gap),
            (u16::MAX, Freshness::Spent),
        ] {
            assert_eq!(table.check(&key(1, 0), atc, 10), expected, "{atc}");
        }
        table.claim(&key(1, 0), 437);
        table.claim(&key(1, 0), 501);
        assert_eq!(table.check(&key(1, 0), 437, 10), Freshness::Old);
        assert_eq!(table.check(&key(1, 0), 500, 10), Freshness::Seen);
        assert_eq!(table.check(&key(1, 0), 499, 10), Freshness::Fresh);
        table.claim(&key(1, 0), u16::MAX);
        assert_eq!(table.check(&key(1, 0), 501, ANY), Freshness::Old);
    }

    #[test]
    fn counters_do_not_wrap_and_end_before_the_last() {
        let mut table = AtcTable::new(1);
        let device = key(1, 0);
        assert_eq!(table.check(&device, SPENT, ANY), Freshness::Spent);
        table.claim(&device, SPENT - 3);
        assert_eq!(table.check(&device, SPENT, ANY), Freshness::Spent);
        table.claim(&device, SPENT - 1);
        assert_eq!(table.check(&device, SPENT - 2, ANY), Freshness::Fresh);
        for atc in [0, 1, 63, 64, 1_000] {
            assert_eq!(table.check(&device, atc, ANY), Freshness::Old, "{atc}");
            // Whatever is claimed below, the highest stays.
            table.claim(&device, atc);
            assert_eq!(table.check(&device, SPENT - 1, ANY), Freshness::Seen);
        }
        // A journal from before this rule may tell of one; nothing follows it.
        table.claim(&device, SPENT);
        assert_eq!(table.check(&device, SPENT, ANY), Freshness::Spent);
        assert_eq!(table.check(&device, 0, ANY), Freshness::Old);
    }

    #[test]
    fn a_full_table_grows_and_forgets_nothing() {
        let mut table = AtcTable::new(2);
        table.claim(&key(1, 0), 5);
        table.claim(&key(1, 1), 5);
        assert_eq!((table.capacity(), table.doubled()), (2, 0));
        table.claim(&key(2, 0), 1);
        assert_eq!(
            (table.len(), table.capacity(), table.doubled()),
            (3, 1024, 1)
        );
        for one in [key(1, 0), key(1, 1)] {
            assert_eq!(table.check(&one, 5, ANY), Freshness::Seen);
        }
        let mut none = AtcTable::default();
        none.prefetch(&key(1, 0).token);
        assert_eq!(none.check(&key(1, 0), 1, ANY), Freshness::Fresh);
        none.release(&key(1, 0), 1);
        assert!(none.is_empty() && none.at(0).is_none());
        none.claim(&key(1, 0), 1);
        assert_eq!(none.check(&key(1, 0), 1, ANY), Freshness::Seen);
    }

    #[test]
    fn a_claim_without_a_record_is_taken_back() {
        let mut table = AtcTable::new(4);
        table.claim(&key(1, 0), 5);
        table.claim(&key(1, 0), 6);
        table.release(&key(1, 0), 6);
        assert_eq!(table.check(&key(1, 0), 6, ANY), Freshness::Fresh);
        assert_eq!(table.check(&key(1, 0), 5, ANY), Freshness::Seen);
        table.release(&key(1, 0), 7);
        table.release(&key(2, 0), 7);
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn a_place_is_24_bytes() {
        assert_eq!(std::mem::size_of::<Place>(), 24);
    }

    #[test]
    fn windows_are_read_back() {
        let window = Window {
            key: key(7, 3),
            highest: 0x1234,
            seen: 0x8000_0000_0000_0001,
        };
        let mut bytes = Vec::new();
        window.write(&mut bytes);
        Window::of(&key(8, 0), 1).write(&mut bytes);
        assert_eq!(bytes.len(), 2 * WINDOW_BYTES);
        let read: Vec<Window> = Window::read_all(&bytes).collect();
        assert_eq!(read, [window, Window::of(&key(8, 0), 1)]);
        assert_eq!(Window::read_all(&bytes[1..]).count(), 0);
        assert_eq!(Window::read_all(&bytes[..19]).count(), 0);
    }

    /// All that was ever claimed, by device.
    type Model = BTreeMap<(u8, u8), BTreeSet<u16>>;

    fn expected(model: &Model, device: (u8, u8), atc: u16, gap_max: u16) -> Freshness {
        if atc == u16::MAX {
            return Freshness::Spent;
        }
        let Some(claimed) = model.get(&device) else {
            return Freshness::Fresh;
        };
        let highest = claimed.last().copied().unwrap_or(0);
        if u32::from(atc) > u32::from(highest) + u32::from(gap_max) {
            Freshness::Gap
        } else if u32::from(atc) + 64 <= u32::from(highest) {
            Freshness::Old
        } else if claimed.contains(&atc) {
            Freshness::Seen
        } else {
            Freshness::Fresh
        }
    }

    fn act() -> impl Strategy<Value = (u8, u8, u16, bool)> {
        let atc = prop_oneof![0u16..200, 65_400..=u16::MAX, any::<u16>()];
        (0u8..12, 0u8..3, atc, any::<bool>())
    }

    fn agree(table: &AtcTable, model: &Model, device: (u8, u8), atc: u16) -> bool {
        [0, 3, 100, ANY].iter().all(|gap_max| {
            table.check(&key(device.0, device.1), atc, *gap_max)
                == expected(model, device, atc, *gap_max)
        })
    }

    proptest! {
        /// Against all that was ever claimed, in a set.
        #[test]
        fn agrees_with_a_model(acts in prop::collection::vec(act(), 0..300)) {
            let mut table = AtcTable::new(36);
            let mut model = Model::new();
            for (token, sequence, atc, claims) in acts {
                prop_assert!(agree(&table, &model, (token, sequence), atc));
                if claims {
                    table.claim(&key(token, sequence), atc);
                    model.entry((token, sequence)).or_default().insert(atc);
                }
                prop_assert_eq!(table.len(), model.len());
            }
            let mut walked: Vec<_> = (0..table.places()).filter_map(|at| table.at(at)).collect();
            walked.sort_by_key(|w| w.key);
            walked.dedup_by_key(|w| w.key);
            prop_assert_eq!(walked.len(), model.len(), "a walk sees each device once");
        }

        /// A checkpoint at any moment and the claims around it, in any order and more than once.
        #[test]
        fn windows_and_claims_lead_to_the_same(
            acts in prop::collection::vec(act(), 0..80),
            cut in 0usize..80,
            from in 0usize..80,
        ) {
            let mut table = AtcTable::new(36);
            let (cut, mut carried) = (cut.min(acts.len()), Vec::new());
            for (at, (token, sequence, atc, _)) in acts.iter().enumerate() {
                if at == cut {
                    carried.extend((0..table.places()).filter_map(|place| table.at(place)));
                }
                table.claim(&key(*token, *sequence), *atc);
            }
            if cut == acts.len() {
                carried.extend((0..table.places()).filter_map(|place| table.at(place)));
            }
            let mut replayed = AtcTable::new(0);
            for (token, sequence, atc, _) in acts.iter().skip(from.min(cut)) {
                replayed.merge(&Window::of(&key(*token, *sequence), *atc));
            }
            for window in carried.iter().rev() {
                replayed.merge(window);
            }
            prop_assert_eq!(replayed.len(), table.len());
            for (token, sequence, ..) in &acts {
                let known = |table: &AtcTable| table.get(&key(*token, *sequence));
                prop_assert_eq!(known(&replayed), known(&table));
            }
        }
    }
}
