//! A side, as requests have it.

use serde::Deserialize;

use crate::domain::side::Side;

/// A side in the body of a request.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SideBody {
    /// `a`.
    A,
    /// `b`.
    B,
}

impl From<SideBody> for Side {
    fn from(side: SideBody) -> Self {
        match side {
            SideBody::A => Self::A,
            SideBody::B => Self::B,
        }
    }
}
