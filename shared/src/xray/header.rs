//! The tracing header of X-Ray, which carries a trace from one service to the next.
//!
//! Source: AWS X-Ray Developer Guide, "Tracing header".

use std::fmt;

/// The name of the header.
pub const NAME: &str = "x-amzn-trace-id";

/// The tracing header of an invocation or a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceHeader {
    /// The id of the trace, such as `1-5759e988-bd862e3fe1be46a994272793`.
    pub root: String,
    /// The id of the segment that the work belongs to, 16 hexadecimal digits.
    pub parent: Option<String>,
    /// True if this trace is recorded.
    pub is_sampled: bool,
}

impl TraceHeader {
    /// Reads a header. `None` if it has no id in X-Ray's form. What has another form is left out, because a client may have
    /// written it, and the id appears in the log.
    pub fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.split(';').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        let root = field("Root").filter(|root| is_trace_id(root))?;
        let parent = field("Parent").filter(|parent| is_hex(parent, 16));
        Some(Self {
            root: root.to_owned(),
            parent: parent.map(str::to_owned),
            is_sampled: field("Sampled") == Some("1"),
        })
    }
}

impl fmt::Display for TraceHeader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Root={}", self.root)?;
        if let Some(parent) = &self.parent {
            write!(out, ";Parent={parent}")?;
        }
        write!(out, ";Sampled={}", u8::from(self.is_sampled))
    }
}

fn is_trace_id(text: &str) -> bool {
    let mut parts = text.split('-');
    let [version, time, random] = [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
    version == "1" && is_hex(time, 8) && is_hex(random, 24) && parts.next().is_none()
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";

    #[test]
    fn header_of_lambda_is_read_and_written() {
        for (text, parent, is_sampled) in [
            (format!("Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"), Some("53995c3f42cd8ad8"), true),
            (format!("Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=0"), Some("53995c3f42cd8ad8"), false),
            (format!("Root={ROOT};Sampled=0"), None, false),
        ] {
            let header = TraceHeader::parse(&text).unwrap();
            let expected = TraceHeader { root: ROOT.to_owned(), parent: parent.map(str::to_owned), is_sampled };
            assert_eq!((&header, header.to_string()), (&expected, text));
        }
        let with_lineage =
            format!("Self=1-67891234-12456789abcdef012345678; Root={ROOT} ;Sampled=1;Lineage=25:a87bd80c:1");
        assert_eq!(TraceHeader::parse(&with_lineage).unwrap().to_string(), format!("Root={ROOT};Sampled=1"));
    }

    #[test]
    fn what_a_client_may_have_written_is_no_id() {
        for text in [
            "",
            "Root",
            "Root=447700900147",
            "Root=1-447700900147",
            "Root=1-5759e988-447700900147",
            "Root=2-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a994272793-1",
            "Root=1-5759E988-BD862E3FE1BE46A994272793",
            "Sampled=1",
        ] {
            assert_eq!(TraceHeader::parse(text), None, "{text}");
        }
        let header = TraceHeader::parse(&format!("Root={ROOT};Parent=447700900147;Sampled=yes")).unwrap();
        assert_eq!((header.parent, header.is_sampled), (None, false));
    }
}
