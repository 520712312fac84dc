use std::fmt;

/// Upper bound of every MTU, bytes: a jumbo frame.
pub(in crate::config) const MTU_MAX: u16 = 9000;
/// Lower bound of every MTU, bytes: what each IPv4 host accepts (RFC 791, section 3.1).
pub(in crate::config) const MTU_MIN: u16 = 576;
/// Lower bound of the MTU of an interface with IPv6, bytes (RFC 8200, section 5). Linux removes IPv6
/// from an interface below it.
pub(in crate::config) const MTU_MIN_V6: u16 = 1280;

/// The name of a row that stands for every key of its table.
pub(in crate::config::read) const ANY: &str = "NAME";

/// One table of the configuration file.
#[derive(Debug)]
pub struct Table {
    /// Its name, without brackets.
    pub name: &'static str,
    /// As it stands in the file: `[relay]`, or `[[peer]]` for one that repeats.
    pub header: &'static str,
    /// Operator documentation, in Markdown.
    pub doc: &'static str,
    /// In the order of the documentation.
    pub keys: &'static [Key],
}

/// One key of a table.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes. Displays as the type column of the documentation.
    pub kind: Kind,
    /// What holds when it is left out.
    pub absent: Absent,
    /// A value in TOML.
    pub example: &'static str,
    /// Operator documentation, in Markdown.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Debug)]
pub enum Kind {
    /// A string, and what it holds.
    String(&'static str),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// An integer within these bounds.
    Integer(u32, u32),
    /// `true` or `false`.
    Boolean,
    /// A date with a time and an offset.
    Time,
    /// A list of strings, and what each holds. None may repeat.
    List(&'static str),
    /// One of these strings, or a list.
    ChoiceOrList(&'static [&'static str], &'static str),
    /// Tables with this header.
    Tables(&'static str),
}

/// What holds when a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// An error.
    Error,
    /// Nothing, or an empty list.
    Nothing,
    /// This value in TOML.
    Value(&'static str),
    /// The value of the key of this name in another table.
    Inherits(&'static str),
}

/// What every MTU takes.
pub(super) const MTU: Kind = Kind::Integer(MTU_MIN as u32, MTU_MAX as u32);

impl Table {
    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |words: &[&str]| {
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::String(what) => write!(f, "string: {what}"),
            Self::Choice(words) => write!(f, "one of {}", quoted(words)),
            Self::Integer(low, high) => write!(f, "integer, {low} to {high}"),
            Self::Boolean => f.write_str("boolean"),
            Self::Time => f.write_str("date and time with an offset"),
            Self::List(what) => write!(f, "list of {what}"),
            Self::ChoiceOrList(words, what) => write!(f, "{}, or a list of {what}", quoted(words)),
            Self::Tables(header) => write!(f, "tables {header}"),
        }
    }
}
