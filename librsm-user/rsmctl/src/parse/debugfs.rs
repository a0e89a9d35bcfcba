// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of `/sys/kernel/debug/rsm/`.

use super::{decimal, id, pid, rights, state, ParseError};
use crate::report::{Bucket, Counters, Import, Process, Segment, State};

/// The words of a line, of which each is `name=value` and has its place.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    fn word(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn value(&mut self, name: &str) -> Option<&'a str> {
        self.word()?.strip_prefix(name)?.strip_prefix('=')
    }

    fn end(mut self) -> Option<()> {
        self.word().is_none().then_some(())
    }
}

/// The file `segments`. Names of processes are left out: they are not in it.
pub fn segments(text: &str) -> Result<Vec<Segment>, ParseError> {
    let mut segments: Vec<Segment> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(import_line) = line.strip_prefix("  ") {
            let segment = segments
                .last_mut()
                .ok_or_else(|| ParseError::new(index, "an import without a segment", line))?;
            let import = import(import_line)
                .ok_or_else(|| ParseError::new(index, "not a line about an import", line))?;
            segment.mapped = match (segment.mapped, import.mapped) {
                (Some(sum), Some(mapped)) => Some(sum.saturating_add(mapped)),
                _ => None,
            };
            segment.importers.push(import);
        } else {
            let segment = segment(line)
                .ok_or_else(|| ParseError::new(index, "not a line about a segment", line))?;
            segments.push(segment);
        }
    }
    Ok(segments)
}

/// `segment=1 published id=0x80000001 pid=5 length=4096 imports=1 events=0`
fn segment(line: &str) -> Option<Segment> {
    let mut words = Words::of(line);
    let number = decimal(words.value("segment")?)?;
    let state = state(words.word()?)?;
    let id = match state {
        State::Published => Some(id(words.value("id")?)?),
        State::Bound | State::Dead => None,
    };
    let exporter = process(words.value("pid")?)?;
    let length = decimal(words.value("length")?)?;
    let imports = decimal(words.value("imports")?)?;
    let events = decimal(words.value("events")?)?;
    words.end()?;
    Some(Segment {
        number: Some(number),
        state,
        id,
        exporter: Some(exporter),
        length,
        imports: Some(imports),
        events: Some(events),
        mapped: Some(0),
        importers: Vec::new(),
    })
}

/// `import=0 pid=6 rights=rw mappings=1 mapped=4096 events=0`
fn import(line: &str) -> Option<Import> {
    let mut words = Words::of(line);
    let number = decimal(words.value("import")?)?;
    let importer = process(words.value("pid")?)?;
    let rights = rights(words.value("rights")?)?;
    let mappings = decimal(words.value("mappings")?)?;
    let mapped = decimal(words.value("mapped")?)?;
    let events = decimal(words.value("events")?)?;
    words.end()?;
    Some(Import {
        number: Some(number),
        importer,
        rights,
        mappings,
        mapped: Some(mapped),
        events,
    })
}

fn process(text: &str) -> Option<Process> {
    Some(Process {
        pid: pid(text)?,
        command: None,
        user: None,
    })
}

/// The file `counters`: a name and a number in each line.
pub fn counters(text: &str) -> Result<Counters, ParseError> {
    const NAMES: [&str; 7] = [
        "create",
        "publish",
        "connect",
        "rebind",
        "unpublish",
        "destroy",
        "lose",
    ];
    let mut numbers = [0; NAMES.len()];
    let mut lines = text.lines().enumerate();
    for (name, number) in NAMES.iter().zip(&mut numbers) {
        let (index, line) = lines.next().unwrap_or((0, ""));
        *number = line
            .strip_prefix(name)
            .and_then(|rest| decimal(rest.strip_prefix(' ')?))
            .ok_or_else(|| ParseError::new(index, "not the counter that comes here", line))?;
    }
    if let Some((index, line)) = lines.next() {
        return Err(ParseError::new(index, "not a counter", line));
    }
    let [create, publish, connect, rebind, unpublish, destroy, lose] = numbers;
    Ok(Counters {
        create,
        publish,
        connect,
        rebind,
        unpublish,
        destroy,
        lose,
    })
}

/// The file `revoke_times`: buckets with ascending limits, and the last without.
pub fn revoke_times(text: &str) -> Result<Vec<Bucket>, ParseError> {
    let mut buckets: Vec<Bucket> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let bucket =
            bucket(line).ok_or_else(|| ParseError::new(index, "not a line of times", line))?;
        let ascends = match (buckets.last(), bucket.below_us) {
            (None, _) => true,
            (Some(last), Some(below)) => last.below_us.is_some_and(|last| last < below),
            (Some(last), None) => last.below_us.is_some(),
        };
        if !ascends {
            return Err(ParseError::new(index, "times do not ascend", line));
        }
        buckets.push(bucket);
    }
    match buckets.last() {
        Some(Bucket { below_us: None, .. }) => Ok(buckets),
        _ => Err(ParseError::new(
            buckets.len(),
            "the last bucket is missing",
            "",
        )),
    }
}

/// `<8us 17` or `more 0`
fn bucket(line: &str) -> Option<Bucket> {
    let (limit, count) = line.split_once(' ')?;
    let below_us = match limit {
        "more" => None,
        _ => Some(decimal(limit.strip_prefix('<')?.strip_suffix("us")?)?),
    };
    Some(Bucket {
        below_us,
        count: decimal(count)?,
    })
}

/// A file `live_…`: a number, which may be negative for a moment, since the module changes it
/// without a lock.
pub fn live(text: &str) -> Result<u64, ParseError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let number: Option<i64> = match line.strip_prefix('-').unwrap_or(line) {
        digits if decimal(digits).is_some() => line.parse().ok(),
        _ => None,
    };
    number
        .map(|number| u64::try_from(number).unwrap_or(0))
        .ok_or_else(|| ParseError::new(0, "not a number", line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Rights;

    const SEGMENTS: &str = "\
segment=1 bound pid=71 length=8192 imports=0 events=0
segment=2 published id=0x80000001 pid=71 length=2097152 imports=2 events=3
  import=0 pid=72 rights=rw mappings=2 mapped=2101248 events=0
  import=4 pid=73 rights=- mappings=0 mapped=0 events=1
segment=5 published id=0x600000 pid=80 length=4096 imports=1 events=4294967295
  import=0 pid=81 rights=r mappings=1 mapped=4096 events=0
segment=6 dead pid=80 length=4096 imports=0 events=0
";

    #[test]
    fn segments_as_the_module_writes_them() {
        let seen = segments(SEGMENTS).unwrap();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[0].state, State::Bound);
        assert_eq!(
            (seen[0].number, seen[0].id, seen[0].length),
            (Some(1), None, 8192)
        );
        assert_eq!(seen[1].id, Some(0x8000_0001));
        assert_eq!(seen[1].exporter.as_ref().unwrap().pid, 71);
        assert_eq!((seen[1].imports, seen[1].events), (Some(2), Some(3)));
        assert_eq!(seen[1].mapped, Some(2_101_248));
        let import = &seen[1].importers[1];
        assert_eq!((import.number, import.importer.pid), (Some(4), 73));
        assert_eq!((import.rights, import.mappings), (Rights::None, 0));
        assert_eq!((import.mapped, import.events), (Some(0), 1));
        assert_eq!(seen[2].importers[0].rights, Rights::Read);
        assert_eq!(seen[2].events, Some(u64::from(u32::MAX)));
        assert_eq!(seen[3].state, State::Dead);
        assert_eq!(segments(""), Ok(Vec::new()));
    }

    #[test]
    fn lines_that_the_module_does_not_write() {
        for bad in [
            "\n",
            "segment=1 bound pid=71 length=8192 imports=0\n",
            "segment=1 bound pid=71 length=8192 imports=0 events=0 more=1\n",
            "segment=1 bound pid=71 length=8192 imports=0 events=0 \n",
            "segment=1 bound id=0x1 pid=71 length=8192 imports=0 events=0\n",
            "segment=1 published pid=71 length=8192 imports=0 events=0\n",
            "segment=1 gone pid=71 length=8192 imports=0 events=0\n",
            "segment=-1 bound pid=71 length=8192 imports=0 events=0\n",
            "segment=1 bound pid=99999999999 length=8192 imports=0 events=0\n",
            "segment=1 bound pid=71 length=0x10 imports=0 events=0\n",
            "segment=1 published id=80000001 pid=71 length=8192 imports=0 events=0\n",
            "segment=1 published id=0x180000001 pid=71 length=8192 imports=0 events=0\n",
            "  import=0 pid=72 rights=rw mappings=2 mapped=2101248 events=0\n",
            "segment=1 bound pid=71 length=8192 imports=0 events=0\n  import=0 pid=72 rights=wr mappings=2 mapped=0 events=0\n",
            "segment=1 bound pid=71 length=8192 imports=0 events=0\n import=0 pid=72 rights=rw mappings=2 mapped=0 events=0\n",
        ] {
            assert!(segments(bad).is_err(), "{bad:?}");
        }
        let problem = segments(&format!("{SEGMENTS}rubbish\n")).unwrap_err();
        assert_eq!(problem.line, 8);
        assert_eq!(problem.text, "rubbish");
    }

    #[test]
    fn counters_as_the_module_writes_them() {
        let text = "create 7\npublish 6\nconnect 5\nrebind 4\nunpublish 3\ndestroy 2\nlose 1\n";
        let seen = counters(text).unwrap();
        assert_eq!((seen.create, seen.connect, seen.lose), (7, 5, 1));
        for bad in [
            "",
            "create 7\n",
            "publish 6\n",
            &text.replace("lose 1", "lose"),
            &text.replace("lose 1", "lose -1"),
            &text.replace("connect 5", "connects 5"),
            &format!("{text}lose 1\n"),
        ] {
            assert!(counters(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_as_the_module_writes_them() {
        let mut text = String::new();
        for bit in 0..23 {
            text += &format!("<{}us {bit}\n", 1_u64 << bit);
        }
        text += "more 9\n";
        let seen = revoke_times(&text).unwrap();
        assert_eq!(seen.len(), 24);
        assert_eq!(
            seen[3],
            Bucket {
                below_us: Some(8),
                count: 3
            }
        );
        assert_eq!(
            seen[23],
            Bucket {
                below_us: None,
                count: 9
            }
        );
        for bad in [
            "",
            "<1us 0\n",
            "more 0\nmore 0\n",
            "more 0\n<1us 0\n",
            "<2us 0\n<1us 0\nmore 0\n",
            "<1ms 0\nmore 0\n",
            "<1us\nmore 0\n",
        ] {
            assert!(revoke_times(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_of_objects() {
        assert_eq!(live("12\n"), Ok(12));
        assert_eq!(live("-1\n"), Ok(0));
        for bad in ["", "\n", "-\n", "1 2\n", "1\n2\n", "+1\n"] {
            assert!(live(bad).is_err(), "{bad:?}");
        }
    }
}
