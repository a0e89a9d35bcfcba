// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a source file declares for others, and the examples in its documentation.
//!
//! The lines are taken as rustfmt leaves them, so that a declaration begins a line, and a
//! block ends where its first line begins.

/// Something that has documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Module,
    /// A type, a trait or an alias.
    Type(String),
    /// A block of a type's members.
    Block(String),
    /// A member of a type: a function or a constant.
    Member(String, String),
    /// A function or a constant that belongs to no type.
    Free(String),
}

/// An example.
#[derive(Debug)]
pub struct Example {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// What it is an example of.
    pub of: Place,
    /// All of it.
    pub program: String,
    /// What a reader sees of it.
    pub shown: String,
}

/// What is in a file.
#[derive(Debug, Default)]
pub struct Source {
    /// Everything that is declared `pub`, and members of `pub` traits.
    pub public: Vec<Place>,
    /// Examples that are programs.
    pub examples: Vec<Example>,
}

impl Source {
    /// Reads a file, up to its tests.
    pub fn of(text: &str) -> Self {
        let mut source = Self::default();
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Option<Example> = None;
        let mut unplaced = Vec::new();
        for (number, line) in text.lines().enumerate() {
            if line == "mod tests {" {
                break;
            }
            if let Some(text) = documentation(line) {
                let shown = text.trim_start();
                match &mut open {
                    None if matches!(shown, "```" | "```no_run") => {
                        open = Some(Example::at(number + 1));
                    }
                    // Of another language: up to its end nothing is an example.
                    None if shown.starts_with("```") => open = Some(Example::at(0)),
                    None => {}
                    Some(_) if shown == "```" => unplaced.extend(open.take()),
                    Some(example) => example.add(shown),
                }
                if line.trim_start().starts_with("//!") {
                    source.place(&mut unplaced, &Place::Module);
                }
                continue;
            }
            assert!(open.is_none(), "line {number}: the example has no end");
            let text = line.trim_start();
            let depth = line.len() - text.len();
            if text.is_empty() || text.starts_with("#[") || text.starts_with("//") {
                continue;
            }
            if text.starts_with('}') {
                blocks.retain(|block| block.depth < depth);
            }
            let Some(declared) = Declared::of(text, blocks.last()) else {
                assert!(unplaced.is_empty(), "line {number}: an example of what?");
                continue;
            };
            source.place(&mut unplaced, &declared.place);
            if declared.public {
                source.public.push(declared.place.clone());
            }
            if let (Some(of), true) = (declared.members_of, text.ends_with('{')) {
                blocks.push(Block { depth, ..of });
            }
        }
        source
    }

    /// Puts examples at the place that they are of.
    fn place(&mut self, examples: &mut Vec<Example>, of: &Place) {
        let programs = examples.drain(..).filter(|example| example.line > 0);
        self.examples.extend(programs.map(|example| Example {
            of: of.clone(),
            ..example
        }));
    }
}

impl Example {
    const fn at(line: usize) -> Self {
        Self {
            line,
            of: Place::Module,
            program: String::new(),
            shown: String::new(),
        }
    }

    /// Adds a line. One that begins with `# ` belongs to the program, and is not shown.
    fn add(&mut self, line: &str) {
        let hidden = line.strip_prefix("# ").or((line == "#").then_some(""));
        self.program += hidden.unwrap_or(line);
        self.program.push('\n');
        if hidden.is_none() {
            self.shown += line;
            self.shown.push('\n');
        }
    }

    /// Does a reader see this function or constant used, as a member or by itself?
    pub fn shows(&self, name: &str, member: bool) -> bool {
        let in_name = |symbol: char| symbol.is_alphanumeric() || symbol == '_';
        self.shown.match_indices(name).any(|(start, _)| {
            let (before, after) = (&self.shown[..start], &self.shown[start + name.len()..]);
            !before.ends_with(in_name)
                && !after.starts_with(in_name)
                && (!member || before.ends_with('.') || before.ends_with("::"))
        })
    }
}

/// A block whose members belong to a type.
struct Block {
    depth: usize,
    of: String,
    /// Are members public without saying so?
    public: bool,
    /// Does it implement a trait, whose members are declared elsewhere?
    of_trait: bool,
}

/// A line that declares something.
struct Declared {
    place: Place,
    public: bool,
    members_of: Option<Block>,
}

impl Declared {
    fn of(line: &str, block: Option<&Block>) -> Option<Self> {
        let (said, mut rest) = match line.strip_prefix("pub ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
        if let Some(header) = rest.strip_prefix("impl") {
            return Self::implementation(header);
        }
        for word in ["const unsafe fn ", "const fn "] {
            if rest.starts_with(word) {
                rest = &rest[word.len() - "fn ".len()..];
            }
        }
        let (word, name) = rest.split_once(' ')?;
        let name: String = name
            .chars()
            .take_while(|&symbol| symbol.is_alphanumeric() || symbol == '_' || symbol == '$')
            .collect();
        assert!(!said || !name.contains('$'), "nobody can find {line}");
        let (place, members_of) = match (word, block) {
            ("struct" | "enum" | "type" | "trait", None) => {
                let members = Block {
                    depth: 0,
                    of: name.clone(),
                    public: said,
                    of_trait: false,
                };
                (Place::Type(name), (word == "trait").then_some(members))
            }
            ("fn" | "const", None) => (Place::Free(name), None),
            ("fn" | "const", Some(block)) if !block.of_trait => {
                (Place::Member(block.of.clone(), name), None)
            }
            _ => return None,
        };
        let implied = members_of.is_none() && block.is_some_and(|block| block.public);
        Some(Self {
            place,
            public: said || implied,
            members_of,
        })
    }

    /// `header` is what follows `impl`.
    fn implementation(header: &str) -> Option<Self> {
        let mut depth = 0;
        let name = header.trim_start_matches(|symbol| {
            depth += i32::from(symbol == '<') - i32::from(symbol == '>');
            depth > 0 || symbol == '>' || symbol == ' '
        });
        let of: String = name
            .chars()
            .take_while(|symbol| symbol.is_alphanumeric() || *symbol == '_')
            .collect();
        Some(Self {
            place: Place::Block(of.clone()),
            public: false,
            members_of: Some(Block {
                depth: 0,
                of,
                public: false,
                of_trait: header.contains(" for "),
            }),
        })
    }
}

/// What a line of documentation says.
fn documentation(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}
