//! The public key of an application, with which Vonage verifies its tokens.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::application_token::private_key;

/// An RSA public key in PEM (`BEGIN PUBLIC KEY`), as the Application API takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

/// The text is not an RSA public key in PEM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPublicKey {
    /// It is the private half.
    #[error("must be the public half of the key (BEGIN PUBLIC KEY); the private one stays where it is")]
    Private,
    /// It is something else.
    #[error("must be an RSA public key of 2048 to 4096 bits in PEM (BEGIN PUBLIC KEY)")]
    Malformed,
}

/// `rsaEncryption` with its empty parameters, as DER. Source: RFC 8017, appendix A.1.
const RSA: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Lengths of the DER of keys of 2048 to 4096 bits, with any usual exponent.
const LENGTHS: std::ops::RangeInclusive<usize> = 290..=560;

impl TryFrom<&str> for PublicKey {
    type Error = NotPublicKey;

    fn try_from(pem: &str) -> Result<Self, NotPublicKey> {
        if pem.contains("PRIVATE KEY") {
            return Err(NotPublicKey::Private);
        }
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes()).map_err(|_| NotPublicKey::Malformed)?;
        // The algorithm is the first thing in the outer sequence, whose header has four octets.
        let is_rsa = der.get(4..4 + RSA.len()) == Some(&RSA[..]) && LENGTHS.contains(&der.len());
        if is_rsa { Ok(Self::of_der(&der)) } else { Err(NotPublicKey::Malformed) }
    }
}

impl PublicKey {
    /// Returns the public half of a private key in PEM, or `None` if it is no RSA key of 2048 to 4096 bits.
    pub fn of_private_key(pem: &str) -> Option<Self> {
        let key = private_key(pem)?;
        let bits = element(BIT_STRING, &[&[0][..], key.public().as_ref()].concat());
        Some(Self::of_der(&element(SEQUENCE, &[&RSA[..], &bits].concat())))
    }

    fn of_der(der: &[u8]) -> Self {
        let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
        for line in STANDARD.encode(der).as_bytes().chunks(64) {
            // Writing to a string cannot fail, and base64 is ASCII.
            let _ = writeln!(pem, "{}", String::from_utf8_lossy(line));
        }
        Self(pem + "-----END PUBLIC KEY-----\n")
    }

    /// Returns the key in PEM, in lines of 64 characters.
    pub fn pem(&self) -> &str {
        &self.0
    }

    /// True if `pem` is this key, with any line breaks.
    pub fn is(&self, pem: &str) -> bool {
        Self::try_from(pem).is_ok_and(|other| other == *self)
    }
}

/// Returns a DER element of less than 64 KiB.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
    let header = match (high, low) {
        (0, ..0x80) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [header, content.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = include_str!("../../../local/src/account/private_key.pem");
    const PUBLIC: &str = include_str!("../../../local/src/account/public_key.pem");

    #[test]
    fn public_half_is_what_openssl_makes_of_a_private_key() {
        assert_eq!(PublicKey::of_private_key(PRIVATE).unwrap().pem(), PUBLIC);
        assert_eq!(PublicKey::of_private_key(PUBLIC), None);
    }

    #[test]
    fn only_public_rsa_keys_are_taken() {
        assert_eq!(PublicKey::try_from(PUBLIC).unwrap().pem(), PUBLIC);
        assert!(PublicKey::try_from(PUBLIC).unwrap().is(&PUBLIC.replace('\n', "\r\n")));
        assert_eq!(PublicKey::try_from(PRIVATE), Err(NotPublicKey::Private));
        let elliptic = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        for malformed in ["", "key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", elliptic] {
            assert_eq!(PublicKey::try_from(malformed), Err(NotPublicKey::Malformed), "{malformed}");
        }
    }
}
