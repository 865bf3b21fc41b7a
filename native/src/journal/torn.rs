//! How the last segment ends: with nothing, with a torn group, or with damage.
//!
//! A crash leaves the last group half written: any of its 512-byte sectors is either new or as it was before (zeros,
//! because segments are written in full before use). Nothing of such a group was acknowledged, so it is cut. Anything
//! else that is invalid is damage, because a group is only started when the one before is durable:
//!
//! - no valid frame behind the invalid bytes: a torn tail, cut;
//! - a valid frame of a *later* group behind them: what is invalid was durable once, damage;
//! - a valid frame of the *same* group behind them: torn when a whole sector between is missing (zeros), else damage;
//! - a segment that has a successor ends where its successor says, and every byte before that must be right.

use super::frame::{FRAME_BYTES_MIN, Frame, is_zero};

const SECTOR_BYTES: usize = 512;

/// What stands at `at`, where no valid record is: 0 for nothing, the length of a torn group, or why it is damage.
pub fn end_of(bytes: &[u8], at: usize, seed: u32, expected: u64) -> Result<usize, String> {
    let rest = &bytes[at..];
    if is_zero(rest) {
        return Ok(0);
    }
    let mut first: Option<usize> = None;
    let mut later = None;
    let mut group_here = true;
    later_frames(bytes, at + 1, seed, |offset, frame| {
        first.get_or_insert(offset);
        group_here &= frame.group_start() == expected;
        if frame.group_start() > expected || frame.lsn() <= expected {
            later.get_or_insert((offset, frame.lsn()));
        }
    });
    if let Some((offset, lsn)) = later {
        return Err(format!(
            "no valid record, but record {lsn} of a later group at offset {offset} is whole"
        ));
    }
    if let Some(valid) = first {
        if !sector_missing(bytes, at, valid, group_here) {
            return Err(format!(
                "no valid record, but the next one at offset {valid} is whole"
            ));
        }
    }
    Ok(rest
        .iter()
        .rposition(|b| *b != 0)
        .map_or(0, |last| last + 1))
}

/// True when at least one sector between `at` and `valid` was never written. The first sector counts from `at` on when
/// the group starts there: what stands before it was written by an earlier group.
fn sector_missing(bytes: &[u8], at: usize, valid: usize, group_starts_at: bool) -> bool {
    let whole = at.next_multiple_of(SECTOR_BYTES);
    // Two bytes at least: the low half of a length is never zero.
    let clipped =
        group_starts_at && whole <= valid && whole - at >= 2 && is_zero(&bytes[at..whole]);
    let mut sector = whole;
    let mut missing = clipped;
    while !missing && sector + SECTOR_BYTES <= valid {
        missing = is_zero(&bytes[sector..sector + SECTOR_BYTES]);
        sector += SECTOR_BYTES;
    }
    missing
}

/// Calls `found` for every valid frame at any offset from `from` on.
pub fn later_frames(
    bytes: &[u8],
    from: usize,
    seed: u32,
    mut found: impl FnMut(usize, &Frame<'_>),
) {
    let mut at = from;
    while at + FRAME_BYTES_MIN <= bytes.len() {
        // The two high bytes of every length are zero, its low half is not: a cheap look before the checksum.
        let plausible =
            bytes[at + 2] == 0 && bytes[at + 3] == 0 && (bytes[at] | bytes[at + 1]) != 0;
        match plausible.then(|| Frame::read(bytes, at, 0, seed)).flatten() {
            Some(frame) => {
                found(at, &frame);
                at += frame.length();
            }
            None => at += 1,
        }
    }
}
