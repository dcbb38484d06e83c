//! The fate of a part of a text, as a receipt tells it.

/// The fate of a part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartFate {
    /// The network has it.
    Accepted,
    /// It is on the phone.
    Delivered,
    /// It did not get there, for this reason, in words that are safe to show.
    Undelivered(String),
}
