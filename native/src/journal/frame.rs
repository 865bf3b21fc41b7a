//! Bytes of a segment file: head block, link block, record frames. No I/O.
//!
//! ```text
//! 0      head   4096  written, with the whole file, before the segment is used: magic, journal id, index, salt
//! 4096   link   4096  written with the first group: first LSN, where and how the previous segment ended, checkpoint
//! 8192   records, one after another, up to zeros or the end of the file
//! ```
//!
//! A record frame, little-endian:
//!
//! ```text
//! 0   length u32     of the whole frame
//! 4   crc32c u32     of bytes 8.., seeded with the segment's salt and the frame's offset: a frame that was written
//!                    elsewhere, or to another segment, does not pass for one of this place
//! 8   lsn u64        dense over all segments, from 1
//! 16  chain 16       seal tag of the previous record
//! 32  group u32      LSN minus that of the first record of its group (what one fdatasync made durable)
//! 36  kind, flags, length of the PAN (0: none), zero
//! 40  sealed PAN + tag 16, sealed payload + tag 16
//! ```
//!
//! The payload's tag authenticates everything before it in the frame but length and checksum, chain included, so the
//! tags form a chain over the whole journal. Nonces are the LSN and a part number; keys are the segment's own.

use aes_gcm_siv::aead::AeadInOut;
use aes_gcm_siv::{Nonce, Tag};
use zeroize::{Zeroize, Zeroizing};

use super::keys::{Keys, SALT_BYTES, SegmentKeys, Which};
use super::record::{PAN_BYTES_MAX, PAYLOAD_BYTES_MAX};

/// Head and link take a page each, so that neither shares one with records that are rewritten beside it.
pub const BLOCK_BYTES: usize = 4096;
/// Where records begin.
pub const RECORDS_AT: u64 = 2 * BLOCK_BYTES as u64;
/// Version of the file format.
pub const FORMAT: u32 = 1;
/// Bytes of a seal tag, and of the chain.
pub const TAG_BYTES: usize = 16;
const FRAME_HEAD_BYTES: usize = 40;
/// Shortest frame: an empty payload.
pub const FRAME_BYTES_MIN: usize = FRAME_HEAD_BYTES + TAG_BYTES;
/// Longest frame.
pub const FRAME_BYTES_MAX: usize =
    FRAME_HEAD_BYTES + PAN_BYTES_MAX + TAG_BYTES + PAYLOAD_BYTES_MAX + TAG_BYTES;
/// The smallest segment holds its blocks and the longest frame.
pub const SEGMENT_BYTES_MIN: u64 = 16_384;

const HEAD_MAGIC: &[u8; 8] = b"TSWJRNL1";
const LINK_MAGIC: &[u8; 8] = b"TSWJLNK1";
/// Where the salt of a segment's keys stands in its head.
pub const SALT_AT: usize = 64;
const HEAD_SEALED: usize = 96;
const LINK_SEALED: usize = 104;
/// A record that a checkpoint carried forward: the whole state of its item as of this LSN.
pub const FLAG_CARRIED: u8 = 1;

/// The last record's payload tag.
pub type Chain = [u8; TAG_BYTES];

/// What a nonce belongs to; the numbers keep nonces of one segment apart.
#[derive(Clone, Copy)]
enum Part {
    Payload = 0,
    Pan = 1,
    Link = 2,
    Head = 3,
}

fn nonce(part: Part, lsn: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[0] = part as u8;
    nonce[4..].copy_from_slice(&lsn.to_le_bytes());
    nonce
}

fn get_u32(bytes: &[u8], at: usize) -> u32 {
    let mut four = [0; 4];
    four.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(four)
}

fn get_u64(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// The first block of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Random, the same in every segment of one journal.
    pub journal: [u8; 16],
    /// From 1, without gaps.
    pub index: u64,
    pub segment_bytes: u64,
    pub created_ms: i64,
    pub salt: [u8; SALT_BYTES],
}

/// Why a head block is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadFault {
    Damaged,
    /// A later format.
    Format(u32),
    WrongKey(&'static str),
}

impl Head {
    pub fn encode(&self, keys: &Keys, segment: &SegmentKeys) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        block[..8].copy_from_slice(HEAD_MAGIC);
        block[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        block[12..15].copy_from_slice(&keys.check_value(Which::Journal));
        block[15..18].copy_from_slice(&keys.check_value(Which::Pan));
        block[24..40].copy_from_slice(&self.journal);
        block[40..48].copy_from_slice(&self.index.to_le_bytes());
        block[48..56].copy_from_slice(&self.segment_bytes.to_le_bytes());
        block[56..64].copy_from_slice(&self.created_ms.to_le_bytes());
        block[64..96].copy_from_slice(&self.salt);
        finish_block(&mut block, HEAD_SEALED, segment, nonce(Part::Head, 0));
        block
    }

    /// Reads a head and the keys of its segment.
    pub fn decode(
        block: &[u8],
        keys: &Keys,
    ) -> Result<(Head, crate::buf::Locked<SegmentKeys>), HeadFault> {
        if block.len() != BLOCK_BYTES || !block_sound(block, HEAD_SEALED, HEAD_MAGIC) {
            return Err(HeadFault::Damaged);
        }
        let format = get_u32(block, 8);
        if format != FORMAT {
            return Err(HeadFault::Format(format));
        }
        for (which, name, at) in [(Which::Journal, "journal", 12), (Which::Pan, "PAN", 15)] {
            if block[at..at + 3] != keys.check_value(which) {
                return Err(HeadFault::WrongKey(name));
            }
        }
        let mut head = Head {
            journal: [0; 16],
            index: get_u64(block, 40),
            segment_bytes: get_u64(block, 48),
            created_ms: get_u64(block, 56) as i64,
            salt: [0; SALT_BYTES],
        };
        head.journal.copy_from_slice(&block[24..40]);
        head.salt.copy_from_slice(&block[64..96]);
        let segment = keys.segment(&head.salt).map_err(|_| HeadFault::Damaged)?;
        if !block_genuine(block, HEAD_SEALED, &segment, nonce(Part::Head, 0)) {
            return Err(HeadFault::Damaged);
        }
        Ok((head, segment))
    }
}

/// Where a checkpoint begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Index of the segment; 0 is nowhere.
    pub segment: u64,
    pub offset: u64,
    pub lsn: u64,
}

/// The second block of a segment: how it joins the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub first_lsn: u64,
    /// Where the previous segment ends (0 in the first segment). What stands behind it there was never acknowledged.
    pub previous_end: u64,
    /// Tag of the last record before this segment.
    pub chain: Chain,
    /// Begin of the newest complete checkpoint.
    pub checkpoint: Place,
    /// Begin of a checkpoint that is not complete yet.
    pub unfinished: Place,
    pub opened_ms: i64,
}

impl Link {
    pub fn encode(&self, segment: &SegmentKeys) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        block[..8].copy_from_slice(LINK_MAGIC);
        block[8..16].copy_from_slice(&self.first_lsn.to_le_bytes());
        block[16..24].copy_from_slice(&self.previous_end.to_le_bytes());
        block[24..40].copy_from_slice(&self.chain);
        let mut at = 40;
        for place in [self.checkpoint, self.unfinished] {
            for number in [place.segment, place.offset, place.lsn] {
                block[at..at + 8].copy_from_slice(&number.to_le_bytes());
                at += 8;
            }
        }
        block[88..96].copy_from_slice(&self.opened_ms.to_le_bytes());
        finish_block(&mut block, LINK_SEALED, segment, nonce(Part::Link, 0));
        block
    }

    /// None when the block is not a whole, genuine link of this segment.
    pub fn decode(block: &[u8], segment: &SegmentKeys) -> Option<Link> {
        if block.len() != BLOCK_BYTES
            || !block_sound(block, LINK_SEALED, LINK_MAGIC)
            || !block_genuine(block, LINK_SEALED, segment, nonce(Part::Link, 0))
        {
            return None;
        }
        let place = |at| Place {
            segment: get_u64(block, at),
            offset: get_u64(block, at + 8),
            lsn: get_u64(block, at + 16),
        };
        let mut link = Link {
            first_lsn: get_u64(block, 8),
            previous_end: get_u64(block, 16),
            chain: [0; TAG_BYTES],
            checkpoint: place(40),
            unfinished: place(64),
            opened_ms: get_u64(block, 88) as i64,
        };
        link.chain.copy_from_slice(&block[24..40]);
        Some(link)
    }
}

/// Puts tag and checksum behind the first `sealed` bytes. All of it lies in the first sector, so a block is torn
/// into "whole" or "never written", nothing between.
fn finish_block(block: &mut [u8], sealed: usize, segment: &SegmentKeys, nonce: Nonce) {
    let tag = segment
        .payload
        .encrypt_inout_detached(&nonce, &block[..sealed], (&mut [][..]).into())
        .unwrap_or_default();
    block[sealed..sealed + TAG_BYTES].copy_from_slice(&tag);
    let crc = crc32c::crc32c(&block[..sealed + TAG_BYTES]);
    block[sealed + TAG_BYTES..sealed + TAG_BYTES + 4].copy_from_slice(&crc.to_le_bytes());
}

fn block_sound(block: &[u8], sealed: usize, magic: &[u8; 8]) -> bool {
    let end = sealed + TAG_BYTES;
    block[..8] == *magic
        && get_u32(block, end) == crc32c::crc32c(&block[..end])
        && is_zero(&block[end + 4..])
}

fn block_genuine(block: &[u8], sealed: usize, segment: &SegmentKeys, nonce: Nonce) -> bool {
    let mut tag = Tag::default();
    tag.copy_from_slice(&block[sealed..sealed + TAG_BYTES]);
    segment
        .payload
        .decrypt_inout_detached(&nonce, &block[..sealed], (&mut [][..]).into(), &tag)
        .is_ok()
}

/// True when every byte is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    // Whole words first: this runs over the unwritten rest of a segment at every start.
    let words = bytes.chunks_exact(64);
    let rest = words.remainder();
    words.into_iter().all(|w| *w == [0; 64]) && rest.iter().all(|b| *b == 0)
}

/// Checksum seed of a segment: its salt.
pub fn seed_of(salt: &[u8; SALT_BYTES]) -> u32 {
    crc32c::crc32c(salt)
}

/// What a frame's checksum must be at an offset of a segment; `bytes` are those behind it.
pub fn checksum(seed: u32, offset: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &offset.to_le_bytes()), bytes)
}

/// One record before sealing.
pub struct Draft<'a> {
    pub lsn: u64,
    pub chain: Chain,
    pub group: u32,
    pub kind: u8,
    pub flags: u8,
    pub payload: &'a [u8],
    pub pan: &'a [u8],
}

/// Bytes that a record of these lengths takes in a segment.
pub fn frame_bytes(payload: usize, pan: usize) -> usize {
    let pan_part = if pan == 0 { 0 } else { pan + TAG_BYTES };
    FRAME_HEAD_BYTES + pan_part + payload + TAG_BYTES
}

/// Seals a record at the end of `out`, whose first byte will stand at `base` in the file. Returns its tag.
///
/// None only for lengths beyond the cipher's limits, which `Journal::append` refuses long before.
pub fn seal(
    out: &mut Vec<u8>,
    base: u64,
    seed: u32,
    keys: &SegmentKeys,
    draft: &Draft,
) -> Option<Chain> {
    let start = out.len();
    let length = frame_bytes(draft.payload.len(), draft.pan.len());
    out.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&draft.lsn.to_le_bytes());
    out.extend_from_slice(&draft.chain);
    out.extend_from_slice(&draft.group.to_le_bytes());
    out.extend_from_slice(&[
        draft.kind,
        draft.flags,
        u8::try_from(draft.pan.len()).ok()?,
        0,
    ]);
    if !draft.pan.is_empty() {
        let at = out.len();
        out.extend_from_slice(draft.pan);
        let (before, pan) = out.split_at_mut(at);
        let sealed = keys.pan.encrypt_inout_detached(
            &nonce(Part::Pan, draft.lsn),
            &before[start + 8..],
            pan.into(),
        );
        let Ok(tag) = sealed else {
            out[at..].zeroize();
            return None;
        };
        out.extend_from_slice(&tag);
    }
    let at = out.len();
    out.extend_from_slice(draft.payload);
    let (before, payload) = out.split_at_mut(at);
    let tag = keys
        .payload
        .encrypt_inout_detached(
            &nonce(Part::Payload, draft.lsn),
            &before[start + 8..],
            payload.into(),
        )
        .ok()?;
    out.extend_from_slice(&tag);
    let crc = checksum(seed, base + start as u64, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    Some(tag.into())
}

/// A frame whose length and checksum are right for its place.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame at `at` in bytes that start at file offset `base`; None when there is none.
    pub fn read(segment: &'a [u8], at: usize, base: u64, seed: u32) -> Option<Frame<'a>> {
        let length = get_u32(segment.get(at..at + 4)?, 0) as usize;
        if !(FRAME_BYTES_MIN..=FRAME_BYTES_MAX).contains(&length) {
            return None;
        }
        let bytes = segment.get(at..at + length)?;
        let pan = usize::from(bytes[38]);
        if pan > PAN_BYTES_MAX || length < frame_bytes(0, pan) || bytes[39] != 0 {
            return None;
        }
        (get_u32(bytes, 4) == checksum(seed, base + at as u64, &bytes[8..]))
            .then_some(Frame { bytes })
    }

    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    pub fn lsn(&self) -> u64 {
        get_u64(self.bytes, 8)
    }

    pub fn chain(&self) -> &'a [u8] {
        &self.bytes[16..32]
    }

    /// LSN of the first record of this record's group.
    pub fn group_start(&self) -> u64 {
        self.lsn()
            .saturating_sub(u64::from(get_u32(self.bytes, 32)))
    }

    pub fn kind(&self) -> u8 {
        self.bytes[36]
    }

    pub fn flags(&self) -> u8 {
        self.bytes[37]
    }

    pub fn has_pan(&self) -> bool {
        self.bytes[38] != 0
    }

    pub fn tag(&self) -> Chain {
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&self.bytes[self.bytes.len() - TAG_BYTES..]);
        tag
    }

    /// End of the sealed PAN in the frame.
    fn pan_end(&self) -> usize {
        FRAME_HEAD_BYTES
            + if self.has_pan() {
                usize::from(self.bytes[38]) + TAG_BYTES
            } else {
                0
            }
    }

    /// Opens the payload into `out`; false when the frame is not genuine.
    pub fn open(&self, keys: &SegmentKeys, out: &mut Vec<u8>) -> bool {
        let (start, end) = (self.pan_end(), self.bytes.len() - TAG_BYTES);
        out.clear();
        out.extend_from_slice(&self.bytes[start..end]);
        let mut tag = Tag::default();
        tag.copy_from_slice(&self.bytes[end..]);
        keys.payload
            .decrypt_inout_detached(
                &nonce(Part::Payload, self.lsn()),
                &self.bytes[8..start],
                out.as_mut_slice().into(),
                &tag,
            )
            .is_ok()
    }

    /// Opens the PAN; None when it is not genuine or there is none.
    pub fn open_pan(&self, keys: &SegmentKeys) -> Option<Zeroizing<Vec<u8>>> {
        if !self.has_pan() {
            return None;
        }
        let end = self.pan_end() - TAG_BYTES;
        let mut pan = Zeroizing::new(self.bytes[FRAME_HEAD_BYTES..end].to_vec());
        let mut tag = Tag::default();
        tag.copy_from_slice(&self.bytes[end..end + TAG_BYTES]);
        keys.pan
            .decrypt_inout_detached(
                &nonce(Part::Pan, self.lsn()),
                &self.bytes[8..FRAME_HEAD_BYTES],
                pan.as_mut_slice().into(),
                &tag,
            )
            .ok()?;
        Some(pan)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment() -> (Keys, Head, crate::buf::Locked<SegmentKeys>) {
        let keys = Keys::ephemeral().unwrap();
        let head = Head {
            journal: [3; 16],
            index: 7,
            segment_bytes: 65_536,
            created_ms: 5,
            salt: [9; 32],
        };
        let segment = keys.segment(&head.salt).unwrap();
        (keys, head, segment)
    }

    #[test]
    fn head_and_link_survive_and_any_flip_is_noticed() {
        let (keys, head, segment) = segment();
        let block = head.encode(&keys, &segment);
        assert_eq!(Head::decode(&block, &keys).map(|(h, _)| h), Ok(head));
        let place = Place {
            segment: 3,
            offset: 8192,
            lsn: 55,
        };
        let link = Link {
            first_lsn: 99,
            previous_end: 9000,
            chain: [4; 16],
            checkpoint: place,
            unfinished: Place::default(),
            opened_ms: -1,
        };
        let linked = link.encode(&segment);
        assert_eq!(Link::decode(&linked, &segment), Some(link));
        for at in 0..BLOCK_BYTES {
            let mut bad = block.clone();
            bad[at] ^= 0x10;
            assert!(Head::decode(&bad, &keys).is_err(), "head byte {at}");
            let mut bad = linked.clone();
            bad[at] ^= 0x10;
            assert_eq!(Link::decode(&bad, &segment), None, "link byte {at}");
        }
    }

    #[test]
    fn another_key_is_named() {
        let (keys, head, segment) = segment();
        let block = head.encode(&keys, &segment);
        let other = Keys::ephemeral().unwrap();
        assert_eq!(
            Head::decode(&block, &other).map(|(h, _)| h),
            Err(HeadFault::WrongKey("journal"))
        );
    }

    #[test]
    fn a_frame_is_bound_to_its_place() {
        let (_, head, segment) = segment();
        let seed = seed_of(&head.salt);
        let mut out = Vec::new();
        let draft = Draft {
            lsn: 1,
            chain: [0; 16],
            group: 0,
            kind: 2,
            flags: 0,
            payload: b"abc",
            pan: b"",
        };
        seal(&mut out, 0, seed, &segment, &draft).unwrap();
        assert!(Frame::read(&out, 0, 0, seed).is_some());
        let mut moved = vec![0; 8];
        moved.extend_from_slice(&out);
        assert!(Frame::read(&moved, 8, 0, seed).is_none());
        assert!(Frame::read(&out, 0, 0, seed ^ 1).is_none());
    }

    proptest! {
        #[test]
        fn sealed_is_opened(
            payload in proptest::collection::vec(any::<u8>(), 0..600),
            pan in "([0-9]{12,19})?",
            lsn in 1u64.., group in 0u32..1000, chain: [u8; 16], kind in 1u8..9, flip in any::<proptest::sample::Index>(),
        ) {
            let (_, head, segment) = segment();
            let seed = seed_of(&head.salt);
            let mut out = vec![0u8; 13];
            let draft = Draft { lsn, chain, group, kind, flags: 0, payload: &payload, pan: pan.as_bytes() };
            let tag = seal(&mut out, 0, seed, &segment, &draft).unwrap();
            prop_assert_eq!(out.len(), 13 + frame_bytes(payload.len(), pan.len()));
            let frame = Frame::read(&out, 13, 0, seed).unwrap();
            let mut opened = Vec::new();
            prop_assert!(frame.open(&segment, &mut opened));
            prop_assert_eq!(&opened, &payload);
            prop_assert_eq!(frame.open_pan(&segment).map(|p| p.to_vec()), (!pan.is_empty()).then(|| pan.as_bytes().to_vec()));
            prop_assert_eq!((frame.lsn(), frame.kind(), frame.tag()), (lsn, kind, tag));
            prop_assert_eq!(frame.group_start(), lsn.saturating_sub(u64::from(group)));
            prop_assert_eq!(frame.chain(), &chain[..]);
            if !pan.is_empty() {
                prop_assert!(!out.windows(pan.len()).any(|w| w == pan.as_bytes()));
            }

            let at = 13 + flip.index(out.len() - 13);
            let mut bad = out.clone();
            bad[at] ^= 0x40;
            prop_assert!(Frame::read(&bad, 13, 0, seed).is_none());
        }

        #[test]
        fn any_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..220) {
            let _ = Frame::read(&raw, at, 0, 1);
            let keys = Keys::ephemeral().unwrap();
            let mut block = raw.clone();
            block.resize(BLOCK_BYTES, 0);
            prop_assert!(Head::decode(&block, &keys).is_err());
        }
    }
}
