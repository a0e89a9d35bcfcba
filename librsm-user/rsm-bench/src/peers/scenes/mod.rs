// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is played, one round at a time, and what of it is measured.

mod cycle;
mod kernel_memory;
mod life;
mod rebind;
mod revoke;
mod signals;
mod transfers;

use anyhow::Result;

use super::key::{Column, Memory, Operation, Pages};
use super::link::Link;
use super::sheet::{Sheet, Side};
use super::{stage, Options};
use crate::measure::Clock;

/// What scenes need to know, and where they leave what they have measured.
#[derive(Debug)]
pub struct Bench<'a> {
    pub options: &'a Options,
    pub clock: Clock,
    pub sheet: Sheet,
}

impl Bench<'_> {
    /// Memory of the usual amount.
    pub fn memory(&self, pages: Pages) -> Memory {
        let bytes = self.options.bytes();
        Memory { bytes, pages }
    }

    fn play(
        &mut self,
        column: Column,
        importers: usize,
        importer: impl Fn(&mut Side, &Link) -> Result<()>,
        exporter: impl FnOnce(&mut Side, &[Link]) -> Result<()>,
    ) -> Result<()> {
        let columns = &self.options.columns;
        if !columns.is_empty() && !columns.iter().any(|name| name == column.name()) {
            return Ok(());
        }
        let sheet = stage::play(self.clock, column, importers, importer, exporter)?;
        self.sheet.append(sheet);
        Ok(())
    }
}

/// A group of rows.
#[derive(Debug)]
pub struct Scene {
    /// For people.
    pub name: &'static str,
    /// Whether it takes so long that it is played less often.
    pub long: bool,
    /// Plays one round.
    pub play: fn(&mut Bench<'_>) -> Result<()>,
}

/// All of them.
pub const SCENES: &[Scene] = &[
    Scene {
        name: "life",
        long: false,
        play: life::usual,
    },
    Scene {
        name: "large",
        long: true,
        play: life::large,
    },
    Scene {
        name: "cycle",
        long: false,
        play: cycle::play,
    },
    Scene {
        name: "transfers",
        long: false,
        play: transfers::play,
    },
    Scene {
        name: "signals",
        long: false,
        play: signals::play,
    },
    Scene {
        name: "revoke",
        long: false,
        play: revoke::few,
    },
    Scene {
        name: "revoke-many",
        long: true,
        play: revoke::many,
    },
    Scene {
        name: "rebind",
        long: false,
        play: rebind::play,
    },
    Scene {
        name: "kernel-memory",
        long: true,
        play: kernel_memory::play,
    },
];

/// Peers need no module: their part of the scenes is tested on any machine.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::channel::Kind;
    use crate::peers::ways::{Memfd, Shm, Way};

    /// Plays, and says what was measured in a column: names of rows, with what they cost.
    fn played(
        column: Column,
        play: impl FnOnce(&mut Bench<'_>) -> Result<()>,
    ) -> Vec<(String, u64)> {
        played_with(&Options::brief(), column, play)
    }

    fn played_with(
        options: &Options,
        column: Column,
        play: impl FnOnce(&mut Bench<'_>) -> Result<()>,
    ) -> Vec<(String, u64)> {
        let clock = Clock::new().unwrap();
        let mut bench = Bench {
            options,
            clock,
            sheet: Sheet::default(),
        };
        play(&mut bench).unwrap();
        let report = bench.sheet.into_report(&clock);
        let cost =
            |row: &crate::measure::Row| Some((row.name.clone(), row.cost(column as usize)?.median));
        report.rows.iter().filter_map(cost).collect()
    }

    fn names(rows: &[(String, u64)]) -> Vec<&str> {
        rows.iter().map(|(name, _)| name.as_str()).collect()
    }

    const MEMORY: Memory = Memory {
        bytes: 1 << 20,
        pages: Pages::Small,
    };

    fn lives<W: Way>() {
        let rows = played(W::COLUMN, |bench| life::live::<W>(bench, MEMORY, true));
        let of = |what| format!("{what}: 1 MiB of 4 KiB pages");
        let expected = [
            "fill",
            "create",
            "destroy",
            "first touch",
            "first touch, faults",
            "second touch",
            "copy out",
            "copy in",
            "unmap",
        ];
        assert_eq!(names(&rows), expected.map(of));
        let faults = rows
            .iter()
            .find(|(name, _)| name.contains("faults"))
            .unwrap()
            .1;
        assert!((1..=256).contains(&faults), "{faults} faults for 256 pages");
    }

    #[test]
    fn files_are_shared_and_touched() {
        lives::<Memfd>();
        lives::<Shm>();
    }

    #[test]
    fn a_file_is_used_again_and_again() {
        for (column, rows) in [
            (Column::Memfd, played(Column::Memfd, cycle::cycles::<Memfd>)),
            (Column::Shm, played(Column::Shm, cycle::cycles::<Shm>)),
        ] {
            let whole = "connect, map, touch, unmap, disconnect: 4 KiB of 4 KiB pages";
            assert!(names(&rows).contains(&whole), "{column:?}: {rows:?}");
        }
    }

    #[test]
    fn a_file_is_emptied_under_its_importers() {
        let play = |bench: &mut Bench<'_>| revoke::take_back::<Memfd>(bench, MEMORY, 3);
        let rows = played(Column::Memfd, play);
        assert_eq!(names(&rows), ["revoke, 3 importers: 1 MiB of 4 KiB pages"]);
    }

    #[test]
    fn files_are_weighed() {
        let weigh = |bench: &mut Bench<'_>| kernel_memory::weigh::<Memfd>(bench, MEMORY, 5);
        let rows = played(Column::Memfd, weigh);
        assert_eq!(names(&rows), ["kernel memory: 1 MiB of 4 KiB pages"]);
    }

    #[test]
    fn channels_carry_signals_and_data() {
        for kind in Kind::ALL {
            let rows = played(kind.column(), |bench| signals::channels(bench, kind));
            let both = [
                "signal post + wait, one process",
                "signal there and back, two processes",
            ];
            assert_eq!(names(&rows), both);
        }
        for kind in Kind::STREAMS {
            let rows = played(kind.column(), |bench| transfers::stream(bench, kind));
            let of = |what| format!("{what}: 2 MiB of 4 KiB pages");
            let expected = [
                of("copy out"),
                of("copy in"),
                "put 8 B".into(),
                "put 4 KiB".into(),
            ];
            assert_eq!(names(&rows), expected);
        }
    }

    #[test]
    fn columns_can_be_chosen() {
        let options = Options {
            columns: vec![Kind::Pipe.column().name().into()],
            ..Options::brief()
        };
        for kind in Kind::ALL {
            let play = |bench: &mut Bench<'_>| signals::channels(bench, kind);
            let rows = played_with(&options, kind.column(), play);
            assert_eq!(!rows.is_empty(), kind == Kind::Pipe, "{kind:?}");
        }
    }

    #[test]
    fn the_exporter_is_read_and_written_from_outside() {
        let rows = played(Column::ProcessVm, |bench| {
            transfers::process_vm(bench, MEMORY)
        });
        // Where it is not permitted there are none.
        assert!(
            rows.is_empty() || names(&rows).contains(&"put 8 B"),
            "{rows:?}"
        );
    }

    #[test]
    fn importers_that_fail_are_not_waited_for() {
        let clock = Clock::new().unwrap();
        let result = stage::play(
            clock,
            Column::Pipe,
            1,
            |_, _| anyhow::bail!("on purpose"),
            |_, links| links[0].hear().map(drop),
        );
        assert!(result.is_err());
        let silent = stage::play(clock, Column::Pipe, 2, |_, _| Ok(()), |_, _| Ok(()));
        assert!(silent.is_ok());
    }
}
