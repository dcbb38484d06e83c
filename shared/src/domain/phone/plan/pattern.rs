//! Patterns of libphonenumber, matched without compiling them first: a creation asks some thirty, each once, and a
//! regular expression engine takes longer to compile one than all of them take here.

/// A regular expression of the few means that libphonenumber's metadata uses: digits and characters, `\d`, `[0-24-9]`,
/// `(?:…)`, `(…)`, `|`, `?`, `*`, `+`, `{2}`, `{2,4}` and `$`. As in Perl the first alternative that leads to a match
/// wins, and what can be repeated is repeated as often as possible.
#[derive(Debug, Clone, Copy)]
pub struct Pattern<'p>(pub &'p str);

/// How far into the text a match has come.
#[derive(Debug, Clone, Copy)]
pub struct Reached<'t> {
    /// What is left of the text.
    pub rest: &'t str,
    /// What the first groups in parentheses took, in the order in which they ended.
    pub groups: [Option<&'t str>; 2],
}

/// What has to hold from there on.
type Then<'a, 't> = &'a mut dyn FnMut(Reached<'t>) -> bool;

impl Pattern<'_> {
    /// Whether all of `text` is what the pattern describes.
    pub fn is_all_of(self, text: &str) -> bool {
        any_branch(self.0, Reached { rest: text, groups: [None; 2] }, &mut |end| end.rest.is_empty())
    }

    /// Where the match ends with which `text` begins, if it does.
    pub fn at_start_of(self, text: &str) -> Option<Reached<'_>> {
        let mut found = None;
        any_branch(self.0, Reached { rest: text, groups: [None; 2] }, &mut |end| found.replace(end).is_none());
        found
    }
}

/// One unit of a pattern, to be repeated.
#[derive(Clone, Copy)]
struct Piece<'p> {
    unit: Unit<'p>,
    least: usize,
    most: usize,
}

#[derive(Clone, Copy)]
enum Unit<'p> {
    End,
    /// One of the characters and ranges between brackets.
    OneOf(&'p str),
    Group(&'p str),
    Captured(&'p str),
}

fn any_branch<'t>(pattern: &str, at: Reached<'t>, then: Then<'_, 't>) -> bool {
    let mut depth = 0;
    let mut begin = 0;
    for (index, byte) in pattern.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b'|' if depth == 0 => {
                if branch(&pattern[begin..index], at, then) {
                    return true;
                }
                begin = index + 1;
            }
            _ => {}
        }
    }
    branch(&pattern[begin..], at, then)
}

fn branch<'t>(pattern: &str, at: Reached<'t>, then: Then<'_, 't>) -> bool {
    match first_piece(pattern) {
        Some((piece, rest)) => repeated(piece, at, &mut |at| branch(rest, at, then)),
        None => then(at),
    }
}

fn repeated<'t>(piece: Piece<'_>, at: Reached<'t>, then: Then<'_, 't>) -> bool {
    let Piece { unit, least, most } = piece;
    let fewer = Piece { unit, least: least.saturating_sub(1), most: most.saturating_sub(1) };
    (most > 0 && once(unit, at, &mut |at| repeated(fewer, at, then))) || (least == 0 && then(at))
}

fn once<'t>(unit: Unit<'_>, at: Reached<'t>, then: Then<'_, 't>) -> bool {
    match unit {
        Unit::End => at.rest.is_empty() && then(at),
        Unit::OneOf(these) => {
            let mut chars = at.rest.chars();
            chars.next().is_some_and(|c| contains(these, c)) && then(Reached { rest: chars.as_str(), ..at })
        }
        Unit::Group(pattern) => any_branch(pattern, at, then),
        Unit::Captured(pattern) => any_branch(pattern, at, &mut |end| {
            let taken = Some(&at.rest[..at.rest.len() - end.rest.len()]);
            let groups = if end.groups[0].is_none() { [taken, None] } else { [end.groups[0], taken] };
            then(Reached { groups, ..end })
        }),
    }
}

/// Whether `c` is one of `these`, such as `14-9`, or `\d`.
fn contains(these: &str, c: char) -> bool {
    if these.starts_with('\\') {
        return c.is_ascii_digit();
    }
    let mut chars = these.chars();
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

/// The first piece of a branch, and the rest of the branch.
fn first_piece(pattern: &str) -> Option<(Piece<'_>, &str)> {
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
    let (least, most, rest) = repetition(rest);
    Some((Piece { unit, least, most }, rest))
}

/// The index of the parenthesis that closes the one with which `pattern` begins.
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

/// How often what came before may come, least and most, and what follows.
fn repetition(pattern: &str) -> (usize, usize, &str) {
    match pattern.bytes().next() {
        Some(b'?') => (0, 1, &pattern[1..]),
        Some(b'*') => (0, usize::MAX, &pattern[1..]),
        Some(b'+') => (1, usize::MAX, &pattern[1..]),
        Some(b'{') => {
            let (times, rest) = pattern[1..].split_once('}').unwrap_or_default();
            let (least, most) = times.split_once(',').unwrap_or((times, times));
            (least.parse().unwrap_or_default(), most.parse().unwrap_or_default(), rest)
        }
        _ => (1, 1, pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_text_is_matched() {
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
                assert!(Pattern(pattern).is_all_of(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!Pattern(pattern).is_all_of(text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn at_the_start_the_first_alternative_wins_and_as_much_as_possible_is_taken() {
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
            let reached = Pattern(pattern).at_start_of(text);
            assert_eq!(reached.map(|reached| reached.rest), rest, "{pattern} {text}");
            assert_eq!(reached.map_or([None; 2], |reached| reached.groups), groups, "{pattern} {text}");
        }
    }
}
