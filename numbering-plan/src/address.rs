//! Numbers in addresses: `tel:+44-7700-900001;isub=1` (RFC 3966).

use crate::parse::ParseError;
use crate::plan::Plan;

/// A number with what its address says of it.
#[derive(Clone, Copy)]
pub struct Address<'t> {
    /// The number, with the scheme and other text before it.
    pub number: &'t str,
    /// The value of `phone-context`.
    pub context: Option<Context<'t>>,
}

/// The numbers among which a local number is unique: `+44`, or the name of a private network.
#[derive(Clone, Copy)]
pub struct Context<'t>(&'t str);

/// Parameters that do not change which phone is called: the line behind it, the kind of the caller, the route of the call.
/// Sources: RFC 3966, 4694, 4715, 4759, 4904, 8224, and 3261 for `user`.
const HARMLESS: [&str; 13] = [
    "isub",
    "isub-encoding",
    "user",
    "transport",
    "cpc",
    "oli",
    "npdi",
    "rn",
    "rn-context",
    "cic",
    "enumdi",
    "tgrp",
    "verstat",
];

impl<'t> Address<'t> {
    /// Splits the parameters off. Refuses those that name another phone, such as an extension, and unknown ones. Text
    /// without parameters is a number as a whole.
    pub fn of(text: &'t str) -> Result<Self, ParseError> {
        let mut parts = text.split(';');
        let number = parts.next().unwrap_or_default();
        let mut context = None;
        for part in parts.filter(|part| part.contains(char::is_alphanumeric)) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = name.trim().to_ascii_lowercase();
            if name == "phone-context" && context.is_none() {
                context = Some(Context(value.trim()));
            } else if !HARMLESS.contains(&&*name) {
                return Err(ParseError::NotANumber);
            }
        }
        Ok(Self { number, context })
    }
}

impl Context<'_> {
    /// Returns the digits of a calling code, or of more than that. `None` for the name of a private network.
    pub fn digits(&self) -> Option<String> {
        let code = self.0.strip_prefix('+')?.replace(['-', '.', '(', ')'], "");
        (!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_digit())).then_some(code)
    }

    /// True if it says nothing against an international number: it is the name of a network, or its first digits.
    pub fn allows_international(&self, digits: &str) -> bool {
        match self.digits() {
            Some(code) => digits.starts_with(&code),
            None => !self.0.is_empty() && !self.0.starts_with('+'),
        }
    }

    /// Returns the plan of a local number, or nothing for an international one.
    ///
    /// Only a calling code says how to read a local number. One of a private network, or one that lacks an area code, is
    /// refused: its digits alone could be another phone.
    pub(crate) fn of_local_number(&self, has_plus: bool, digits: &str) -> Result<Option<Plan>, ParseError> {
        if has_plus {
            return if self.allows_international(digits) { Ok(None) } else { Err(ParseError::NotANumber) };
        }
        let plan = self.digits().and_then(|code| Plan::main(code.parse().ok()?));
        plan.map(Some).ok_or(ParseError::NotANumber)
    }
}
