//! One decoded message: the body as it came, an index of its fields, and what the walk asks of every message.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::codec::axis::Length;
use crate::codec::envelope::{Order, Preface};
use crate::codec::form;
use crate::codec::kind::{Check, Kind, RcClass};
use crate::codec::name::{Attachment, Name, Source, Wire};
use crate::codec::spec::{Dialect, Hot, Layout, Part, Path, Spec, bit};
use crate::codec::supply::Supplied;
use crate::codec::tlv;
use crate::codec::value::decimal;
use crate::codec::wipe;

/// Values of `check_field` that are no field number.
pub const CHECK_NOTHING: u8 = 0;
pub const CHECK_MTI: u8 = u8::MAX;
/// Value of `route` before there is one.
pub(super) const UNROUTED: u8 = u8::MAX;

/// Bytes of the index for fields 1 to 64; as many again with a second bitmap. Four bytes a field, offset and
/// normal-form length, zero when absent: a look-up is one load, with no counting of bitmap bits.
pub(super) const INDEX_HALF: usize = 4 * 64;

/// Immutable but for times, `handle`, the rule of its route, the order to its sender and what is attached. One allocation: the body, and behind it the index of its fields.
/// Wiped on drop, because it may hold a PAN or a track.
#[derive(Debug)]
pub struct Message {
    pub(super) dialect: Arc<Dialect>,
    pub(super) buffer: Vec<u8>,
    pub(super) length: u16,
    pub(super) mti: [u8; 4],
    pub(super) bits: u128,
    pub(super) kind: Kind,
    pub(super) check: Check,
    pub(super) check_field: u8,
    pub(super) outcome: RcClass,
    pub(super) stan: i32,
    pub(super) amount_minor: i64,
    pub(super) received_ns: u64,
    pub(super) complete_ns: u64,
    pub(super) verified_ns: AtomicU64,
    pub(super) sent_ns: AtomicU64,
    pub(super) route: AtomicU8,
    pub(super) handle: AtomicU64,
    pub(super) attached: OnceLock<Box<dyn Attachment>>,
    pub(super) preface: Preface,
    pub(super) order: AtomicU16,
    pub(super) wide: bool,
    pub(super) mac_key: u32,
    pub(super) supplied: OnceLock<Box<Supplied>>,
}

/// A field's place on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    hot: &'a Hot,
    pub offset: usize,
    pub wire: &'a [u8],
    /// Length in normal form.
    pub count: usize,
}

impl Message {
    pub fn dialect(&self) -> &Arc<Dialect> {
        &self.dialect
    }

    pub fn mti(&self) -> [u8; 4] {
        self.mti
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn check(&self) -> Check {
        self.check
    }

    /// Field the check speaks of, as a path.
    pub fn check_path(&self) -> String {
        match self.check_field {
            CHECK_NOTHING => String::new(),
            CHECK_MTI => "mti".to_owned(),
            number => format!("field {number}"),
        }
    }

    pub fn repeat(&self) -> bool {
        crate::codec::kind::is_repeat(self.mti)
    }

    /// -1 when absent.
    pub fn stan(&self) -> i32 {
        self.stan
    }

    /// -1 when absent.
    pub fn amount_minor(&self) -> i64 {
        self.amount_minor
    }

    pub fn outcome(&self) -> RcClass {
        self.outcome
    }

    /// Whether it carries a response code that ends a reversal.
    pub fn final_reversal(&self) -> bool {
        self.value(Name::ResponseCode)
            .is_some_and(|code| self.dialect.is_final_reversal(&code))
    }

    pub fn received_ns(&self) -> u64 {
        self.received_ns
    }

    /// When its last byte was read; the same as `received_ns` when it came in one piece.
    pub fn complete_ns(&self) -> u64 {
        self.complete_ns.max(self.received_ns)
    }

    pub fn set_complete_ns(&mut self, now_ns: u64) {
        self.complete_ns = now_ns;
    }

    /// When its token and cryptogram were proved; 0 when there were none.
    pub fn verified_ns(&self) -> u64 {
        self.verified_ns.load(Ordering::Relaxed)
    }

    pub fn set_verified_ns(&self, now_ns: u64) {
        self.verified_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Digits of the prefix that chose its bank; None before it was routed.
    pub fn route(&self) -> Option<u8> {
        let digits = self.route.load(Ordering::Relaxed);
        (digits != UNROUTED).then_some(digits)
    }

    pub fn set_route(&self, digits: u8) {
        self.route.store(digits, Ordering::Relaxed);
    }

    /// 0 before the leg built from it was handed to a socket.
    pub fn sent_ns(&self) -> u64 {
        self.sent_ns.load(Ordering::Relaxed)
    }

    pub fn set_sent_ns(&self, now_ns: u64) {
        self.sent_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Whatever the room that claimed it wants to find again; 0 before.
    pub fn handle(&self) -> u64 {
        self.handle.load(Ordering::Relaxed)
    }

    pub fn set_handle(&self, handle: u64) {
        self.handle.store(handle, Ordering::Relaxed);
    }

    /// What another room has proved of this message.
    pub fn attached(&self) -> Option<&dyn Attachment> {
        self.attached.get().map(|attached| &**attached)
    }

    /// Keeps what was proved; false, and nothing done, when there is something already.
    pub fn attach(&self, proved: Box<dyn Attachment>) -> bool {
        self.attached.set(proved).is_ok()
    }

    /// TPDU and header that it came with; empty where it came without.
    pub fn preface(&self) -> &Preface {
        &self.preface
    }

    /// What its answer carries before the body; None where it came without.
    #[inline]
    pub fn answer_preface(&self) -> Option<Preface> {
        if self.preface.is_empty() {
            return None;
        }
        let mut preface = self.dialect.envelope.answer(&self.preface);
        Order(self.order.load(Ordering::Relaxed)).apply(&mut preface);
        Some(preface)
    }

    /// The header of its answer will say this instead of what came; the last order counts.
    pub fn set_order(&self, order: Order) {
        self.order.store(order.0, Ordering::Relaxed);
    }

    /// It has a second bitmap.
    pub(super) fn wide(&self) -> bool {
        self.wide
    }

    /// Which key proved its code; 0 when none did.
    pub fn mac_key(&self) -> u32 {
        self.mac_key
    }

    /// Its code was proved with this key.
    pub fn set_mac_key(&mut self, key: u32) {
        self.mac_key = key;
    }

    /// Bytes of the body.
    pub fn length(&self) -> usize {
        usize::from(self.length)
    }

    pub fn body(&self) -> &[u8] {
        self.buffer.get(..self.length()).unwrap_or(&[])
    }

    pub fn fields(&self) -> u32 {
        self.bits.count_ones()
    }

    /// Whether a field number is there.
    #[inline]
    pub fn has_number(&self, number: u8) -> bool {
        number >= 2 && self.bits & bit(number) != 0
    }

    pub fn has(&self, name: Name) -> bool {
        name == Name::Mti
            || self.has_number(self.dialect.number(name))
            || self.dialect.elsewhere && self.elsewhere(name).is_some()
    }

    /// Where a field stands.
    #[inline]
    pub fn place(&self, number: u8) -> Option<Place<'_>> {
        let at = self.length() + 4 * usize::from(number).checked_sub(1)?;
        let Some(&[a, b, c, d]) = self.buffer.get(at..at + 4) else {
            return None;
        };
        let offset = usize::from(u16::from_le_bytes([a, b]));
        if offset == 0 {
            return None;
        }
        let count = usize::from(u16::from_le_bytes([c, d]));
        let hot = self.dialect.hot.get(usize::from(number))?.as_ref()?;
        let length = hot.wire_length(count);
        let wire = self.buffer.get(offset..offset + length)?;
        Some(Place {
            hot,
            offset,
            wire,
            count,
        })
    }

    /// Fields in wire order.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        (2..=128u8).filter_map(|number| self.place(number))
    }

    /// The normal form of a field.
    #[inline]
    pub fn value(&self, name: Name) -> Option<Cow<'_, [u8]>> {
        if name == Name::Mti {
            return Some(Cow::Borrowed(&self.mti));
        }
        match self.place(self.dialect.number(name)) {
            Some(place) => Some(place.normal()),
            None if self.dialect.elsewhere => self.elsewhere(name),
            None => None,
        }
    }

    /// The normal form of a field, sub-field or tag; `path` must come from this message's dialect.
    pub fn at(&self, path: Path) -> Option<Cow<'_, [u8]>> {
        if path.number == 0 {
            return Some(Cow::Borrowed(&self.mti));
        }
        let whole = self.place(path.number)?.normal();
        if path.part == Part::Whole {
            return Some(whole);
        }
        let spec = self.dialect.spec(path.number)?;
        match whole {
            Cow::Borrowed(whole) => spec.cut(path.part, whole),
            Cow::Owned(whole) => spec
                .cut(path.part, &whole)
                .map(|part| Cow::Owned(part.into_owned())),
        }
    }

    /// First six and last four of the account number, empty when absent.
    pub fn masked_pan(&self) -> String {
        self.value(Name::Pan).map_or_else(String::new, |pan| {
            crate::codec::class::mask_pan(&String::from_utf8_lossy(&pan))
        })
    }

    /// Whether this answer belongs to the leg built from `request`: response MTI, STAN, transmission time and the
    /// dialect's other echoes. What the request carried must have come back, and unchanged.
    pub fn agrees(&self, request: &Message, out_stan: u32, out_time: &[u8]) -> bool {
        if self.mti != crate::codec::kind::response_mti(request.mti)
            || i64::from(self.stan) != i64::from(out_stan)
        {
            return false;
        }
        self.dialect.echoes.iter().all(|&name| {
            let mine = self.value(name);
            match name {
                Name::TransmissionTime => mine.as_deref() == Some(out_time),
                Name::Stan => true,
                _ => match request.value(name) {
                    Some(sent) => mine.as_deref() == Some(&sent),
                    None => true,
                },
            }
        })
    }
}

impl<'a> Place<'a> {
    pub fn number(&self) -> u8 {
        self.hot.number
    }

    /// Value of a numeric field; None when it is none, or has more than 19 digits.
    #[inline]
    pub fn decimal(&self) -> Option<u64> {
        if self.hot.plain {
            return decimal(self.wire);
        }
        self.hot
            .shape
            .packed_number(self.wire, self.count)
            .or_else(|| decimal(&self.normal()))
    }

    /// The first two characters of the normal form.
    #[inline]
    pub fn two(&self) -> Option<[u8; 2]> {
        let first = match (self.hot.plain, self.hot.shape.starts_whole(self.count)) {
            (true, _) => return self.wire.first_chunk().copied(),
            (false, true) => *self.wire.first()?,
            (false, false) => return self.normal().first_chunk().copied(),
        };
        (self.count >= 2).then_some([b'0' + (first >> 4), b'0' + (first & 0xf)])
    }

    /// The whole field in normal form; borrowed where the wire has it.
    #[inline]
    pub fn normal(&self) -> Cow<'a, [u8]> {
        if self.hot.plain {
            return Cow::Borrowed(self.wire);
        }
        let mut out = Vec::with_capacity(self.count);
        self.hot.shape.read(self.wire, self.count, &mut out);
        Cow::Owned(out)
    }
}

impl Spec {
    /// The part of a whole value in normal form.
    pub fn cut<'a>(&self, part: Part, whole: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let found = match (part, &self.layout) {
            (_, Layout::Forms(forms)) if part != Part::Whole => {
                return form::cut(forms, part, whole);
            }
            (Part::Whole, _) => Some(whole),
            (Part::Sub(at), Layout::Positional(subs)) => {
                let sub = subs.get(usize::from(at))?;
                let start = usize::from(sub.at);
                whole.get(start..start + usize::from(sub.length))
            }
            (Part::Tag(tag), Layout::Ber) => tlv::first_ber(whole, tag).map(|e| e.value),
            (
                Part::Tag(tag),
                Layout::Decimal {
                    tag_digits,
                    length_digits,
                    ..
                },
            ) => tlv::Decimal::new(whole, *tag_digits, *length_digits)
                .map_while(Result::ok)
                .find(|e| e.tag == tag)
                .map(|e| e.value),
            _ => None,
        };
        found.map(Cow::Borrowed)
    }
}

impl Source for Message {
    #[inline]
    fn normal(&self, name: Name, out: &mut Vec<u8>) -> bool {
        if name == Name::Mti {
            out.extend_from_slice(&self.mti);
            return true;
        }
        match self.place(self.dialect.number(name)) {
            Some(place) => {
                place.hot.shape.read(place.wire, place.count, out);
                true
            }
            None if self.dialect.elsewhere => match self.elsewhere(name) {
                Some(value) => {
                    out.extend_from_slice(&value);
                    true
                }
                None => false,
            },
            None => false,
        }
    }

    #[inline]
    fn wire(&self, dialect: u64, number: u8) -> Wire<'_> {
        if dialect != self.dialect.identity {
            return Wire::Unlike;
        }
        let Some(place) = self.place(number) else {
            // It may stand elsewhere: `normal` looks there.
            return if self.dialect.elsewhere {
                Wire::Unlike
            } else {
                Wire::Absent
            };
        };
        let width = match place.hot.length {
            Length::Fixed(_) => 0,
            Length::Variable { prefix, .. } => prefix.width(),
        };
        let end = place.offset + place.wire.len();
        place
            .offset
            .checked_sub(width)
            .and_then(|start| self.buffer.get(start..end))
            .map_or(Wire::Absent, Wire::Bytes)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        wipe(&mut self.buffer);
    }
}
