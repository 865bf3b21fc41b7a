//! Reading a journal: every record in order, checked, and how the journal ends (`torn` judges that).

use zeroize::Zeroizing;

use super::checkpoint::track;
use super::device::{Store, segment_name};
use super::error::JournalError;
use super::frame::{
    BLOCK_BYTES, Chain, FLAG_CARRIED, Frame, Link, Place, RECORDS_AT, is_zero, seed_of,
};
use super::keys::{Keys, SegmentKeys};
use super::record::{Fields, RecordKind};
use super::survey::{Known, LinkState, Survey, link_state, load, load_into, survey};
use super::torn::{end_of, later_frames};
use crate::simulation::mutant::{self, Mutant};

/// How often a reader without the lock looks again at a group that is just being written, and how long it waits.
const LIVE_RETRIES_MAX: u32 = 25;
const LIVE_RETRY_MS: u64 = 20;

/// One record as a scan shows it.
pub struct RecordRef<'a> {
    pub lsn: u64,
    pub kind: RecordKind,
    /// Carried forward by a checkpoint: the whole state of its item as of this LSN.
    pub carried: bool,
    pub fields: Fields<'a>,
    pub place: Place,
    frame: Frame<'a>,
    keys: &'a SegmentKeys,
}

impl RecordRef<'_> {
    pub fn has_pan(&self) -> bool {
        self.frame.has_pan()
    }

    /// The PAN in clear, wiped when dropped; None when the record has none.
    pub fn pan(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.frame.open_pan(self.keys)
    }
}

/// What a visitor of records returns.
pub type Visit<'v> = dyn FnMut(&RecordRef<'_>) -> Result<(), JournalError> + 'v;

/// Where a scan starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The oldest segment there is.
    Oldest,
    /// The newest complete checkpoint; the first record when there is none.
    Checkpoint,
    /// A place known from an earlier report; segment 0 is the oldest.
    Place(Place),
}

/// Bytes of a group that never became durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    pub file: String,
    pub offset: u64,
    pub bytes: u64,
}

/// What a scan found at the end of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub journal: [u8; 16],
    /// Records visited.
    pub records: u64,
    pub last_lsn: u64,
    pub chain: Chain,
    /// Index of the last segment with records, and where they end; 0 when there is none.
    pub last_index: u64,
    pub last_end: u64,
    /// Where the last group begins: what stands before it was durable when it was written.
    pub last_group: u64,
    pub checkpoint: Place,
    pub torn: Option<Torn>,
    /// Segments prepared but never used, by index; true when nothing at all was written to them.
    pub spares: Vec<(u64, bool)>,
    pub segments: u64,
}

/// Walks the records of a journal.
struct Scanner<'s> {
    store: &'s dyn Store,
    keys: &'s Keys,
    survey: &'s Survey,
    /// A writer may be at work: look again before calling its last group torn.
    live: bool,
    until: u64,
    /// Records below this LSN are checked, not visited.
    visit_from: u64,
    /// Index and first LSN of every segment with records.
    starts: Vec<(u64, u64)>,
    next_lsn: u64,
    chain: Chain,
    unfinished: Place,
    report: Report,
    payload: Zeroizing<Vec<u8>>,
    /// The segment that was read last; its memory serves for the next one.
    segment: Vec<u8>,
}

/// Visits records in order up to LSN `until` and reports how the journal ends.
pub fn scan(
    store: &dyn Store,
    keys: &Keys,
    from: From,
    until: u64,
    live: bool,
    visit: &mut Visit<'_>,
) -> Result<Report, JournalError> {
    let survey = survey(store, keys)?;
    let start = match from {
        From::Oldest => Place::default(),
        From::Checkpoint => tail(store, keys, &survey, live)?.checkpoint,
        From::Place(place) => place,
    };
    let first = survey.known.first().map_or(1, |k| k.index);
    let position = start.segment.saturating_sub(first) as usize;
    let mut scanner = Scanner::new(store, keys, &survey, live, until);
    scanner.visit_from = start.lsn;
    scanner.run(position, visit)?;
    if from == From::Oldest {
        check_oldest(&survey, &scanner.report)?;
    }
    if until == u64::MAX {
        scanner.spares()?;
    }
    Ok(scanner.report)
}

/// How the journal ends: scans the last segment with records, and looks at the spare ones behind it.
pub fn tail(
    store: &dyn Store,
    keys: &Keys,
    survey: &Survey,
    live: bool,
) -> Result<Report, JournalError> {
    let mut scanner = Scanner::new(store, keys, survey, live, u64::MAX);
    if survey.linked > 0 {
        scanner.run(survey.linked - 1, &mut |_| Ok(()))?;
    }
    check_oldest(survey, &scanner.report)?;
    scanner.spares()?;
    Ok(scanner.report)
}

/// The oldest segment is the first ever, or a checkpoint stands for what is gone.
fn check_oldest(survey: &Survey, report: &Report) -> Result<(), JournalError> {
    let Some(oldest) = survey.known.first() else {
        return Ok(());
    };
    let needed = if report.checkpoint.segment == 0 {
        1
    } else {
        report.checkpoint.segment
    };
    if oldest.index > needed {
        let name = segment_name(needed);
        let file = oldest.file.replace(&segment_name(oldest.index), &name);
        return Err(JournalError::damaged(
            &file,
            0,
            "the segment is missing, and no checkpoint stands for it",
        ));
    }
    Ok(())
}

impl<'s> Scanner<'s> {
    fn new(
        store: &'s dyn Store,
        keys: &'s Keys,
        survey: &'s Survey,
        live: bool,
        until: u64,
    ) -> Scanner<'s> {
        let report = Report {
            journal: survey.known.first().map_or([0; 16], |k| k.head.journal),
            segments: survey.known.len() as u64,
            ..Report::default()
        };
        Scanner {
            store,
            keys,
            survey,
            live,
            until,
            visit_from: 0,
            starts: survey.starts(),
            next_lsn: 1,
            chain: Chain::default(),
            unfinished: Place::default(),
            report,
            payload: Zeroizing::new(Vec::with_capacity(1024)),
            segment: Vec::new(),
        }
    }

    /// Segments from `position` on.
    fn run(&mut self, position: usize, visit: &mut Visit<'_>) -> Result<(), JournalError> {
        let survey = self.survey;
        let linked = &survey.known[..survey.linked];
        for (i, known) in linked.iter().enumerate().skip(position) {
            let Some(link) = &known.link else { continue };
            if link.first_lsn > self.until {
                break;
            }
            self.join(known, link, i == position)?;
            let next = linked.get(i + 1).and_then(|k| k.link.as_ref());
            self.segment(known, next, visit)?;
            if self.next_lsn > self.until {
                break;
            }
        }
        Ok(())
    }

    /// Checks that a segment follows the one before, or starts the scan with it.
    fn join(&mut self, known: &Known, link: &Link, first: bool) -> Result<(), JournalError> {
        if first {
            self.next_lsn = link.first_lsn;
            self.chain = link.chain;
            self.report.checkpoint = link.checkpoint;
            self.report.last_lsn = link.first_lsn.saturating_sub(1);
            self.report.chain = link.chain;
        } else if link.first_lsn != self.next_lsn || self.chain != link.chain {
            let problem = format!(
                "the segment follows record {}, the one before ends with {}",
                link.first_lsn.wrapping_sub(1),
                self.next_lsn - 1
            );
            return Err(JournalError::damaged(
                &known.file,
                BLOCK_BYTES as u64,
                problem,
            ));
        }
        // A process that began a checkpoint and never ended it is told by the link of its successor.
        self.unfinished = link.unfinished;
        Ok(())
    }

    fn segment(
        &mut self,
        known: &Known,
        next: Option<&Link>,
        visit: &mut Visit<'_>,
    ) -> Result<(), JournalError> {
        let segment = self
            .keys
            .segment(&known.head.salt)
            .map_err(|e| known.unusable(&e))?;
        let seed = seed_of(&known.head.salt);
        let mut bytes = std::mem::take(&mut self.segment);
        load_into(self.store, known, &mut bytes)?;
        let mut at = RECORDS_AT as usize;
        let mut retries = 0;
        loop {
            at = self.records(known, &segment, seed, &bytes, at, next, visit)?;
            if self.next_lsn > self.until {
                break;
            }
            if let Some(link) = next {
                let end = usize::try_from(link.previous_end).unwrap_or(usize::MAX);
                if at != end {
                    let problem =
                        format!("no valid record, but records up to offset {end} were durable");
                    return Err(JournalError::damaged(&known.file, at as u64, problem));
                }
                break;
            }
            match end_of(&bytes, at, seed, self.next_lsn) {
                Ok(0) => break,
                Ok(_) | Err(_) if self.live && retries < LIVE_RETRIES_MAX => {
                    retries += 1;
                    std::thread::sleep(std::time::Duration::from_millis(LIVE_RETRY_MS));
                    load_into(self.store, known, &mut bytes)?;
                }
                Ok(torn) => {
                    self.report.torn = Some(Torn {
                        file: known.file.clone(),
                        offset: at as u64,
                        bytes: torn as u64,
                    });
                    break;
                }
                Err(_) if mutant::on(Mutant::DamageCut) => break,
                Err(problem) => return Err(JournalError::damaged(&known.file, at as u64, problem)),
            }
        }
        self.segment = bytes;
        self.report.last_index = known.index;
        self.report.last_end = at as u64;
        Ok(())
    }

    /// Visits valid records from `at`; returns where there is none (or the end that the next segment tells).
    #[allow(clippy::too_many_arguments)]
    fn records(
        &mut self,
        known: &Known,
        segment: &SegmentKeys,
        seed: u32,
        bytes: &[u8],
        mut at: usize,
        next: Option<&Link>,
        visit: &mut Visit<'_>,
    ) -> Result<usize, JournalError> {
        let end = next.map_or(bytes.len() as u64, |link| link.previous_end);
        while (at as u64) < end && self.next_lsn <= self.until {
            let Some(frame) = Frame::read(bytes, at, 0, seed) else {
                break;
            };
            if mutant::on(Mutant::CutTooFar) && self.is_last(bytes, at, &frame, next, seed) {
                break;
            }
            let place = Place {
                segment: known.index,
                offset: at as u64,
                lsn: frame.lsn(),
            };
            self.check(known, &frame, place)?;
            if frame.group_start() == frame.lsn() {
                self.report.last_group = at as u64;
            }
            let mut payload = std::mem::take(&mut *self.payload);
            let outcome = self.visit(known, segment, frame, place, &mut payload, visit);
            *self.payload = payload;
            outcome?;
            self.report.last_lsn = self.next_lsn;
            self.next_lsn += 1;
            let tag = frame.tag();
            self.chain = tag;
            self.report.chain = tag;
            at += frame.length();
        }
        Ok(at)
    }

    /// The last record that there is, of which a defect of a simulation takes away.
    fn is_last(
        &self,
        bytes: &[u8],
        at: usize,
        frame: &Frame<'_>,
        next: Option<&Link>,
        seed: u32,
    ) -> bool {
        let behind = Frame::read(bytes, at + frame.length(), 0, seed);
        self.until == u64::MAX && next.is_none() && behind.is_none()
    }

    /// Sequence and chain of a frame whose checksum is right.
    fn check(&self, known: &Known, frame: &Frame<'_>, place: Place) -> Result<(), JournalError> {
        if mutant::on(Mutant::ChainIgnored) {
            return Ok(());
        }
        let problem = if frame.lsn() != self.next_lsn {
            format!(
                "record {} stands where {} belongs",
                frame.lsn(),
                self.next_lsn
            )
        } else if self.chain != frame.chain() {
            format!(
                "record {} does not follow the record before it",
                frame.lsn()
            )
        } else {
            return Ok(());
        };
        Err(JournalError::damaged(&known.file, place.offset, problem))
    }

    fn visit(
        &mut self,
        known: &Known,
        segment: &SegmentKeys,
        frame: Frame<'_>,
        place: Place,
        payload: &mut Vec<u8>,
        visit: &mut Visit<'_>,
    ) -> Result<(), JournalError> {
        let record = reference(known, segment, frame, place.offset, payload)?;
        if record.kind == RecordKind::Checkpoint && !record.carried {
            track(
                &record.fields,
                place,
                &self.starts,
                &mut self.unfinished,
                &mut self.report.checkpoint,
            );
        }
        if place.lsn < self.visit_from {
            return Ok(());
        }
        self.report.records += 1;
        visit(&record)
    }

    /// Segments behind the last one with a link: unused, or with a first group that never became durable.
    fn spares(&mut self) -> Result<(), JournalError> {
        for known in &self.survey.known[self.survey.linked..] {
            if self.live {
                self.live_spare(known)?;
                self.report.spares.push((known.index, false));
                continue;
            }
            let bytes = load(self.store, known)?;
            let pristine = is_zero(&bytes[BLOCK_BYTES..]);
            if !pristine {
                self.torn_first_group(known, &bytes)?;
            }
            self.report.spares.push((known.index, pristine));
        }
        Ok(())
    }

    /// A reader without the lock leaves a segment without a link to its writer; but a link that was written and cannot
    /// be read, now and a while later, hides records.
    fn live_spare(&mut self, known: &Known) -> Result<(), JournalError> {
        for retry in 0..LIVE_RETRIES_MAX {
            if link_state(self.store, self.keys, known)? != LinkState::Damaged {
                return Ok(());
            }
            if retry + 1 < LIVE_RETRIES_MAX {
                std::thread::sleep(std::time::Duration::from_millis(LIVE_RETRY_MS));
            }
        }
        // Nobody is writing it: as at a start, what was never durable is torn, and nothing else.
        let bytes = load(self.store, known)?;
        self.torn_first_group(known, &bytes)
    }

    fn torn_first_group(&mut self, known: &Known, bytes: &[u8]) -> Result<(), JournalError> {
        let at = BLOCK_BYTES as u64;
        let unwritten = is_zero(&bytes[BLOCK_BYTES..RECORDS_AT as usize]);
        let seed = seed_of(&known.head.salt);
        let mut problem = None;
        later_frames(bytes, RECORDS_AT as usize, seed, |_, frame| {
            if frame.group_start() != self.next_lsn || !unwritten {
                problem = Some("the link block is damaged, but records behind it were durable");
            }
        });
        if let Some(problem) = problem {
            return Err(JournalError::damaged(&known.file, at, problem));
        }
        let written = bytes
            .iter()
            .rposition(|b| *b != 0)
            .map_or(0, |last| last as u64 + 1);
        self.report.torn = Some(Torn {
            file: known.file.clone(),
            offset: at,
            bytes: written.saturating_sub(at),
        });
        Ok(())
    }
}

/// Opens a frame that stands at `offset` of a segment; `payload` is the buffer it is opened into.
pub fn reference<'a>(
    known: &Known,
    keys: &'a SegmentKeys,
    frame: Frame<'a>,
    offset: u64,
    payload: &'a mut Vec<u8>,
) -> Result<RecordRef<'a>, JournalError> {
    let lsn = frame.lsn();
    let damaged = |problem: String| JournalError::damaged(&known.file, offset, problem);
    if !frame.open(keys, payload) {
        return Err(damaged(format!("record {lsn} is not genuine")));
    }
    let kind = RecordKind::from_u8(frame.kind())
        .ok_or_else(|| damaged(format!("record {lsn} is of unknown kind {}", frame.kind())))?;
    let fields =
        Fields::parse(payload).map_err(|fault| damaged(format!("record {lsn}: {fault}")))?;
    let carried = frame.flags() & FLAG_CARRIED != 0;
    let place = Place {
        segment: known.index,
        offset,
        lsn,
    };
    Ok(RecordRef {
        lsn,
        kind,
        carried,
        fields,
        place,
        frame,
        keys,
    })
}
