//! A matcher for the patterns of libphonenumber.
//!
//! It interprets a pattern without compiling it. Parsing and classifying two numbers uses about 30 patterns, each once;
//! a regular expression engine takes longer to compile a single one than this matcher takes for all of them.

/// A regular expression in the subset that libphonenumber's metadata uses: characters, `\d`, `[0-24-9]`, `(?:…)`, `(…)`,
/// `|`, `?`, `*`, `+`, `{2}`, `{2,4}` and `$`.
///
/// Semantics are those of Perl: the first alternative that leads to a match is taken, and repetition is greedy.
#[derive(Debug, Clone, Copy)]
pub struct Pattern<'p>(pub &'p str);

/// The state of a match in progress.
#[derive(Debug, Clone, Copy)]
pub struct Match<'t> {
    /// The text that is not matched yet.
    pub rest: &'t str,
    /// The first two captured groups, in the order in which they ended.
    pub groups: [Option<&'t str>; 2],
}

/// Continuation: matches the remaining pattern.
type Then<'a, 't> = &'a mut dyn FnMut(Match<'t>) -> bool;

impl Pattern<'_> {
    /// True if the pattern matches all of `text`.
    pub fn matches(self, text: &str) -> bool {
        match_any_branch(self.0, Match { rest: text, groups: [None; 2] }, &mut |end| end.rest.is_empty())
    }

    /// Matches the start of `text`.
    pub fn match_start(self, text: &str) -> Option<Match<'_>> {
        let mut found = None;
        match_any_branch(self.0, Match { rest: text, groups: [None; 2] }, &mut |end| found.replace(end).is_none());
        found
    }
}

/// One unit of a pattern with its repetition.
#[derive(Clone, Copy)]
struct Piece<'p> {
    unit: Unit<'p>,
    min: usize,
    max: usize,
}

#[derive(Clone, Copy)]
enum Unit<'p> {
    /// The end of the text.
    End,
    /// One character of a set; see [`contains`].
    OneOf(&'p str),
    Group(&'p str),
    Captured(&'p str),
}

fn match_any_branch<'t>(pattern: &str, at: Match<'t>, then: Then<'_, 't>) -> bool {
    let mut depth = 0;
    let mut begin = 0;
    for (index, byte) in pattern.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'|' if depth == 0 => {
                if match_branch(&pattern[begin..index], at, then) {
                    return true;
                }
                begin = index + 1;
            }
            _ => {}
        }
    }
    match_branch(&pattern[begin..], at, then)
}

fn match_branch<'t>(pattern: &str, at: Match<'t>, then: Then<'_, 't>) -> bool {
    match split_piece(pattern) {
        Some((piece, rest)) => match_repeated(piece, at, &mut |at| match_branch(rest, at, then)),
        None => then(at),
    }
}

fn match_repeated<'t>(piece: Piece<'_>, at: Match<'t>, then: Then<'_, 't>) -> bool {
    let Piece { unit, min, max } = piece;
    let fewer = Piece { unit, min: min.saturating_sub(1), max: max.saturating_sub(1) };
    (max > 0 && match_unit(unit, at, &mut |at| match_repeated(fewer, at, then))) || (min == 0 && then(at))
}

fn match_unit<'t>(unit: Unit<'_>, at: Match<'t>, then: Then<'_, 't>) -> bool {
    match unit {
        Unit::End => at.rest.is_empty() && then(at),
        Unit::OneOf(set) => {
            let mut chars = at.rest.chars();
            chars.next().is_some_and(|c| contains(set, c)) && then(Match { rest: chars.as_str(), ..at })
        }
        Unit::Group(pattern) => match_any_branch(pattern, at, then),
        Unit::Captured(pattern) => match_any_branch(pattern, at, &mut |end| {
            let taken = Some(&at.rest[..at.rest.len() - end.rest.len()]);
            let groups = if end.groups[0].is_none() { [taken, None] } else { [end.groups[0], taken] };
            then(Match { groups, ..end })
        }),
    }
}

/// True if the set contains `c`. A set is the inside of brackets, such as `14-9`, or `\d`.
fn contains(set: &str, c: char) -> bool {
    if set.starts_with('\\') {
        return c.is_ascii_digit();
    }
    let mut chars = set.chars();
    while let Some(first) = chars.next() {
        let mut after = chars.clone();
        let last = match (after.next(), after.next()) {
            (Some('-'), Some(last)) => {
                chars = after;
                last
            }
            _ => first,
        };
        if (first..=last).contains(&c) {
            return true;
        }
    }
    false
}

/// Splits a branch into its first piece and the rest.
fn split_piece(pattern: &str) -> Option<(Piece<'_>, &str)> {
    let first = pattern.chars().next()?;
    let (unit, rest) = match first {
        '(' => {
            let end = closing_parenthesis(pattern);
            let (inside, rest) = (&pattern[1..end], &pattern[end + 1..]);
            (inside.strip_prefix("?:").map_or(Unit::Captured(inside), Unit::Group), rest)
        }
        '[' => {
            let end = pattern.find(']').unwrap_or(pattern.len() - 1);
            (Unit::OneOf(&pattern[1..end]), &pattern[end + 1..])
        }
        '$' => (Unit::End, &pattern[1..]),
        '\\' => (Unit::OneOf(&pattern[..2]), &pattern[2..]),
        _ => {
            let (unit, rest) = pattern.split_at(first.len_utf8());
            (Unit::OneOf(unit), rest)
        }
    };
    let (min, max, rest) = repetition(rest);
    Some((Piece { unit, min, max }, rest))
}

/// Returns the index of the parenthesis that closes the first character of `pattern`.
fn closing_parenthesis(pattern: &str) -> usize {
    let mut depth = 0;
    let closing = pattern.bytes().position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    closing.unwrap_or(pattern.len() - 1)
}

/// Parses a repetition. Returns its minimum, its maximum, and the rest of the pattern.
fn repetition(pattern: &str) -> (usize, usize, &str) {
    match pattern.bytes().next() {
        Some(b'?') => (0, 1, &pattern[1..]),
        Some(b'*') => (0, usize::MAX, &pattern[1..]),
        Some(b'+') => (1, usize::MAX, &pattern[1..]),
        Some(b'{') => {
            let (times, rest) = pattern[1..].split_once('}').unwrap_or_default();
            let (min, max) = times.split_once(',').unwrap_or((times, times));
            (min.parse().unwrap_or_default(), max.parse().unwrap_or_default(), rest)
        }
        _ => (1, 1, pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_compares_the_whole_text() {
        for (pattern, yes, no) in [
            ("44", &["44"][..], &["4", "444", ""][..]),
            ("[14-69]\\d", &["10", "49", "55", "60", "99"], &["20", "30", "1", "100", "1a"]),
            ("1|2(?:3|4)5|67", &["1", "235", "245", "67"], &["2", "25", "12345", "6"]),
            ("12?3", &["123", "13"], &["1223", "12"]),
            ("\\d{2}", &["12"], &["1", "123"]),
            ("(?:1\\d){1,3}", &["10", "1011", "101112"], &["", "1", "10111213"]),
            ("(?:12|1)(?:23|3)", &["1223", "123", "13"], &["1", "1233"]),
            ("[ ,-]*é+#?", &["é", " -,éé#"], &["", "-", "é##"]),
            ("(1)$|2", &["1", "2"], &["12"]),
        ] {
            for text in yes {
                assert!(Pattern(pattern).matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!Pattern(pattern).matches(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn match_start_takes_first_alternative_and_is_greedy() {
        for (pattern, text, rest, groups) in [
            ("0|00", "001", Some("01"), [None; 2]),
            ("00|0", "001", Some("1"), [None; 2]),
            ("80?", "8012", Some("12"), [None; 2]),
            ("0(1\\d)?", "0123", Some("3"), [Some("12"), None]),
            ("0(1\\d)?", "0223", Some("223"), [None; 2]),
            ("(?:0|90)(?:(1[245])(\\d{2,3}))?", "09", Some("9"), [None; 2]),
            ("(?:0|90)(?:(1[245])(\\d{2,3}))?", "014567", Some(""), [Some("14"), Some("567")]),
            ("([2-7]\\d{2})$|1", "234", Some(""), [Some("234"), None]),
            ("([2-7]\\d{2})$|1", "2345", None, [None; 2]),
            ("([2-7]\\d{2})$|1", "1345", Some("345"), [None; 2]),
        ] {
            let found = Pattern(pattern).match_start(text);
            assert_eq!(found.map(|found| found.rest), rest, "{pattern} {text}");
            assert_eq!(found.map_or([None; 2], |found| found.groups), groups, "{pattern} {text}");
        }
    }
}
