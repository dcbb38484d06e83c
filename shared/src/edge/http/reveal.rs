//! The permission to see real numbers, which API Gateway tells with each request: a scope of its token, or the role that signed it.

use std::str::FromStr;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use crate::config::{ConfigError, Environment};
use crate::domain::phone::Reveal;

/// The scope of tokens whose senders see real numbers.
const SCOPE: &str = "maskline/reveal";

/// Those who see real numbers in the answers to their requests.
#[derive(Debug, Clone)]
pub enum NumberReaders {
    /// Everybody who may send the request.
    Everybody,
    /// Those with a permission of their own: the scope of a token, or one of these roles.
    Permitted(Vec<Principal>),
}

/// A role or a user of IAM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// `aws`, or another partition.
    partition: String,
    account: String,
    kind: PrincipalKind,
    /// The name without its path. It is the only one of the account, whatever its path.
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PrincipalKind {
    Role,
    User,
}

/// The text is not the ARN of a role or of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAPrincipal;

impl FromStr for Principal {
    type Err = NotAPrincipal;

    /// Reads an ARN such as `arn:aws:iam::111122223333:role/support-lead`.
    fn from_str(arn: &str) -> Result<Self, NotAPrincipal> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else { return Err(NotAPrincipal) };
        let (kind, path) = resource.split_once('/').ok_or(NotAPrincipal)?;
        let kind = match kind {
            "role" => PrincipalKind::Role,
            "user" => PrincipalKind::User,
            _ => return Err(NotAPrincipal),
        };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        // A pattern would be read as a name that nobody has.
        let is_name = |name: &&str| !name.is_empty() && !name.contains(['*', '?', ' ']);
        let name = path.rsplit('/').next().filter(is_name).filter(|_| is_account).ok_or(NotAPrincipal)?;
        Ok(Self { partition: partition.to_owned(), account: account.to_owned(), kind, name: name.to_owned() })
    }
}

impl Principal {
    /// True if the sender of a request is this one. `arn` is a user's own, or that of a session of a role, in which the role has no
    /// path and the session a name of its own: `arn:aws:sts::111122223333:assumed-role/support-lead/anna`.
    fn is(&self, arn: &str) -> bool {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, service, "", account, resource] = parts[..] else { return false };
        let name = match (self.kind, service) {
            (PrincipalKind::User, "iam") => resource.strip_prefix("user/").and_then(|path| path.rsplit('/').next()),
            (PrincipalKind::Role, "sts") => {
                resource.strip_prefix("assumed-role/").and_then(|session| session.split('/').next())
            }
            _ => None,
        };
        (partition, account, name) == (&*self.partition, &*self.account, Some(&*self.name))
    }
}

impl NumberReaders {
    /// Reads `REVEAL_NUMBERS` and `REVEAL_ROLES`.
    pub fn from_environment(env: &Environment) -> Result<Self, ConfigError> {
        let malformed = |name, expected: &str| ConfigError::Malformed { name, expected: expected.to_owned() };
        let roles = env.optional("REVEAL_ROLES");
        match env.required("REVEAL_NUMBERS")?.as_str() {
            // Whoever names roles wants all others to be shown no number.
            "all" if roles.is_some() => Err(malformed("REVEAL_ROLES", "needs REVEAL_NUMBERS=permitted")),
            "all" => Ok(Self::Everybody),
            "permitted" => {
                let expected = "must be ARNs of roles or users, such as arn:aws:iam::111122223333:role/support-lead, \
                                separated by commas";
                let read = |roles: String| roles.split(',').map(|role| role.trim().parse()).collect();
                let roles = roles.map_or_else(|| Ok(Vec::new()), read);
                roles.map(Self::Permitted).map_err(|NotAPrincipal| malformed("REVEAL_ROLES", expected))
            }
            _ => Err(malformed("REVEAL_NUMBERS", "must be all or permitted")),
        }
    }

    /// Returns the part of real numbers that the sender of a request is shown. A sender of whom API Gateway tells nothing has no
    /// permission.
    pub fn reveal_to(&self, request: &Request) -> Reveal {
        match self {
            Self::Everybody => Reveal::Whole,
            Self::Permitted(principals) if is_permitted(request, principals) => Reveal::Whole,
            Self::Permitted(_) => Reveal::LastDigits,
        }
    }
}

fn is_permitted(request: &Request, principals: &[Principal]) -> bool {
    let Some(RequestContext::ApiGatewayV2(context)) = request.request_context_ref() else { return false };
    let Some(authorizer) = &context.authorizer else { return false };
    let mut claims = authorizer.jwt.iter().flat_map(|token| ["scope", "scp"].map(|name| token.claims.get(name)));
    let caller = authorizer.iam.as_ref().and_then(|identity| identity.user_arn.as_deref());
    claims.any(|claim| claim.is_some_and(|claim| has_scope(claim)))
        || caller.is_some_and(|caller| principals.iter().any(|principal| principal.is(caller)))
}

/// True if a claim has the scope. It is a text with blanks, or a list, which API Gateway writes as `[one two]`.
fn has_scope(claim: &str) -> bool {
    let list = claim.strip_prefix('[').and_then(|list| list.strip_suffix(']')).unwrap_or(claim);
    list.split([' ', ',']).any(|scope| scope == SCOPE)
}

#[cfg(test)]
mod tests {
    use lambda_http::request::LambdaRequest;
    use serde_json::{Value, json};

    use super::*;

    const ROLES: &str = "arn:aws:iam::111122223333:role/desk/support-lead, arn:aws:iam::111122223333:user/people/anna";

    fn readers(variables: &[(&str, &str)]) -> Result<NumberReaders, ConfigError> {
        NumberReaders::from_environment(&variables.iter().copied().collect())
    }

    fn request(authorizer: &Value) -> Request {
        let event = json!({"version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "headers": {},
                           "isBase64Encoded": false,
                           "requestContext": {"http": {"method": "GET", "path": "/"}, "authorizer": authorizer}});
        serde_json::from_value::<LambdaRequest>(event).unwrap().into()
    }

    fn shown(authorizer: &Value) -> Reveal {
        let readers = readers(&[("REVEAL_NUMBERS", "permitted"), ("REVEAL_ROLES", ROLES)]).unwrap();
        readers.reveal_to(&request(authorizer))
    }

    #[test]
    fn scope_of_a_token_reveals_numbers() {
        for (claim, scopes, reveals) in [
            ("scope", "maskline/conversations maskline/reveal", Reveal::Whole),
            ("scp", "[maskline/conversations maskline/reveal]", Reveal::Whole),
            ("scope", "maskline/reveal", Reveal::Whole),
            ("scope", "maskline/conversations maskline/numbers", Reveal::LastDigits),
            ("scope", "maskline/revealed not-maskline/reveal", Reveal::LastDigits),
            ("scope", "", Reveal::LastDigits),
            ("sub", "maskline/reveal", Reveal::LastDigits),
        ] {
            assert_eq!(
                shown(&json!({"jwt": {"claims": {claim: scopes}, "scopes": null}})),
                reveals,
                "{claim} {scopes}"
            );
        }
    }

    #[test]
    fn named_role_reveals_numbers_in_each_session() {
        for (arn, reveals) in [
            ("arn:aws:sts::111122223333:assumed-role/support-lead/anna", Reveal::Whole),
            ("arn:aws:sts::111122223333:assumed-role/support-lead/i-0123456789abcdef0", Reveal::Whole),
            ("arn:aws:iam::111122223333:user/people/anna", Reveal::Whole),
            ("arn:aws:sts::111122223333:assumed-role/support/support-lead", Reveal::LastDigits),
            ("arn:aws:sts::444455556666:assumed-role/support-lead/anna", Reveal::LastDigits),
            ("arn:aws-cn:sts::111122223333:assumed-role/support-lead/anna", Reveal::LastDigits),
            ("arn:aws:iam::111122223333:user/support-lead", Reveal::LastDigits),
            ("arn:aws:sts::111122223333:assumed-role/anna/session", Reveal::LastDigits),
            ("arn:aws:sts::111122223333:federated-user/anna", Reveal::LastDigits),
            ("arn:aws:iam::111122223333:root", Reveal::LastDigits),
            ("", Reveal::LastDigits),
        ] {
            assert_eq!(shown(&json!({"iam": {"userArn": arn}})), reveals, "{arn}");
        }
    }

    #[test]
    fn unknown_sender_is_shown_no_number() {
        assert_eq!(shown(&json!(null)), Reveal::LastDigits);
        assert_eq!(shown(&json!({"iam": {}})), Reveal::LastDigits);
        let nobody = readers(&[("REVEAL_NUMBERS", "permitted")]).unwrap();
        let role = json!({"iam": {"userArn": "arn:aws:sts::111122223333:assumed-role/support-lead/anna"}});
        assert_eq!(nobody.reveal_to(&request(&role)), Reveal::LastDigits);
        assert_eq!(nobody.reveal_to(&Request::default()), Reveal::LastDigits);
    }

    #[test]
    fn without_the_setting_everybody_is_shown_numbers() {
        for variables in [&[][..], &[("REVEAL_NUMBERS", "all")], &[("REVEAL_NUMBERS", "")]] {
            assert_eq!(readers(variables).unwrap().reveal_to(&request(&json!(null))), Reveal::Whole);
        }
    }

    #[test]
    fn roles_that_nobody_can_have_are_refused() {
        for roles in [
            "support-lead",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::1:role/a",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:sts::111122223333:assumed-role/support-lead/anna",
            "arn:aws:iam::111122223333:group/desk",
            ",",
        ] {
            let read = readers(&[("REVEAL_NUMBERS", "permitted"), ("REVEAL_ROLES", roles)]);
            assert!(read.is_err_and(|error| error.to_string().contains("REVEAL_ROLES")), "{roles}");
        }
        assert!(readers(&[("REVEAL_ROLES", ROLES)]).is_err(), "numbers are shown to all");
        assert!(readers(&[("REVEAL_NUMBERS", "some")]).is_err());
    }
}
