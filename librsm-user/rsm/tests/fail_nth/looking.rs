// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files in which one can look at what there is.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use crate::common::pair::Pair;
use crate::skipped;
use crate::sweep::Sweep;

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().expect("of the kernel"))
}

#[test]
fn segments_and_descriptors() {
    if skipped() {
        return;
    }
    let pair = Pair::new(1);
    let fdinfo = |fd: i32| format!("/proc/thread-self/fdinfo/{fd}");
    let paths = [
        ("/sys/kernel/debug/rsm/segments".to_owned(), "segment="),
        ("/sys/kernel/debug/rsm/counters".to_owned(), "create "),
        (fdinfo(pair.export.as_raw_fd()), "rsm-state:"),
        (fdinfo(pair.import.as_raw_fd()), "rsm-connection:"),
    ];
    for (path, expected) in &paths {
        let tally = Sweep::of(path).run(
            || (),
            |()| {
                let mut text = [0; 1024];
                let file = File::open(path).map_err(errno)?;
                let len = file.read_at(&mut text, 0).map_err(errno)?;
                Ok::<_, Errno>((text, len))
            },
            |(), (text, len)| {
                let text = String::from_utf8_lossy(&text[..len]);
                assert!(text.contains(expected), "{path}: {text:?}");
            },
        );
        tally.assert_failed(2, 2);
    }
}
