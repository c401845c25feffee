//! A field of a question that a person fills in.

/// A field that a person fills in.
pub(in crate::dashboard) struct Want {
    pub(in crate::dashboard) name: &'static str,
    /// What belongs there.
    pub(in crate::dashboard) label: &'static str,
    pub(in crate::dashboard) kind: Kind,
    /// What stands there: what was typed before, or what is usual.
    pub(in crate::dashboard) value: String,
    /// It cannot be left empty.
    pub(in crate::dashboard) is_needed: bool,
}

/// How it is filled in.
pub(in crate::dashboard) enum Kind {
    /// One line of at most so many characters.
    Line(usize),
    /// One of these.
    Choice(Vec<String>),
}
