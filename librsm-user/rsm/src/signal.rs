// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals: counted events that an exporter and its importers post to each other.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use rsm_sys::{rsm_event_post, rsm_event_wait, RSM_EVENT_NO_ACCUMULATE};

use crate::counted::{Counted, Shared};
use crate::error::{Error, Result, Status};
use crate::ioctl;
use crate::room::Room;

/// How an event is counted.
///
/// ```no_run
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let node = controller.local_node();
/// # let import = ImportSegment::connect(&controller, node, id, Access::ReadWrite)?;
/// import.signal().post(Post::NoAccumulate)?;
/// import.signal().post(Post::NoAccumulate)?; // one is pending
/// assert!(segment.signal().try_wait()?);
/// assert!(!segment.signal().try_wait()?);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Post {
    /// As one more.
    #[default]
    Accumulate,
    /// Not at all where one is pending already (`RSM_SIGPOST_NO_ACCUMULATE`).
    NoAccumulate,
}

/// A segment's counter of pending events, and the way to the other side's.
///
/// Both an [`ExportSegment`](crate::ExportSegment) and an
/// [`ImportSegment`](crate::ImportSegment) have one. A post on an export counts on each
/// import that is connected; a post on an import counts on the export. A wait takes one
/// event from the segment's own counter. What was stored before a post is visible after
/// the wait that takes it.
///
/// The end of a connection wakes nobody, unless the import was connected with
/// [`wake_on_abort`](crate::ImportOptions::wake_on_abort). Pending events outlive it.
///
/// The descriptor is ready to `poll` (`POLLRDNORM`, and nothing else) while events are
/// pending, and a poll takes none of them. For event loops that wait for `POLLIN` there
/// is [`readiness`](Self::readiness). Clones are the same counter, and keep the segment's
/// descriptor open.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
/// import.signal().post(Post::Accumulate)?; // the importer
/// segment.signal().wait(None)?; // the exporter
/// segment.signal().post(Post::Accumulate)?; // to all importers
/// assert!(import.signal().try_wait()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Signal {
    segment: Counted<OwnedFd>,
}

/// Memory for a signal, to be had before its segment is made.
pub(crate) type SignalRoom = Room<Shared<OwnedFd>>;

impl Signal {
    pub(crate) fn new(room: SignalRoom, segment: OwnedFd) -> Self {
        Self {
            segment: Counted::new(room, segment),
        }
    }

    /// Are both of one segment?
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.segment.is(&other.segment)
    }

    /// Posts an event. Waits for nobody.
    ///
    /// On an export it always succeeds, be there anybody to signal or not. On an import
    /// it fails with [`Status::ConnAborted`] once the connection has ended.
    pub fn post(&self, how: Post) -> Result<()> {
        let mut command = rsm_event_post {
            flags: match how {
                Post::Accumulate => 0,
                Post::NoAccumulate => RSM_EVENT_NO_ACCUMULATE,
            },
            ..Default::default()
        };
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut command) }
    }

    /// Takes an event, and waits for it if there is none: for as long as it takes, or at
    /// most for `timeout`, rounded up to milliseconds (and at most 24 days).
    ///
    /// Fails with [`Status::Timeout`]; with [`Status::Interrupted`] when the thread
    /// handled a signal of the system, without having taken an event; and with
    /// [`Status::ConnAborted`] as described at
    /// [`wake_on_abort`](crate::ImportOptions::wake_on_abort).
    pub fn wait(&self, timeout: Option<Duration>) -> Result<()> {
        let mut command = rsm_event_wait {
            timeout_ms: timeout.map_or(-1, milliseconds),
            ..Default::default()
        };
        // SAFETY: the command takes no addresses.
        unsafe { ioctl::run(self.as_fd(), &mut command) }
    }

    /// Takes an event if one is pending, and says whether it has.
    pub fn try_wait(&self) -> Result<bool> {
        match self.wait(Some(Duration::ZERO)) {
            Ok(()) => Ok(true),
            Err(error) if error.status() == Status::Timeout => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A descriptor for event loops, see [`Readiness`].
    ///
    /// ```no_run
    /// use std::os::fd::AsRawFd;
    /// # use rsm::*;
    /// # let controller = Controller::open()?;
    /// # let segment = ExportSegment::create(&controller, ExportBuffer::new(8192)?)?;
    /// let readiness = segment.signal().readiness()?;
    /// println!("can be read while there are events: {}", readiness.as_raw_fd());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn readiness(&self) -> Result<Readiness> {
        Readiness::new(self.clone())
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.segment.as_fd()
    }
}

impl AsRawFd for Signal {
    fn as_raw_fd(&self) -> RawFd {
        self.segment.as_raw_fd()
    }
}

/// A descriptor that can be read, in the sense of event loops, while a segment has
/// pending events.
///
/// Segments report `POLLRDNORM`, as the RSMAPI has it. Event loops such as tokio and mio
/// ask for `POLLIN` only, and would wait for ever. This is an epoll descriptor with the
/// segment in it, which reports `POLLIN`. It takes no events: that is what
/// [`try_wait`](Signal::try_wait) is for, until it says that there are no more.
///
/// With tokio:
///
/// ```no_run
/// use rsm::{Readiness, Signal};
/// use tokio::io::unix::AsyncFd;
///
/// /// Waits for one event.
/// async fn event(signals: &AsyncFd<Readiness>) -> std::io::Result<()> {
///     loop {
///         let mut ready = signals.readable().await?;
///         if signals.get_ref().signal().try_wait()? {
///             return Ok(());
///         }
///         ready.clear_ready();
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use rsm::*;
/// # let controller = Controller::open()?;
/// # let segment = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = segment.publish(None, &[])?;
/// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
/// # import.signal().post(Post::Accumulate)?;
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
/// runtime.block_on(async {
///     // SAFETY: the descriptor stays open until the readiness is dropped.
///     let signals = unsafe { AsyncFd::register(segment.signal().readiness()?)? };
///     event(&signals).await
/// })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Readiness {
    epoll: Epoll,
    signal: Signal,
}

impl Readiness {
    fn new(signal: Signal) -> Result<Self> {
        let make = || {
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            epoll.add(&signal, EpollEvent::new(EpollFlags::EPOLLRDNORM, 0))?;
            Ok(epoll)
        };
        let epoll = make().map_err(|errno| Error::system("cannot watch the segment", errno))?;
        Ok(Self { epoll, signal })
    }

    /// The counter that is watched.
    pub const fn signal(&self) -> &Signal {
        &self.signal
    }
}

impl AsFd for Readiness {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.0.as_raw_fd()
    }
}

/// Waits until at least one of several segments has an event, takes one event from each
/// that has, and returns their places in `signals`, in ascending order.
///
/// Fails as [`Signal::wait`] does. When a connection has ended that was to wake its
/// waiters, that is the failure, unless another segment has an event. Without memory for
/// the answer it fails with [`Status::InsufficientMem`], and takes no event.
///
/// ```no_run
/// # use rsm::*;
/// # fn main() -> Result<()> {
/// # let controller = Controller::open()?;
/// # let orders = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let news = ExportSegment::create(&controller, ExportBuffer::new(4096)?)?;
/// # let id = news.publish(None, &[])?;
/// # let import = ImportSegment::connect(&controller, controller.local_node(), id, Access::Read)?;
/// # import.signal().post(Post::Accumulate)?;
/// let ready = rsm::wait_any(&[orders.signal(), news.signal()], None)?;
/// assert_eq!(ready, [1]);
/// # Ok(())
/// # }
/// ```
pub fn wait_any(signals: &[&Signal], timeout: Option<Duration>) -> Result<Vec<usize>> {
    let deadline = timeout.and_then(|time| Instant::now().checked_add(time));
    let mut taken = with_capacity(signals.len())?;
    let mut entries = with_capacity(signals.len())?;
    for signal in signals {
        entries.push(PollFd::new(signal.as_fd(), PollFlags::POLLRDNORM));
    }
    loop {
        let left = deadline.map(|time| time.saturating_duration_since(Instant::now()));
        let patience = left.map_or(-1, milliseconds);
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::NONE);
        poll(&mut entries, patience).map_err(failed_poll)?;
        let failure = take_one_each(signals, &entries, &mut taken);
        if !taken.is_empty() {
            return Ok(taken);
        }
        if let Some(error) = failure {
            return Err(error);
        }
        // The time is up, or somebody else was faster.
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Error::Rsm(Status::Timeout));
        }
    }
}

/// An empty list that so many fit into.
fn with_capacity<T>(count: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    match list.try_reserve_exact(count) {
        Ok(()) => Ok(list),
        Err(_) => Err(Error::Rsm(Status::InsufficientMem)),
    }
}

/// Takes an event from each segment that was seen to have one, and adds its place to
/// `taken`, which has the capacity. Returns the first failure.
fn take_one_each(
    signals: &[&Signal],
    entries: &[PollFd<'_>],
    taken: &mut Vec<usize>,
) -> Option<Error> {
    let mut failure = None;
    for (place, (signal, entry)) in signals.iter().zip(entries).enumerate() {
        if entry.any() != Some(false) {
            match signal.try_wait() {
                Ok(true) => taken.push(place),
                Ok(false) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
    }
    failure
}

/// `poll` fails with codes of its own.
fn failed_poll(errno: Errno) -> Error {
    let status = match errno {
        Errno::EAGAIN => Status::InsufficientResources,
        Errno::ENOMEM => Status::InsufficientMem,
        Errno::EFAULT => Status::BadAddr,
        Errno::EINTR => Status::Interrupted,
        _ => Status::BadArgsErrors,
    };
    Error::System {
        op: "cannot wait for events",
        errno,
        status,
    }
}

/// Rounded up, for a wait must not end early.
fn milliseconds(time: Duration) -> i32 {
    let rounded = time.as_nanos().div_ceil(1_000_000);
    rounded.try_into().unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_never_end_early() {
        for (time, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_micros(1001), 2),
            (Duration::from_secs(1), 1000),
            (Duration::from_millis(i32::MAX as u64), i32::MAX),
            (Duration::MAX, i32::MAX),
        ] {
            assert_eq!(milliseconds(time), expected, "{time:?}");
        }
    }
}
