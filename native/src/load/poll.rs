//! Waiting for descriptors: epoll, level-triggered, with a number for each descriptor.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

const EVENTS: usize = 64;

/// An epoll instance.
#[derive(Debug)]
pub struct Poll {
    descriptor: OwnedFd,
}

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watch {
    Reading,
    ReadingAndWriting,
}

impl Watch {
    fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Reading => epoll::EventFlags::IN,
            Self::ReadingAndWriting => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        }
    }
}

impl Poll {
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new() -> rustix::io::Result<Self> {
        Ok(Self {
            descriptor: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        })
    }

    /// # Errors
    /// The system call's.
    pub fn add(&self, source: impl AsFd, number: usize) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.descriptor, source, data, Watch::Reading.flags())
    }

    /// # Errors
    /// The system call's.
    pub fn watch(&self, source: impl AsFd, number: usize, watch: Watch) -> rustix::io::Result<()> {
        let data = epoll::EventData::new_u64(number as u64);
        epoll::modify(&self.descriptor, source, data, watch.flags())
    }

    /// Forgets a descriptor; one that is not watched is no error.
    pub fn remove(&self, source: impl AsFd) {
        let _ = epoll::delete(&self.descriptor, source);
    }

    /// Numbers of the descriptors that are ready, put into `ready` in place of what it held. An interrupted wait finds none.
    ///
    /// # Errors
    /// The system call's.
    pub fn wait(
        &self,
        ready: &mut Vec<usize>,
        timeout: Option<Duration>,
    ) -> rustix::io::Result<()> {
        ready.clear();
        let limit = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(t.subsec_nanos()),
        });
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        match epoll::wait(&self.descriptor, &mut events, limit.as_ref()) {
            Ok((events, _)) => ready.extend(events.iter().map(|event| event.data.u64() as usize)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Waits until one of the two has something, or for so long.
///
/// # Errors
/// The system call's.
pub fn either(one: &Poll, other: &Poll, timeout: Duration) -> rustix::io::Result<()> {
    let mut both = [
        PollFd::new(&one.descriptor, PollFlags::IN),
        PollFd::new(&other.descriptor, PollFlags::IN),
    ];
    let limit = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(timeout.subsec_nanos()),
    };
    match poll(&mut both, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error),
    }
}
