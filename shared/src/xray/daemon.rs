//! X-Ray's daemon, to which documents are sent.
//!
//! Source: AWS X-Ray Developer Guide, "Sending segment documents to the X-Ray daemon".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::OnceLock;

use serde_json::Value;

/// The first line of a message, which says what follows.
const PREAMBLE: &str = r#"{"format": "json", "version": 1}"#;

/// The daemon at an address.
#[derive(Debug)]
pub(super) struct Daemon {
    address: SocketAddr,
    /// Opened for the first document. `None` if it could not be opened.
    socket: OnceLock<Option<UdpSocket>>,
}

impl Daemon {
    /// Reads an address in one of the two forms of `AWS_XRAY_DAEMON_ADDRESS`: `169.254.79.129:2000`, or
    /// `tcp:127.0.0.1:2000 udp:127.0.0.2:2001`.
    pub(super) fn at(addresses: &str) -> Option<Self> {
        let address = |text: &str| text.strip_prefix("udp:").unwrap_or(text).parse().ok();
        let address = addresses.split_whitespace().find_map(address)?;
        Some(Self { address, socket: OnceLock::new() })
    }

    /// Sends a document, if that is possible at once. One that cannot be sent is lost: no request waits for its trace.
    pub(super) fn send(&self, document: &Value) {
        if let Some(socket) = self.socket.get_or_init(|| open(self.address).ok()) {
            let _ = socket.send_to(format!("{PREAMBLE}\n{document}").as_bytes(), self.address);
        }
    }

    #[cfg(test)]
    pub(super) fn has_socket(&self) -> bool {
        self.socket.get().is_some()
    }
}

fn open(to: SocketAddr) -> std::io::Result<UdpSocket> {
    let own: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_address_are_read() {
        let address = |text: &str| Daemon::at(text).map(|daemon| daemon.address.to_string());
        assert_eq!(address("169.254.79.129:2000").as_deref(), Some("169.254.79.129:2000"));
        assert_eq!(address("tcp:127.0.0.1:2000 udp:127.0.0.2:2001").as_deref(), Some("127.0.0.2:2001"));
        assert_eq!(address("udp:[::1]:2000").as_deref(), Some("[::1]:2000"));
        assert_eq!([address(""), address("somewhere"), address("localhost:2000")], [None, None, None]);
    }
}
