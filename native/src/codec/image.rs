//! What may be shown of a frame that could not be decoded: hexadecimal with two stars for every byte that is of a
//! sensitive field, that nobody can attribute, or that may be part of a card number. Off the hot path.
//!
//! Shown are TPDU and header where they were good, MTI and bitmaps, lengths, and values of class C1 before the fault.
//! A message whose MTI and kind are known to the dialect is taken for what it says it is, and only a value that could
//! be a card number itself is hidden. Of anything else even what was read may be something other than it seems: every
//! run of digits that a card number could be is hidden wherever it stands, in ASCII, EBCDIC or packed.

use crate::codec::class::{Class, Mask};
use crate::codec::decode::{self, Refusal};
use crate::codec::kind::Kind;
use crate::codec::message::Message;
use crate::codec::spec::Dialect;
use crate::codec::value::hex_digit;

/// A frame's content, masked, and where in it the fault is.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// Two characters a byte.
    pub hex: String,
    /// Byte of the fault.
    pub at: usize,
}

/// Digits of a card number.
const CARD_MIN: usize = 13;
const CARD_MAX: usize = 19;
/// The test range: no real card number begins so, and none of it is shown either.
const TEST_RANGE: [u8; 4] = [6, 2, 9, 9];

/// What may be shown of `content`, which stood behind the length of a frame and was refused.
pub fn image(dialect: &Dialect, content: &[u8], refusal: &Refusal) -> Image {
    let width = dialect.envelope.width();
    let addressed = dialect.envelope.open(content).is_ok();
    let mut shown = vec![false; content.len()];
    if addressed {
        show(&mut shown, 0, width);
        let body = content.get(width..).unwrap_or(&[]);
        body_shown(dialect, body, refusal.partial.as_ref(), width, &mut shown);
    }
    Image {
        hex: starred(content, &shown),
        at: refusal.fault.offset + if addressed { width } else { 0 },
    }
}

/// What may be shown of `content`, which was decoded as `message` and whose message code does not hold, with the path
/// of the code; where there is none the place is the end.
pub fn unproved(dialect: &Dialect, content: &[u8], message: &Message) -> (Image, String) {
    let width = dialect.envelope.width();
    let mut shown = vec![false; content.len()];
    show(&mut shown, 0, width);
    let body = content.get(width..).unwrap_or(&[]);
    body_shown(dialect, body, Some(message), width, &mut shown);
    let mut lines = message.lines(false).into_iter();
    let code = lines.find(|line| line.name == "mac" || line.name == "mac2");
    let (at, path) = match code {
        Some(line) => (width + line.offset, format!("field {}", line.number)),
        None => (content.len(), "mac".to_owned()),
    };
    let hex = starred(content, &shown);
    (Image { hex, at }, path)
}

fn starred(content: &[u8], shown: &[bool]) -> String {
    let mut hex = String::with_capacity(2 * content.len());
    for (&byte, &visible) in content.iter().zip(shown) {
        if visible {
            hex.push(char::from(hex_digit(byte >> 4)));
            hex.push(char::from(hex_digit(byte & 0xf)));
        } else {
            hex.push_str("**");
        }
    }
    hex
}

fn body_shown(
    dialect: &Dialect,
    body: &[u8],
    partial: Option<&Message>,
    base: usize,
    shown: &mut [bool],
) {
    let Some((_, first, _)) = decode::announced_fields(dialect, body) else {
        return;
    };
    let known = match partial {
        Some(partial) => {
            let known = partial.kind != Kind::Unknown;
            fields_shown(partial, body, base, known, shown);
            known
        }
        None => false,
    };
    if !known {
        for at in card_like(body) {
            if let Some(slot) = shown.get_mut(base + at) {
                *slot = false;
            }
        }
    }
    // No card number begins with 0: behind such an MTI stands a bitmap.
    if partial.is_some_and(|partial| matches!(partial.mti, [b'0', b'1'..=b'8', ..])) {
        show(shown, base, first);
    }
}

fn fields_shown(partial: &Message, body: &[u8], base: usize, known: bool, shown: &mut [bool]) {
    for line in partial.lines(false) {
        let head = base + (line.offset - line.head.min(line.offset));
        show(shown, head, line.head);
        // A star among its bytes: it shares them with something that is hidden.
        let open = line.class == Class::C1 && line.mask == Mask::Clear && !line.raw.contains('*');
        let end = line.offset.saturating_add(line.length);
        let value = body.get(line.offset..end).unwrap_or(&[]);
        if open && !line.parts && (!known || card_like(value).is_empty()) {
            show(shown, base + line.offset, line.length);
        }
    }
}

fn show(shown: &mut [bool], start: usize, length: usize) {
    if let Some(slots) = shown.get_mut(start..start.saturating_add(length)) {
        slots.fill(true);
    }
}

/// Bytes of every run of digits that a card number could be.
fn card_like(content: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let ascii = content.iter().map(|&b| digit(b.wrapping_sub(b'0')));
    let ebcdic = content.iter().map(|&b| digit(b.wrapping_sub(0xf0)));
    card_digits(&ascii.collect::<Vec<_>>(), 1, &mut found);
    card_digits(&ebcdic.collect::<Vec<_>>(), 1, &mut found);
    // Text holds no packed digits, though the halves of a digit's character are digits too.
    if !content.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        let packed = content
            .iter()
            .flat_map(|&b| [digit(b >> 4), digit(b & 0xf)]);
        card_digits(&packed.collect::<Vec<_>>(), 2, &mut found);
    }
    found
}

fn digit(value: u8) -> Option<u8> {
    (value <= 9).then_some(value)
}

/// Enters the bytes of all windows with a right check digit or of the test range; `per_byte` digits stand in one.
fn card_digits(digits: &[Option<u8>], per_byte: usize, found: &mut Vec<usize>) {
    for start in 0..digits.len() {
        let window = digits.get(start..).unwrap_or(&[]);
        let run: Vec<u8> = window.iter().take(CARD_MAX).map_while(|&d| d).collect();
        // Nobody issues cards that begin with 0 or 1.
        if run.len() < CARD_MIN || run.first().is_some_and(|&first| first < 2) {
            continue;
        }
        let lengths = CARD_MIN..=run.len();
        let likely = run.starts_with(&TEST_RANGE).then_some(run.len());
        let longest = likely.or_else(|| {
            lengths
                .rev()
                .find(|&length| run.get(..length).is_some_and(checks))
        });
        if let Some(length) = longest {
            found.extend((start..start + length).map(|at| at / per_byte));
        }
    }
}

/// The check digit is right.
fn checks(number: &[u8]) -> bool {
    let total: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(
            |(place, &value)| match u32::from(value) * (1 + place as u32 % 2) {
                doubled if doubled > 9 => doubled - 9,
                single => single,
            },
        )
        .sum();
    total % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(content: &[u8]) -> Vec<usize> {
        let mut found = card_like(content);
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn card_numbers_are_found_in_every_writing() {
        let number = b"6299001234567890";
        assert_eq!(
            hidden(&[b"ab", &number[..], b"c"].concat()),
            (2..18).collect::<Vec<_>>()
        );
        let ebcdic: Vec<u8> = number.iter().map(|b| b - b'0' + 0xf0).collect();
        assert_eq!(hidden(&ebcdic), (0..16).collect::<Vec<_>>());
        let packed = [0x62, 0x99, 0x00, 0x12, 0x34, 0x56, 0x78, 0x90];
        assert_eq!(hidden(&packed), (0..8).collect::<Vec<_>>());
        // Half a byte later.
        let shifted = [0xf6, 0x29, 0x90, 0x01, 0x23, 0x45, 0x67, 0x89, 0x0f];
        assert_eq!(hidden(&shifted), (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn a_right_check_digit_is_enough_and_short_runs_are_not() {
        assert!(checks(&[7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3]));
        assert_eq!(hidden(b"2700000000011").len(), 13);
        assert_eq!(hidden(b"2700000000012").len(), 0);
        assert_eq!(hidden(b"123456789012").len(), 0);
    }
}
