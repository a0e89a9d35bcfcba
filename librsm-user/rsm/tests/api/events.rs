// SPDX-License-Identifier: MIT OR Apache-2.0
//! Signals: posting, waiting, and readiness in event loops.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rsm::{wait_any, Access, Post, Readiness, Status};
use tokio::io::unix::AsyncFd;

use crate::common::books::Books;
use crate::common::process::spawn;
use crate::common::watchdog::Watchdog;
use crate::common::{rounds, wait_until};
use crate::{refused, Scene};

const SOON: Option<Duration> = Some(Duration::from_millis(30));

#[test]
fn events_are_counted() {
    let books = Books::open();
    let scene = Scene::new(1);
    let (ours, theirs) = (scene.import.signal(), scene.segment.signal());
    for _ in 0..3 {
        ours.post(Post::Accumulate).expect("post");
    }
    for _ in 0..3 {
        theirs.wait(None).expect("wait");
    }
    assert_eq!(theirs.try_wait(), Ok(false));
    ours.post(Post::Accumulate).expect("post");
    ours.post(Post::NoAccumulate).expect("post");
    assert_eq!(
        (theirs.try_wait(), theirs.try_wait()),
        (Ok(true), Ok(false))
    );
    let second = scene.connect(Access::None);
    theirs.post(Post::Accumulate).expect("post");
    for import in [&scene.import, &second] {
        assert_eq!(import.signal().try_wait(), Ok(true));
        assert_eq!(import.signal().try_wait(), Ok(false));
    }
    ours.clone().post(Post::Accumulate).expect("post");
    assert_eq!(theirs.clone().try_wait(), Ok(true));
    drop((second, scene));
    books.balance();
}

#[test]
fn waits_end_in_time_but_not_early() {
    let scene = Scene::new(1);
    let start = Instant::now();
    assert_eq!(refused(scene.import.signal().wait(SOON)), Status::Timeout);
    assert!(start.elapsed() >= Duration::from_millis(30));
    let start = Instant::now();
    let signals = [scene.import.signal(), scene.segment.signal()];
    assert_eq!(refused(wait_any(&signals, SOON)), Status::Timeout);
    assert!(start.elapsed() >= Duration::from_millis(30));
    assert_eq!(
        refused(wait_any(&signals, Some(Duration::ZERO))),
        Status::Timeout
    );
    assert_eq!(refused(wait_any(&[], SOON)), Status::Timeout);
}

#[test]
fn posts_after_the_end() {
    let scene = Scene::new(1);
    scene.segment.signal().post(Post::Accumulate).expect("post");
    scene.abort();
    assert_eq!(
        refused(scene.import.signal().post(Post::Accumulate)),
        Status::ConnAborted
    );
    scene
        .segment
        .signal()
        .post(Post::Accumulate)
        .expect("post to nobody");
    assert_eq!(scene.import.signal().try_wait(), Ok(true), "from before");
    assert_eq!(scene.import.signal().try_wait(), Ok(false));
}

#[test]
fn a_system_signal_interrupts_a_wait() {
    use nix::sys::signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
    extern "C" fn nothing(_: nix::libc::c_int) {}

    let scene = Scene::new(1);
    let waiter = spawn(|| {
        let action = SigAction::new(
            SigHandler::Handler(nothing),
            SaFlags::SA_RESTART,
            SigSet::empty(),
        );
        // SAFETY: the handler does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("sigaction");
        let status = refused(scene.import.signal().wait(None));
        assert_eq!(status, Status::Interrupted);
        let status = refused(wait_any(&[scene.import.signal()], None));
        assert_eq!(status, Status::Interrupted);
    });
    let asleep = crate::common::process::asleep_in;
    for call in [nix::libc::SYS_ioctl, nix::libc::SYS_poll] {
        wait_until("the waiter sleeps", 150, || asleep(waiter.pid, call));
        kill(waiter.pid, Signal::SIGUSR1).expect("kill");
    }
    waiter.join();
}

#[test]
fn waiting_for_any_of_many() {
    let scene = Scene::new(1);
    let imports = [(); 10].map(|()| scene.connect(Access::None));
    let signals: Vec<_> = imports.iter().map(|import| import.signal()).collect();
    scene.segment.signal().post(Post::Accumulate).expect("post");
    let all: Vec<usize> = (0..10).collect();
    assert_eq!(wait_any(&signals, None), Ok(all), "one from each");
    assert_eq!(
        refused(wait_any(&signals, Some(Duration::ZERO))),
        Status::Timeout
    );
    // The same segment twice has one event.
    scene.import.signal().post(Post::Accumulate).expect("post");
    let theirs = scene.segment.signal();
    assert_eq!(wait_any(&[theirs, signals[0], theirs], None), Ok(vec![0]));
    thread::scope(|scope| {
        let waiter = scope.spawn(|| wait_any(&[signals[0], theirs], None));
        thread::sleep(Duration::from_millis(10));
        scene.import.signal().post(Post::Accumulate).expect("post");
        assert_eq!(waiter.join().expect("join"), Ok(vec![1]));
    });
}

#[test]
fn each_event_is_taken_once() {
    let scene = Scene::new(1);
    let posts = rounds(2000);
    let taken = AtomicUsize::new(0);
    let posted = AtomicBool::new(false);
    let take = |wait: &dyn Fn() -> rsm::Result<()>| loop {
        // There were no more to come before it began to wait.
        let last = posted.load(Ordering::SeqCst);
        match wait().map_err(|error| error.status()) {
            Ok(()) => drop(taken.fetch_add(1, Ordering::Relaxed)),
            Err(Status::Timeout) if last => break,
            Err(Status::Timeout) => (),
            Err(status) => panic!("{status:?}"),
        }
    };
    let patience = Some(Duration::from_millis(500));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| take(&|| scene.segment.signal().wait(patience)));
            scope.spawn(|| take(&|| wait_any(&[scene.segment.signal()], patience).map(drop)));
        }
        let all = (0..posts).try_for_each(|_| scene.import.signal().post(Post::Accumulate));
        posted.store(true, Ordering::SeqCst);
        all.expect("post");
    });
    assert_eq!(taken.load(Ordering::Relaxed), posts);
}

#[test]
fn readiness_without_taking() {
    let scene = Scene::new(1);
    let readiness = scene.segment.signal().readiness().expect("readiness");
    let ready = |descriptor: &dyn AsFd, asked: PollFlags| {
        let mut entry = [PollFd::new(descriptor.as_fd(), asked)];
        poll(&mut entry, PollTimeout::ZERO).expect("poll");
        entry[0].revents().expect("known flags")
    };
    let none = PollFlags::empty();
    let segment = scene.segment.signal();
    assert_eq!(ready(segment, PollFlags::POLLRDNORM), none);
    assert_eq!(ready(&readiness, PollFlags::POLLIN), none);
    scene.import.signal().post(Post::Accumulate).expect("post");
    for _ in 0..2 {
        assert_eq!(ready(segment, PollFlags::POLLRDNORM), PollFlags::POLLRDNORM);
        assert_eq!(
            ready(&scene.segment, PollFlags::POLLIN),
            none,
            "the RSMAPI's event only"
        );
        assert_eq!(ready(&readiness, PollFlags::POLLIN), PollFlags::POLLIN);
    }
    assert_eq!(readiness.signal().try_wait(), Ok(true));
    assert_eq!(ready(&readiness, PollFlags::POLLIN), none);
}

#[test]
fn in_an_epoll_loop() {
    let books = Books::open();
    let scene = Scene::new(1);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("epoll");
    epoll
        .add(
            scene.segment.signal(),
            EpollEvent::new(EpollFlags::EPOLLRDNORM, 5),
        )
        .expect("add");
    let mut events = [EpollEvent::empty(); 4];
    let mut ready = |timeout| {
        epoll
            .wait(&mut events, EpollTimeout::from(timeout))
            .expect("wait")
    };
    assert_eq!(ready(0_u8), 0);
    for _ in 0..2 {
        scene.import.signal().post(Post::Accumulate).expect("post");
    }
    let mut taken = 0;
    while ready(0_u8) == 1 {
        assert_eq!(scene.segment.signal().try_wait(), Ok(true));
        taken += 1;
    }
    assert_eq!(taken, 2);
    drop((epoll, scene));
    books.balance();
}

#[test]
fn in_tokio() {
    async fn event(signals: &AsyncFd<Readiness>) {
        loop {
            let mut ready = signals.readable().await.expect("readable");
            if signals.get_ref().signal().try_wait().expect("wait") {
                return;
            }
            ready.clear_ready();
        }
    }

    let books = Books::open();
    let watchdog = Watchdog::start(Duration::from_secs(150), String::new);
    let scene = Scene::new(1);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime");
    let count = rounds(500);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                scene.import.signal().post(Post::Accumulate).expect("post");
                // The answer, so that each is waited for.
                scene.import.signal().wait(None).expect("wait");
            }
        });
        runtime.block_on(async {
            let readiness = scene.segment.signal().readiness().expect("readiness");
            // SAFETY: the descriptor stays open until the readiness is dropped.
            let signals = unsafe { AsyncFd::register(readiness) }.expect("register");
            for _ in 0..count {
                event(&signals).await;
                watchdog.feed();
                scene.segment.signal().post(Post::Accumulate).expect("post");
            }
            let nothing = tokio::time::timeout(Duration::from_millis(20), event(&signals)).await;
            assert!(nothing.is_err(), "no more events than were posted");
        });
    });
    drop((runtime, watchdog, scene));
    books.balance();
}

#[test]
fn what_was_stored_before_a_post_is_seen_after_the_wait() {
    let scene = Scene::new(1);
    let count = rounds(1_000) as u64;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=count {
                scene.import.put64(0, &[number]).expect("put");
                scene.import.signal().post(Post::Accumulate).expect("post");
                scene.import.signal().wait(None).expect("wait");
            }
        });
        for number in 1..=count {
            scene.segment.signal().wait(None).expect("wait");
            assert_eq!(scene.word(0), number);
            scene.segment.signal().post(Post::Accumulate).expect("post");
        }
    });
}
