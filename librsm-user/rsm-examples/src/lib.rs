// SPDX-License-Identifier: MIT OR Apache-2.0
//! Nothing but tests: the examples in the documentation of `rsm`, which `cargo test --doc`
//! only compiles, run in a guest. `build.rs` collects them. Here is the test that there is
//! one for everything.

#[cfg(test)]
mod source;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use crate::source::{Place, Source};

    const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rsm/src");

    /// What the crate exports of its modules.
    fn exported() -> BTreeSet<String> {
        let text = fs::read_to_string(format!("{SOURCES}/lib.rs")).expect("lib.rs");
        let uses = text.split("\npub use ").skip(1);
        uses.filter_map(|rest| rest.split(';').next()?.split_once("::"))
            .flat_map(|(_, names)| names.split(|symbol| "{}, \n".contains(symbol)))
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect()
    }

    fn sources() -> BTreeMap<String, Source> {
        let files = fs::read_dir(SOURCES).expect("the sources of rsm");
        let paths = files.map(|entry| entry.expect("a directory entry").path());
        paths
            .filter(|path| path.extension().is_some_and(|end| end == "rs"))
            .map(|path| {
                let name = path.file_name().expect("a name").to_string_lossy();
                let text = fs::read_to_string(&path).expect("a source file");
                (name.into_owned(), Source::of(&text))
            })
            .collect()
    }

    /// Is there an example of it: a type's at the type, any other thing's at itself, its type or
    /// its module, and with its name?
    fn is_shown(item: &Place, source: &Source, all: &BTreeMap<String, Source>) -> bool {
        let mut here = source.examples.iter();
        let mut everywhere = all.values().flat_map(|source| &source.examples);
        match item {
            Place::Type(_) => here.any(|example| example.of == *item),
            Place::Member(of, name) => everywhere.any(|example| match &example.of {
                Place::Type(owner) | Place::Block(owner) | Place::Member(owner, _) => {
                    owner == of && example.shows(name, true)
                }
                _ => false,
            }),
            Place::Free(name) => here.any(|example| {
                matches!(&example.of, Place::Module | Place::Free(_)) && example.shows(name, false)
            }),
            Place::Module | Place::Block(_) => true,
        }
    }

    #[test]
    fn everything_public_is_in_an_example() {
        let (exported, sources) = (exported(), sources());
        let mut declared = BTreeSet::new();
        let (mut count, mut missing) = (0, Vec::new());
        for (file, source) in &sources {
            for item in &source.public {
                let (name, text) = match item {
                    Place::Type(name) | Place::Free(name) => (name, name.clone()),
                    Place::Member(of, name) => (of, format!("{of}::{name}")),
                    Place::Module | Place::Block(_) => continue,
                };
                if !exported.contains(name) {
                    continue;
                }
                declared.insert(name.clone());
                count += 1;
                if !is_shown(item, source, &sources) {
                    missing.push(format!("{file}: {text}"));
                }
            }
        }
        assert_eq!(declared, exported);
        assert!(count > 150, "only {count} items found");
        assert!(missing.is_empty(), "no example of\n{}", missing.join("\n"));
    }

    const SMALL: &str = r#"
//! Text.
//!
//! ```text
//! ```

/// A thing.
///
/// ```no_run
/// # hidden.call();
/// thing.run();
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Thing<M = Memory> {
    /// A member.
    pub member: u8,
}

impl<M: Into<u8>> Thing<M> {
    /// Runs.
    pub const unsafe fn run(self) {
        let x = 1;
    }

    fn private(&self) {}
}

impl From<u8> for Thing {
    fn from(raw: u8) -> Self {
        Self(raw)
    }
}

/// ```
/// range();
/// ```
pub unsafe trait Memory {
    /// All of it.
    fn range(&self) -> u8;
}

macro_rules! things {
    () => {
        impl Thing {
            /// None.
            pub const NONE: u8 = 0;
        }
    };
}

pub fn free() {}

pub(crate) fn internal() {}

#[cfg(test)]
mod tests {
    pub fn unseen() {}
}
"#;

    #[test]
    fn what_is_public_is_found() {
        let of = |of: &str, name: &str| Place::Member(of.into(), name.into());
        let expected = [
            Place::Type("Thing".into()),
            of("Thing", "run"),
            Place::Type("Memory".into()),
            of("Memory", "range"),
            of("Thing", "NONE"),
            Place::Free("free".into()),
        ];
        assert_eq!(Source::of(SMALL).public, expected);
    }

    #[test]
    fn examples_show_what_a_reader_sees() {
        let source = Source::of(SMALL);
        let [thing, memory] = &source.examples[..] else {
            panic!("{source:?}")
        };
        assert_eq!(thing.of, Place::Type("Thing".into()));
        assert_eq!(
            thing.program,
            "hidden.call();\nthing.run();\nOk::<(), Error>(())\n"
        );
        assert!(thing.shows("run", true) && !thing.shows("ru", true));
        assert!(!thing.shows("call", true), "it is hidden");
        assert!(memory.shows("range", false) && !memory.shows("range", true));
        assert_eq!(memory.of, Place::Type("Memory".into()));
    }
}
