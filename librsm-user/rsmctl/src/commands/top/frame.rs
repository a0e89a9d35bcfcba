// SPDX-License-Identifier: MIT OR Apache-2.0
//! One look as lines of text.

use crate::commands::list;
use crate::observe;
use crate::report::{Bucket, Counters, Top};
use crate::units;

/// What is on the screen.
#[derive(Debug)]
pub struct Frame {
    /// Lines about everything.
    pub head: Vec<String>,
    /// The heading of the table.
    pub heading: String,
    /// A line for each segment.
    pub rows: Vec<String>,
}

impl Frame {
    /// Rates are those since the look before.
    pub fn new(now: &Top, before: Option<&Top>) -> Self {
        let mut head = vec![objects(now)];
        head.extend(now.counters.as_ref().map(|counters| {
            let before = before.and_then(|before| Some((before.counters?, before.elapsed_ms)));
            rates(counters, now.elapsed_ms, before)
        }));
        head.extend(now.revoke_times.as_deref().map(revocations));
        head.extend(now.missing.iter().map(|what| format!("not seen: {what}")));
        head.push(String::new());
        let mut lines = list::table(&now.segments, false).lines().into_iter();
        Self {
            head,
            heading: lines.next().unwrap_or_default(),
            rows: lines.collect(),
        }
    }
}

fn objects(top: &Top) -> String {
    let totals = observe::totals(&top.segments);
    match top.live {
        Some(live) => format!(
            "{totals}; {}, {}, {}",
            units::count(live.imports, "import"),
            units::count(live.views, "mapping"),
            units::count(live.controllers, "controller descriptor"),
        ),
        None => totals,
    }
}

/// How often things happen, or have happened so far.
fn rates(now: &Counters, now_ms: u64, before: Option<(Counters, u64)>) -> String {
    let ended = |counters: &Counters| {
        let Counters {
            unpublish,
            destroy,
            lose,
            ..
        } = counters;
        unpublish.saturating_add(*destroy).saturating_add(*lose)
    };
    type Get<'a> = &'a dyn Fn(&Counters) -> u64;
    let all: [(&str, Get<'_>); 5] = [
        ("created", &|counters| counters.create),
        ("published", &|counters| counters.publish),
        ("connected", &|counters| counters.connect),
        ("rebound", &|counters| counters.rebind),
        ("taken back", &ended),
    ];
    let one = |(name, get): &(&str, Get<'_>)| {
        let total = get(now);
        match before {
            Some((before, ms)) if now_ms > ms => {
                let seconds = (now_ms - ms) as f64 / 1000.0;
                let rate = total.saturating_sub(get(&before)) as f64 / seconds;
                format!("{name} {total} ({rate:.1}/s)")
            }
            _ => format!("{name} {total}"),
        }
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// How long revocations took, since the module was loaded.
fn revocations(times: &[Bucket]) -> String {
    let total: u64 = times
        .iter()
        .fold(0, |sum, bucket| sum.saturating_add(bucket.count));
    if total == 0 {
        return "no revocation yet".into();
    }
    let below = |percent| match quantile(times, total, percent) {
        Some(us) => format!("below {}", units::microseconds(us)),
        None => "longer".into(),
    };
    let number = units::count(total, "revocation");
    format!(
        "{number}: half {}, 99 % {}, all {}",
        below(50),
        below(99),
        below(100)
    )
}

/// What so many percent are below; `None` if they are beyond the last limit.
fn quantile(times: &[Bucket], total: u64, percent: u64) -> Option<u64> {
    let wanted = (u128::from(total) * u128::from(percent)).div_ceil(100);
    let mut seen = 0;
    times
        .iter()
        .find(|bucket| {
            seen += u128::from(bucket.count);
            seen >= wanted
        })?
        .below_us
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(counts: &[u64]) -> Vec<Bucket> {
        let last = counts.len() - 1;
        let bucket = |(bit, &count): (usize, &u64)| Bucket {
            below_us: (bit < last).then(|| 1 << bit),
            count,
        };
        counts.iter().enumerate().map(bucket).collect()
    }

    #[test]
    fn times_in_words() {
        assert_eq!(revocations(&times(&[0, 0, 0])), "no revocation yet");
        assert_eq!(
            revocations(&times(&[1, 0, 0, 0, 0])),
            "1 revocation: half below 1 µs, 99 % below 1 µs, all below 1 µs"
        );
        assert_eq!(
            revocations(&times(&[0, 60, 39, 0, 1])),
            "100 revocations: half below 2 µs, 99 % below 4 µs, all longer"
        );
    }

    #[test]
    fn rates_are_those_since_the_look_before() {
        let before = Counters {
            create: 5,
            ..Counters::default()
        };
        let now = Counters {
            create: 8,
            destroy: 1,
            lose: 2,
            ..before
        };
        let text = rates(&now, 3000, Some((before, 1000)));
        assert!(text.starts_with("created 8 (1.5/s), "), "{text}");
        assert!(text.ends_with("taken back 3 (1.5/s)"), "{text}");
        assert!(rates(&now, 0, None).starts_with("created 8, "));
    }
}
