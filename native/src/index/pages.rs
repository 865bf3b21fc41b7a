//! Reads LMDB's file page by page, and believes nothing that it reads.
//!
//! LMDB follows every number in its mapped pages without looking: a bit that the disk has changed ends the process, or
//! sends a search to the wrong place. So the walk reads pages with `pread` into memory of its own, checks each bound,
//! and gets `Damaged` where LMDB would crash. A page out of the system's cache costs less than a microsecond, branch
//! pages are kept, and nothing of the file is mapped for reading. LMDB itself holds the snapshot, so that no writer
//! takes the pages up again, and does all writing.
//!
//! Layout (LMDB's data version 1, in the byte order of the machine): pages begin with number (8 bytes), padding (2),
//! flags (2), end of the pointers (2), begin of the nodes (2); then come pointers of 2 bytes to nodes, in the order of
//! their keys. A node is low and high half of a size (2 + 2), flags (2), key size (2), key, value; in a branch page the
//! first six bytes are the number of a page. Pages 0 and 1 say in turns where the newest tree begins.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::Unavailable;

const PAGE_HEAD: usize = 16;
const NODE_HEAD: usize = 8;
const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const OVERFLOW: u16 = 0x04;
const META: u16 = 0x08;
const MAGIC: u32 = 0xbeef_c0de;
const VERSION: u32 = 1;
/// Flags of the list of free pages: its keys are integers.
const FREE_FLAGS: u16 = 0x08;
/// A node whose value is elsewhere, in pages of its own.
const ELSEWHERE: u16 = 0x01;
const NOWHERE: u64 = u64::MAX;
const META_BYTES: usize = 152;
/// A tree of a hundred million tokens has five levels.
const DEPTH_MAX: usize = 12;
/// Branch pages kept: those of about two million tokens, 2 MiB.
const KEPT: usize = 512;

type Found<T> = Result<T, Unavailable>;
const DAMAGED: Unavailable = Unavailable::Damaged;

fn array<const N: usize>(bytes: &[u8], at: usize) -> Found<[u8; N]> {
    let found = at
        .checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .and_then(|part| part.try_into().ok());
    found.ok_or(DAMAGED)
}

fn u16_at(bytes: &[u8], at: usize) -> Found<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Found<u64> {
    array(bytes, at).map(u64::from_ne_bytes)
}

/// Where a tree begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Root {
    page: u64,
    depth: usize,
    entries: u64,
}

/// What one of the first two pages says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    page_bytes: usize,
    main: Root,
    free: Root,
    last: u64,
    transaction: u64,
}

impl Meta {
    fn read(file: &File, at: u64) -> Found<Meta> {
        let mut bytes = [0; META_BYTES];
        file.read_exact_at(&mut bytes, at).map_err(|_| DAMAGED)?;
        let magic = u32::from_ne_bytes(array(&bytes, 16)?);
        let version = u32::from_ne_bytes(array(&bytes, 20)?);
        if u16_at(&bytes, 10)? != META || magic != MAGIC || version != VERSION {
            return Err(DAMAGED);
        }
        let root = |at: usize, flags: u16| -> Found<Root> {
            let page = u64_at(&bytes, at + 40)?;
            let depth = usize::from(u16_at(&bytes, at + 6)?);
            if u16_at(&bytes, at + 4)? != flags || depth > DEPTH_MAX {
                return Err(DAMAGED);
            }
            Ok(Root {
                page,
                depth,
                entries: u64_at(&bytes, at + 32)?,
            })
        };
        let page_bytes = u32::from_ne_bytes(array(&bytes, 40)?) as usize;
        if !page_bytes.is_power_of_two() || !(512..=32768).contains(&page_bytes) {
            return Err(DAMAGED);
        }
        Ok(Meta {
            page_bytes,
            free: root(40, FREE_FLAGS)?,
            main: root(88, 0)?,
            last: u64_at(&bytes, 136)?,
            transaction: u64_at(&bytes, 144)?,
        })
    }
}

/// A page whose head is sound.
struct Page<'a> {
    bytes: &'a [u8],
    count: usize,
}

struct Node<'a> {
    key: &'a [u8],
    /// Of a leaf: where the value is in the page.
    value: std::ops::Range<usize>,
    /// Of a branch: the page below.
    below: u64,
    elsewhere: bool,
}

impl<'a> Page<'a> {
    fn of(bytes: &'a [u8], number: u64, kind: u16) -> Found<Page<'a>> {
        let pointers = usize::from(u16_at(bytes, 12)?);
        let nodes = usize::from(u16_at(bytes, 14)?);
        let sound = u64_at(bytes, 0)? == number
            && u16_at(bytes, 10)? == kind
            && pointers > PAGE_HEAD
            && pointers % 2 == 0
            && pointers <= nodes
            && nodes <= bytes.len();
        sound.then_some(()).ok_or(DAMAGED)?;
        Ok(Page {
            bytes,
            count: (pointers - PAGE_HEAD) / 2,
        })
    }

    #[inline]
    fn node(&self, place: usize, kind: u16) -> Found<Node<'a>> {
        let at = usize::from(u16_at(self.bytes, PAGE_HEAD + 2 * place)?);
        let head = u64::from_ne_bytes(array(self.bytes, at)?);
        let (below, flags) = (head & 0xffff_ffff_ffff, (head >> 32) as u16);
        let begin = at + NODE_HEAD;
        let end = begin + (head >> 48) as usize;
        let key = self.bytes.get(begin..end).ok_or(DAMAGED)?;
        let elsewhere = kind == LEAF && flags == ELSEWHERE;
        if kind == LEAF && flags & !ELSEWHERE != 0 {
            return Err(DAMAGED);
        }
        let size = match (kind, elsewhere) {
            (LEAF, false) => (head & 0xffff_ffff) as usize,
            (LEAF, true) => 8,
            _ => 0,
        };
        let value = end..end.saturating_add(size);
        if value.end > self.bytes.len() {
            return Err(DAMAGED);
        }
        Ok(Node {
            key,
            value,
            below,
            elsewhere,
        })
    }

    /// The last place whose key is not above; None when all are. A branch's first key stands for "before all".
    #[inline]
    fn floor(&self, key: &[u8], kind: u16) -> Found<Option<usize>> {
        let (mut low, mut high) = (usize::from(kind == BRANCH), self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.node(middle, kind)?.key <= key {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1))
    }
}

/// A branch page that is kept.
#[derive(Default)]
struct Kept {
    number: u64,
    bytes: Vec<u8>,
}

/// The file of a generation, as of one snapshot.
pub struct Pages {
    file: File,
    meta: Meta,
    kept: Vec<Kept>,
    leaf: Vec<u8>,
}

impl Pages {
    /// Looks at a file before LMDB does. None of its numbers may lead LMDB out of it when it opens it.
    pub fn open(file: File) -> Found<Pages> {
        let first = Meta::read(&file, 0)?;
        let second = Meta::read(&file, first.page_bytes as u64)?;
        let newest = if first.transaction > second.transaction {
            first
        } else {
            second
        };
        let length = file.metadata().map_err(|_| DAMAGED)?.len();
        let expected = newest
            .last
            .saturating_add(1)
            .saturating_mul(newest.page_bytes as u64);
        if first.page_bytes != second.page_bytes || length < expected {
            return Err(DAMAGED);
        }
        Ok(Pages {
            file,
            meta: newest,
            kept: Vec::new(),
            leaf: vec![0; newest.page_bytes],
        })
    }

    /// Turns to the snapshot of a transaction, which LMDB holds meanwhile. False when later ones have overwritten where
    /// it begins: take a newer one.
    pub fn turn_to(&mut self, transaction: u64) -> Found<bool> {
        let at = (transaction & 1) * self.meta.page_bytes as u64;
        let meta = Meta::read(&self.file, at);
        // A page that is being written is seen half: twice the same is whole.
        if meta != Meta::read(&self.file, at) {
            return Ok(false);
        }
        let meta = meta?;
        if meta.page_bytes != self.meta.page_bytes || meta.transaction < transaction {
            return Err(DAMAGED);
        }
        for kept in &mut self.kept {
            kept.number = 0;
        }
        let same = meta.transaction == transaction;
        if same {
            self.meta = meta;
        }
        Ok(same)
    }

    /// Entries of the tree, as it says.
    pub fn entries(&self) -> u64 {
        self.meta.main.entries
    }

    fn load(file: &File, meta: &Meta, number: u64, bytes: &mut [u8]) -> Found<()> {
        if number < 2 || number > meta.last {
            return Err(DAMAGED);
        }
        let at = number.checked_mul(meta.page_bytes as u64).ok_or(DAMAGED)?;
        file.read_exact_at(bytes, at).map_err(|_| DAMAGED)
    }

    #[inline]
    fn branch(&mut self, number: u64) -> Found<Page<'_>> {
        if self.kept.is_empty() {
            self.kept.resize_with(KEPT, Kept::default);
        }
        let place = (number % KEPT as u64) as usize;
        let kept = self.kept.get_mut(place).ok_or(DAMAGED)?;
        if kept.number != number {
            kept.number = 0;
            kept.bytes.resize(self.meta.page_bytes, 0);
            Self::load(&self.file, &self.meta, number, &mut kept.bytes)?;
            kept.number = number;
        }
        Page::of(&kept.bytes, number, BRANCH)
    }

    fn leaf(&mut self, number: u64) -> Found<Page<'_>> {
        Self::load(&self.file, &self.meta, number, &mut self.leaf)?;
        Page::of(&self.leaf, number, LEAF)
    }

    /// The entry with the greatest key that is not above `key`; None when there is none. Key and value are slices of
    /// the page read last.
    #[inline]
    pub fn floor(&mut self, key: &[u8]) -> Found<Option<(&[u8], &[u8])>> {
        let root = self.meta.main;
        let mut number = root.page;
        // Where to turn when all keys of the leaf are above: the page left of the way taken, and its level.
        let mut left = None;
        for level in 1..root.depth {
            let page = self.branch(number)?;
            let place = page.floor(key, BRANCH)?.ok_or(DAMAGED)?;
            if let Some(before) = place.checked_sub(1) {
                left = Some((page.node(before, BRANCH)?.below, level));
            }
            number = page.node(place, BRANCH)?.below;
        }
        if root.depth == 0 {
            return Ok(None);
        }
        let mut place = self.leaf(number)?.floor(key, LEAF)?;
        if place.is_none() {
            let Some((below, level)) = left else {
                return Ok(None);
            };
            number = below;
            for _ in level + 1..root.depth {
                let page = self.branch(number)?;
                number = page.node(page.count - 1, BRANCH)?.below;
            }
            place = self.leaf(number)?.floor(key, LEAF)?;
        }
        // All above again: the branches above were wrong.
        let place = place.ok_or(DAMAGED)?;
        let page = Page::of(&self.leaf, number, LEAF)?;
        let node = page.node(place, LEAF)?;
        if node.elsewhere {
            return Err(DAMAGED);
        }
        let value = self.leaf.get(node.value).ok_or(DAMAGED)?;
        Ok(Some((node.key, value)))
    }

    /// Visits every entry in order.
    pub fn walk(&mut self, visit: impl FnMut(&[u8], &[u8]) -> Found<()>) -> Found<()> {
        self.walk_tree(self.meta.main, false, visit)
    }

    /// Whether LMDB may write what lies at `keys`: every page that it would look at is sound, and so is its list of
    /// free pages.
    pub fn sound_for<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>) -> Found<()> {
        let root = self.meta.main;
        for key in keys {
            let mut number = root.page;
            for _ in 1..root.depth {
                let page = self.branch(number)?;
                every(&page, BRANCH)?;
                let place = page.floor(key, BRANCH)?.ok_or(DAMAGED)?;
                number = page.node(place, BRANCH)?.below;
            }
            every(&self.leaf(number)?, LEAF)?;
        }
        let (last, page_bytes) = (self.meta.last, self.meta.page_bytes as u64);
        let file = self.file.try_clone().map_err(|_| DAMAGED)?;
        self.walk_tree(self.meta.free, true, |key, value| {
            u64_at(key, 0)?;
            // The list itself, or the page where it is.
            let mut head = [0; PAGE_HEAD + 8];
            let mut room = value.len() as u64;
            let mut listed = value.get(..8).ok_or(DAMAGED)?;
            let number = u64_at(value, 0)?;
            if key.len() == 9 {
                let at = number.checked_mul(page_bytes).ok_or(DAMAGED)?;
                file.read_exact_at(&mut head, at).map_err(|_| DAMAGED)?;
                let pages = u64::from(u32::from_ne_bytes(array(&head, 12)?));
                let sound = u64_at(&head, 0)? == number
                    && u16_at(&head, 10)? == OVERFLOW
                    && pages > 0
                    && number.saturating_add(pages) <= last + 1;
                sound.then_some(()).ok_or(DAMAGED)?;
                room = pages * page_bytes - PAGE_HEAD as u64;
                listed = head.get(PAGE_HEAD..).ok_or(DAMAGED)?;
            }
            let count = u64_at(listed, 0)?;
            let needed = count.saturating_add(1).saturating_mul(8);
            (needed <= room).then_some(()).ok_or(DAMAGED)
        })
    }

    /// Visits a tree in order. Where `outside` allows values elsewhere, their keys come with a byte more.
    fn walk_tree(
        &mut self,
        root: Root,
        outside: bool,
        mut visit: impl FnMut(&[u8], &[u8]) -> Found<()>,
    ) -> Found<()> {
        if root.depth == 0 || root.page == NOWHERE {
            return Ok(());
        }
        let mut way: Vec<(u64, usize)> = vec![(root.page, 0)];
        let mut long = Vec::new();
        let mut visited = 0;
        while let Some((number, place)) = way.pop() {
            if way.len() + 1 < root.depth {
                let page = self.branch(number)?;
                if place < page.count {
                    let below = page.node(place, BRANCH)?.below;
                    way.push((number, place + 1));
                    way.push((below, 0));
                }
                continue;
            }
            // No page is reached twice.
            visited += 1;
            if visited > self.meta.last {
                return Err(DAMAGED);
            }
            let page = self.leaf(number)?;
            for place in 0..page.count {
                let node = page.node(place, LEAF)?;
                let value = page.bytes.get(node.value).ok_or(DAMAGED)?;
                if !node.elsewhere {
                    visit(node.key, value)?;
                } else if outside {
                    long.clear();
                    long.extend_from_slice(node.key);
                    long.push(0);
                    visit(&long, value)?;
                } else {
                    return Err(DAMAGED);
                }
            }
        }
        Ok(())
    }
}

/// Every node of the page lies within it.
fn every(page: &Page<'_>, kind: u16) -> Found<()> {
    (0..page.count).try_for_each(|place| page.node(place, kind).map(|_| ()))
}
