//! Which of a simulated disk's operations go wrong: the n-th from now, or so many of a million.

use std::collections::BTreeMap;
use std::io;

use crate::chance::SplitMix;

/// What a disk is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Read,
    Write,
    Sync,
    Create,
    Remove,
    List,
}

macro_rules! kinds {
    ($($(#[doc = $about:literal])+ $name:ident => $text:literal,)+) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[doc = $about])+ $name,)+
        }

        /// Every kind with its name.
        pub const KINDS: &[(Kind, &str)] = &[$((Kind::$name, $text),)+];
    };
}

kinds! {
    /// The power goes before a write, a sync, a creation or a removal: it does not happen, and neither does anything after it.
    PowerCut => "power_cut",
    /// EIO.
    ReadError => "read_error",
    /// EIO; some of it is written.
    WriteError => "write_error",
    /// ENOSPC; some of it is written.
    WriteNoSpace => "write_no_space",
    /// EIO; what was dirty stays dirty.
    SyncError => "sync_error",
    /// EIO, and what was dirty is clean and never written: a later sync succeeds.
    SyncDropped => "sync_dropped",
    /// ENOSPC.
    CreateNoSpace => "create_no_space",
    /// EIO.
    CreateError => "create_error",
    /// EIO.
    RemoveError => "remove_error",
    /// EIO.
    ListError => "list_error",
    /// Acknowledged, synced, and not on the medium.
    LostWrite => "lost_write",
    /// Acknowledged, synced, and elsewhere in its file.
    MisdirectedWrite => "misdirected_write",
    /// One bit of what is written is another on the medium.
    FlippedBit => "flipped_bit",
}

impl Kind {
    #[must_use]
    pub fn name(self) -> &'static str {
        KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        KINDS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }

    fn error(self) -> i32 {
        match self {
            Kind::WriteNoSpace | Kind::CreateNoSpace => libc::ENOSPC,
            _ => libc::EIO,
        }
    }
}

/// One planned fault: it strikes when `left` has come down to 1.
#[derive(Clone, Copy, Debug)]
struct Plan {
    left: u64,
    sticky: bool,
}

/// What goes wrong, and what went wrong.
#[derive(Default)]
pub struct Faults {
    plans: BTreeMap<Kind, Plan>,
    chances: BTreeMap<Kind, (u32, SplitMix)>,
    counts: BTreeMap<&'static str, u64>,
    seed: u64,
    crash: Option<SplitMix>,
    speed: Option<SplitMix>,
    misc: Option<SplitMix>,
}

impl Faults {
    #[must_use]
    pub fn new(seed: u64) -> Faults {
        Faults {
            seed,
            crash: Some(SplitMix::stream(seed, "crash")),
            speed: Some(SplitMix::stream(seed, "speed")),
            misc: Some(SplitMix::stream(seed, "misc")),
            ..Faults::default()
        }
    }

    pub fn plan(&mut self, kind: Kind, nth: u64, sticky: bool) {
        if nth == 0 {
            self.plans.remove(&kind);
        } else {
            self.plans.insert(kind, Plan { left: nth, sticky });
        }
    }

    pub fn chance(&mut self, kind: Kind, per_million: u32) {
        let seed = self.seed;
        let entry = self.chances.entry(kind);
        entry
            .or_insert_with(|| (0, SplitMix::stream(seed, kind.name())))
            .0 = per_million;
    }

    pub fn mend(&mut self) {
        self.plans.clear();
        for (per_million, _) in self.chances.values_mut() {
            *per_million = 0;
        }
    }

    pub fn count(&mut self, what: &'static str, by: u64) {
        *self.counts.entry(what).or_default() += by;
    }

    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.counts.iter().map(|(k, v)| (*k, *v)).collect()
    }

    /// Whether this kind happens now; counted.
    pub fn strikes(&mut self, kind: Kind) -> bool {
        let mut now = false;
        if let Some(plan) = self.plans.get_mut(&kind) {
            now = plan.left == 1;
            plan.left = plan.left.saturating_sub(1).max(1);
            if now && !plan.sticky {
                self.plans.remove(&kind);
            }
        }
        if let Some((per_million, stream)) = self.chances.get_mut(&kind) {
            now |= *per_million > 0 && stream.hits(*per_million);
        }
        if now {
            self.count(kind.name(), 1);
        }
        now
    }

    /// Counts an operation; the error that it meets, if any.
    pub fn meet(&mut self, operation: Operation) -> io::Result<()> {
        let (name, kinds): (_, &[Kind]) = match operation {
            Operation::Read => ("reads", &[Kind::ReadError]),
            Operation::Write => ("writes", &[Kind::WriteError, Kind::WriteNoSpace]),
            Operation::Sync => ("syncs", &[Kind::SyncError]),
            Operation::Create => ("creates", &[Kind::CreateError, Kind::CreateNoSpace]),
            Operation::Remove => ("removes", &[Kind::RemoveError]),
            Operation::List => ("lists", &[Kind::ListError]),
        };
        self.count(name, 1);
        for kind in kinds {
            if self.strikes(*kind) {
                return Err(io::Error::from_raw_os_error(kind.error()));
            }
        }
        Ok(())
    }

    /// What decides which sectors survive. It is taken out while files are borrowed; put it back.
    pub fn crash_stream(&mut self) -> SplitMix {
        let seed = self.seed;
        self.crash
            .take()
            .unwrap_or_else(|| SplitMix::stream(seed, "crash"))
    }

    pub fn keep_crash_stream(&mut self, stream: SplitMix) {
        self.crash = Some(stream);
    }

    pub fn speed_stream(&mut self) -> &mut SplitMix {
        let seed = self.seed;
        self.speed
            .get_or_insert_with(|| SplitMix::stream(seed, "speed"))
    }

    /// Where a fault strikes: lengths, places, bits.
    pub fn misc(&mut self) -> &mut SplitMix {
        let seed = self.seed;
        self.misc
            .get_or_insert_with(|| SplitMix::stream(seed, "misc"))
    }
}
