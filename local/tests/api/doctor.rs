//! `maskline doctor`: one thing is broken at a time, and its finding appears.

use std::process::Command;
use std::sync::Arc;

use local::doctor::{self, Findings, State};
use local::stack::account::{API_KEY, API_SECRET, APPLICATION_ID};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Laptop};
use tokio::net::TcpListener;

/// Returns a stack about which there is nothing to say.
async fn healthy() -> Laptop {
    let laptop = Laptop::builder().machine_clock().numbers("GB", 2).start().await;
    assert_eq!(laptop.post("/setup", &json!({})).await.status, 200);
    laptop
}

/// Examines the stack with these variables in place of its own.
async fn examine(laptop: &Laptop, variables: &[(&str, &str)]) -> Findings {
    let url = ("PUBLIC_URL", laptop.stack.gateway_url.as_str());
    let variables = [&[url], variables].concat();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let environment = laptop.stack.environment.clone().with(variables);
    doctor::examine(&environment, Arc::new(laptop.clock.clone())).await.unwrap()
}

/// Returns what is not as it should be.
fn broken(findings: &Findings) -> Vec<(&'static str, State)> {
    let bad = findings.0.iter().filter(|finding| finding.state != State::Ok);
    bad.inspect(|finding| assert!(finding.todo.is_some())).map(|finding| (finding.check, finding.state)).collect()
}

/// Changes the application by hand.
async fn change(laptop: &Laptop, edit: impl FnOnce(&mut Value)) {
    let path = format!("/v2/applications/{APPLICATION_ID}");
    let mut application = laptop.vonage_get(&path).await.body;
    edit(&mut application);
    let request = laptop.http.put(format!("{}{path}", laptop.stack.vonage_url)).json(&application);
    assert_eq!(Answer::to(request.basic_auth(API_KEY, Some(API_SECRET))).await.status, 200);
}

#[tokio::test]
async fn healthy_stack_has_no_finding() {
    let findings = examine(&healthy().await, &[]).await;
    assert_eq!(broken(&findings), [], "{findings}");
    assert!(findings.is_healthy() && findings.0.len() >= 15, "{findings}");
}

#[tokio::test]
async fn wrong_variable_is_found() {
    use State::{Error, Warning};

    let laptop = healthy().await;
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, State)]);
    let cases: [Case; 10] = [
        ("VONAGE_API_SECRET", "wrong", &[("credentials", Error)]),
        ("VONAGE_API_URL", "http://127.0.0.1:1", &[("clock", Error)]),
        (
            "VONAGE_APPLICATION_ID",
            "00000000-0000-4000-8000-000000000002",
            &[("application", Error), ("numbers", Warning)],
        ),
        ("PUBLIC_URL", "https://there.example", &[("webhooks_of_calls", Error), ("webhooks_of_texts", Warning)]),
        ("VONAGE_REGION", "eu-west", &[("region", Warning)]),
        ("VONAGE_PRIVATE_KEY", "", &[("private_key", Error)]),
        ("VONAGE_PRIVATE_KEY", "no key", &[("private_key", Error)]),
        ("VONAGE_SIGNATURE_SECRET", "wrong", &[("signature_secret", Error)]),
        ("NUMBER_LOOKUP", "number-insight", &[("lookup", Warning)]),
        ("MAX_CALLS_PER_SECOND", "10", &[("quotas", Warning)]),
    ];
    for (name, value, expected) in cases {
        let findings = examine(&laptop, &[(name, value)]).await;
        let found: Vec<_> = broken(&findings)
            .into_iter()
            .filter(|(check, _)| {
                // Nothing of the account can be asked there, but for the balance.
                name != "VONAGE_API_URL" || *check == "clock"
            })
            .collect();
        assert_eq!(found, expected, "{name}={value}: {findings}");
    }
}

#[tokio::test]
async fn wrong_application_is_found() {
    use State::{Error, Warning};

    type Edit = fn(&mut Value);
    let cases: [(Edit, &[(&str, State)]); 5] = [
        (
            |application| application["capabilities"]["voice"]["signed_callbacks"] = json!(false),
            &[("signed_webhooks", Error)],
        ),
        (|application| application["privacy"]["improve_ai"] = json!(true), &[("improve_ai", Warning)]),
        (|application| application["keys"]["public_key"] = json!("another"), &[("private_key", Error)]),
        (
            |application| application["capabilities"]["messages"] = json!({"version": "v0.1"}),
            &[("webhooks_of_texts", Warning)],
        ),
        (
            |application| {
                application["capabilities"]["voice"]["webhooks"]["fallback_answer_url"]["http_method"] = json!("GET")
            },
            &[("webhooks_of_calls", Error)],
        ),
    ];
    for (edit, expected) in cases {
        let laptop = healthy().await;
        change(&laptop, edit).await;
        let findings = examine(&laptop, &[]).await;
        assert_eq!(broken(&findings), expected, "{findings}");
    }
}

#[tokio::test]
async fn wrong_account_is_found() {
    use State::{Error, Warning};

    let laptop = healthy().await;
    let account = |balance: &str, redact: bool| json!({"balance": balance, "redact": redact});
    for (balance, redact, expected) in
        [("9.99", true, ("balance", Warning)), ("0", true, ("balance", Error)), ("100", false, ("redaction", Warning))]
    {
        assert_eq!(laptop.vonage(Method::PUT, "/simulator/account", account(balance, redact)).await.status, 200);
        let findings = examine(&laptop, &[]).await;
        assert_eq!(broken(&findings), [expected], "{findings}");
    }
    laptop.vonage(Method::PUT, "/simulator/account", account("100", true)).await;
    let update = |settings: &[(&'static str, &'static str)]| {
        let form = [&[("country", "GB"), ("msisdn", "447451000001")][..], settings].concat();
        let laptop = &laptop;
        async move { assert_eq!(laptop.vonage_form("/number/update", &form).await.status, 200) }
    };
    update(&[]).await;
    assert_eq!(broken(&examine(&laptop, &[]).await), [("numbers", Warning)], "it costs rent and serves nobody");
    update(&[("app_id", APPLICATION_ID), ("voiceCallbackType", "tel"), ("voiceCallbackValue", "447700900001")]).await;
    assert_eq!(broken(&examine(&laptop, &[]).await), [("numbers", Error)], "calls go elsewhere");
}

#[tokio::test]
async fn webhooks_of_somebody_else_are_found() {
    let laptop = healthy().await;
    let nowhere = "http://127.0.0.1:1";
    let lead_to = |url: String| {
        let laptop = &laptop;
        async move {
            let environment = [("PUBLIC_URL", url.as_str())];
            let order = |application: &mut Value| {
                let text = application.to_string().replace(&laptop.stack.gateway_url, &url).replace(nowhere, &url);
                *application = serde_json::from_str(&text).unwrap();
            };
            change(laptop, order).await;
            examine(laptop, &environment).await
        }
    };
    let findings = lead_to(nowhere.to_owned()).await;
    assert_eq!(broken(&findings), [("webhooks_answer", State::Error)], "{findings}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let open = axum::Router::new().fallback(async || axum::Json(json!([])));
    let server = tokio::spawn(async move { axum::serve(listener, open).await });
    let findings = lead_to(url).await;
    let expected = [("webhooks_guarded", State::Error), ("signature_secret", State::Error)];
    assert_eq!(broken(&findings), expected, "{findings}");
    server.abort();
}

#[tokio::test]
async fn clock_and_ended_lookup_are_found() {
    let laptop = healthy().await;
    laptop.advance(60);
    // The signature is of the same wrong clock as the functions, so they take it.
    assert_eq!(broken(&examine(&laptop, &[]).await), [("clock", State::Warning)]);
    laptop.advance(600);
    let findings = examine(&laptop, &[]).await;
    assert_eq!(broken(&findings), [("clock", State::Error)], "{findings}");
    let end: jiff::Timestamp = "2027-02-04T00:00:00Z".parse().unwrap();
    let left = (end.as_second() - jiff::Timestamp::now().as_second()).max(0);
    laptop.advance(left);
    let findings = examine(&laptop, &[("NUMBER_LOOKUP", "number-insight")]).await;
    let found = broken(&findings);
    assert!(found.contains(&("lookup", State::Error)), "{findings}");
}

#[tokio::test]
async fn command_exits_by_its_findings() {
    let laptop = healthy().await;
    let port = |url: &str| url.rsplit(':').next().unwrap().to_owned();
    let run = |variables: Vec<(&'static str, &'static str)>| {
        let ports = [port(&laptop.stack.gateway_url), port(&laptop.stack.vonage_url)];
        async move {
            let program = move || {
                let mut command = Command::new(env!("CARGO_BIN_EXE_maskline"));
                command
                    .args(["doctor", "--port", &ports[0], "--vonage-port", &ports[1], "--json"])
                    .envs(variables)
                    .output()
            };
            let output = tokio::task::spawn_blocking(program).await.unwrap().unwrap();
            let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            (output.status.code(), json["healthy"].clone())
        }
    };
    assert_eq!(run(Vec::new()).await, (Some(0), json!(true)));
    assert_eq!(run(vec![("NUMBER_LOOKUP", "number-insight")]).await, (Some(0), json!(true)), "a warning is no failure");
    assert_eq!(run(vec![("VONAGE_SIGNATURE_SECRET", "wrong")]).await, (Some(1), json!(false)));
}
