//! Targets for both webhooks, from the JSON of an API Gateway event to the JSON of the answer.

use std::convert::Infallible;
use std::panic::{self, AssertUnwindSafe};

use answer_webhook::AnswerWebhook;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use event_webhook::EventWebhook;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Context, LambdaEvent, Request, Service, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::clock::ManualClock;
use shared::config::Environment;
use shared::domain::phone::caller_id;
use shared::edge::function::HttpFunction;
use shared::store::Store;
use tokio::runtime::{Builder, Runtime};

use crate::lines::{logged, subscriber};
use crate::signature::{API_KEY, APPLICATION_ID, SECRET, is_signed, now, sign_webhook};
use crate::table::{DRIVER, DRIVER_DIALS, RIDER, RIDER_DIALS, Table};
use crate::{PHONE_NUMBER_DIGITS, assert_no_phone_number, digit_runs, is_phone_character};

struct Webhooks {
    answer: AnswerWebhook,
    event: EventWebhook,
    table: Table,
    runtime: Runtime,
}

thread_local! {
    /// The webhooks of this thread, with their own table. They start once, as in Lambda, and stay until the process ends.
    static WEBHOOKS: &'static Webhooks = Box::leak(Box::new(Webhooks::start()));
}

/// The effects of a request to a webhook.
struct Effects {
    status: u64,
    /// Null if the answer has no body.
    body: Value,
    log: String,
    update: Option<Value>,
}

impl Webhooks {
    fn of_this_thread() -> &'static Self {
        WEBHOOKS.with(|webhooks| *webhooks)
    }

    fn start() -> Self {
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
        // It fails if another test in this process has set an equal subscriber.
        let _ = tracing::subscriber::set_global_default(subscriber());
        let env: Environment = [
            ("TABLE_NAME", "maskline"),
            ("JOURNAL_TABLE_NAME", "maskline-journal"),
            ("AWS_REGION", "eu-west-2"),
            ("AWS_ACCESS_KEY_ID", "fuzz"),
            ("AWS_SECRET_ACCESS_KEY", "fuzz"),
            ("VONAGE_SIGNATURE_SECRET", SECRET),
            ("VONAGE_API_KEY", API_KEY),
            // Nothing listens there.
            ("VONAGE_API_SECRET", "fuzz"),
            ("VONAGE_API_URL", "http://127.0.0.1:9"),
            ("VONAGE_REST_URL", "http://127.0.0.1:9"),
            ("VONAGE_APPLICATION_ID", APPLICATION_ID),
            ("PINS", "on"),
            ("DECISIONS", "on"),
            // Nothing listens there.
            ("DECISION_URLS", "http://127.0.0.1:9/"),
            ("DECISION_SECRET", "whsec_ZnV6ei1kZWNpc2lvbi1zZWNyZXQtb2YtMzAtYnl0"),
            ("HASH_KEY", "fuzz-hash-key-of-at-least-32-characters"),
            ("PUBLIC_URL", "https://maskline.example"),
        ]
        .into_iter()
        .collect();
        let clock = std::sync::Arc::new(ManualClock::at(now()));
        let table = Table::default();
        let store = Store::connect_over(table.clone(), &env, Store::TIME_LIMIT).expect("a complete environment");
        Webhooks {
            answer: AnswerWebhook::new(store.clone(), &env, clock.clone()).expect("a complete environment"),
            event: EventWebhook::new(store, &env, clock).expect("a complete environment"),
            table,
            runtime,
        }
    }

    fn ask<F: HttpFunction>(&self, function: &F, event: ApiGatewayV2httpRequest) -> Effects {
        let handler = service_fn(async |request| Ok::<_, Infallible>(function.answer(request).await));
        let event = LambdaEvent::new(LambdaRequest::ApiGatewayV2(event), Context::default());
        self.table.take_update();
        let (Ok(answer), log) = logged(|| self.runtime.block_on(Adapter::from(handler).call(event)));
        let answer = serde_json::to_value(answer).expect("an answer is JSON");
        let body = answer["body"].as_str().filter(|body| !body.is_empty());
        let body = body.map_or(Value::Null, |body| serde_json::from_str(body).expect("a body is JSON"));
        let status = answer["statusCode"].as_u64().expect("an answer has a status");
        let expected = match status {
            200 => json!("application/json"),
            204 => Value::Null,
            _ => json!("application/problem+json"),
        };
        assert_eq!(answer["headers"]["content-type"], expected, "{answer}");
        if status >= 400 {
            assert_eq!(body["status"], status, "{answer}");
            assert_no_phone_number(&body.to_string());
        }
        Effects { status, body, log, update: self.table.take_update() }
    }
}

/// True if `lambda_http` can convert the event into a request. It panics on a malformed URL or encoding, which API Gateway
/// does not send. Lambda then answers 500, and the next request works.
fn can_be_a_request(event: ApiGatewayV2httpRequest) -> bool {
    // The fuzzer's panic hook reports each panic as a finding.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let request = panic::catch_unwind(AssertUnwindSafe(|| Request::from(LambdaRequest::ApiGatewayV2(event))));
    panic::set_hook(hook);
    request.is_ok()
}

/// Checks that each event gets a documented answer. An event without any signature gets 503, one with a wrong signature
/// 401, and one that is too long 413.
pub fn api_gateway_event(input: &[u8]) {
    let Ok(event) = serde_json::from_slice::<ApiGatewayV2httpRequest>(input) else { return };
    if !can_be_a_request(event.clone()) {
        return;
    }
    let webhooks = Webhooks::of_this_thread();
    let (may_be_signed, has_credentials) = (may_be_signed(&event), has_credentials(&event));
    let names_a_step = ["nth", "attempt", "step", "id"].iter().any(|name| event.path_parameters.contains_key(*name));
    if event.path_parameters.contains_key("token") {
        // A token stands for the signature. Nobody here has the secret of one.
        assert_eq!(webhooks.ask(&webhooks.event, event).status, 404);
        return;
    }
    for effects in [webhooks.ask(&webhooks.answer, event.clone()), webhooks.ask(&webhooks.event, event)] {
        let is_unknown_step = effects.status == 404 && names_a_step;
        assert!(is_unknown_step || [200, 204, 400, 401, 413, 503].contains(&effects.status), "{}", effects.status);
        // The table of this target always answers.
        assert!(effects.status != 503 || effects.body["type"] == "urn:maskline:problem:not-signed", "{}", effects.body);
        assert_eq!(effects.status == 503, !has_credentials && effects.status != 413, "{}", effects.status);
        if !may_be_signed {
            assert!([401, 413, 503].contains(&effects.status), "{}", effects.status);
            assert!(effects.update.is_none());
        }
    }
}

/// True if the event has an `Authorization` header with more than a scheme for tokens.
fn has_credentials(event: &ApiGatewayV2httpRequest) -> bool {
    let Some(value) = event.headers.get("authorization") else { return false };
    let Ok(text) = value.to_str() else { return true };
    !["", "bearer"].contains(&text.trim().to_ascii_lowercase().as_str())
}

/// True if any header contains a token that is signed with the secret.
fn may_be_signed(event: &ApiGatewayV2httpRequest) -> bool {
    let values = event.headers.values().filter_map(|value| value.to_str().ok());
    values.flat_map(str::split_whitespace).any(is_signed)
}

/// Checks that a call reaches the other participant of its route key, and nobody else. Callers who are not known may be asked for a
/// PIN.
pub fn answer_webhook(input: &[u8]) {
    let Some((kind, sent)) = input.split_first() else { return };
    let get = kind & 1 == 1;
    let path = "/webhooks/answer";
    let (event, numbers) = if get {
        let Ok(query) = std::str::from_utf8(sent) else { return };
        let query = query.replace(|c: char| !is_query_character(c), "");
        (event(path, &query, None), from_and_to_of_query(&query))
    } else {
        (event(path, "", Some(sent)), from_and_to(sent))
    };
    let webhooks = Webhooks::of_this_thread();
    let effects = webhooks.ask(&webhooks.answer, event);
    assert!(effects.update.is_none());
    assert!(effects.status == 200 || effects.status == 400 && !get, "{} {}", effects.status, effects.body);
    assert_no_number_of(&numbers, &effects.log);
    let actions = effects.body.as_array().map(|ncco| ncco.iter().map(|action| &action["action"]).collect::<Vec<_>>());
    let [from, to] = numbers.each_ref().map(|number| number.as_deref().unwrap_or_default().trim());
    let may_connect = effects.status == 200;
    let is_connected = actions.as_ref().is_some_and(|actions| actions.contains(&&json!("connect")));
    if may_connect && ([[RIDER, RIDER_DIALS], [DRIVER, DRIVER_DIALS]].contains(&[from, to])) {
        assert!(is_connected, "{}", effects.body);
    }
    let connects = match () {
        () if !may_connect || !is_connected => None,
        () if is_spelling(from, RIDER) && is_spelling(to, RIDER_DIALS) => Some((DRIVER_DIALS, DRIVER)),
        () if is_spelling(from, DRIVER) && is_spelling(to, DRIVER_DIALS) => Some((RIDER_DIALS, RIDER)),
        () => None,
    };
    match connects {
        Some((shows, reaches)) => {
            assert_eq!(actions, Some(vec![&json!("talk"), &json!("connect")]));
            assert_eq!(
                (&effects.body[1]["from"], &effects.body[1]["endpoint"][0]["number"]),
                (&json!(shows), &json!(reaches))
            );
            assert!(!effects.body.to_string().contains(from), "the caller's own number");
        }
        None if effects.status == 200 => {
            assert!(matches!(actions.as_deref(), Some([_] | [_, _])) && !is_connected, "{}", effects.body);
            assert_no_phone_number(&effects.body.to_string());
        }
        None => {}
    }
}

/// Checks that each JSON object is accepted, that it is merged only into a leg of its route key, and that no stored or
/// logged text contains a number of it. As the answer to the question for a PIN, it connects nobody.
pub fn event_webhook(input: &[u8]) {
    typed_pin(input);
    let event = event("/webhooks/event", "", Some(input));
    let webhooks = Webhooks::of_this_thread();
    let effects = webhooks.ask(&webhooks.event, event);
    assert!([204, 400].contains(&effects.status), "{} {}", effects.status, effects.body);
    let numbers = from_and_to(input);
    assert_no_number_of(&numbers, &effects.log);
    if let Some(update) = effects.update {
        let [from, to] = numbers.each_ref().map(|number| number.as_deref().unwrap_or_default());
        let is_key = |phone, dialled| {
            [(RIDER, RIDER_DIALS), (DRIVER, DRIVER_DIALS)]
                .into_iter()
                .any(|(caller, dials)| is_spelling(phone, caller) && is_spelling(dialled, dials))
        };
        assert!(is_key(from, to) || is_key(to, from), "{update}");
        let key = update["Key"]["sk"]["S"].as_str().expect("the key of a leg");
        let texts = update["ExpressionAttributeValues"].as_object().into_iter().flatten();
        let texts = texts.filter_map(|(_, value)| value["S"].as_str()).filter(|text| !is_an_amount(text));
        for text in texts.chain([key]) {
            assert_no_number_of(&numbers, text);
        }
    }
}

/// Checks that a PIN of nobody connects nobody, and that neither the answer nor the log has a number.
fn typed_pin(input: &[u8]) {
    let mut event = event("/webhooks/event/pin/1", "", Some(input));
    event.path_parameters.insert("nth".to_owned(), "1".to_owned());
    let webhooks = Webhooks::of_this_thread();
    let effects = webhooks.ask(&webhooks.event, event);
    assert!([200, 400].contains(&effects.status), "{} {}", effects.status, effects.body);
    assert_no_number_of(&from_and_to(input), &effects.log);
    assert_no_phone_number(&effects.body.to_string());
    let actions = effects.body.as_array().into_iter().flatten().map(|action| &action["action"]);
    assert!(actions.into_iter().all(|action| action != "connect"), "{}", effects.body);
    assert!(effects.update.is_none());
}

/// True if `text` can be a spelling of `number`: both end with the same digits, after the calling code.
fn is_spelling(text: &str, number: &str) -> bool {
    caller_id::digit_runs(text).iter().any(|run| run.ends_with(&number[2..]))
}

/// True if `text` is a price, which may have any number of digits.
fn is_an_amount(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-')
}

/// Panics if `text` contains a number of `[from, to]`. A value with other characters is not a phone number. Zeros at the
/// start are a prefix for dialling, and not part of the number.
fn assert_no_number_of(numbers: &[Option<String>; 2], text: &str) {
    let numbers = numbers.iter().flatten().map(|number| number.trim());
    for number in numbers.filter(|number| number.chars().all(is_phone_character)) {
        let runs = digit_runs(number).map(|digits| digits.trim_start_matches('0').to_owned());
        for digits in runs.filter(|digits| digits.len() >= PHONE_NUMBER_DIGITS) {
            assert!(!text.contains(&digits), "{digits} in {text}");
        }
    }
}

/// Returns the numbers `from` and `to` of a body, which may be text or JSON numbers.
fn from_and_to(body: &[u8]) -> [Option<String>; 2] {
    #[derive(Default, Deserialize)]
    struct Body {
        from: Option<Value>,
        to: Option<Value>,
    }
    let Body { from, to } = serde_json::from_slice(body).unwrap_or_default();
    [from, to].map(|value| match value {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    })
}

/// Returns the numbers `from` and `to` of a query.
fn from_and_to_of_query(query: &str) -> [Option<String>; 2] {
    let uri: lambda_http::http::Uri = format!("/?{query}").parse().unwrap_or_default();
    let parameters: lambda_http::aws_lambda_events::query_map::QueryMap = match uri.query().unwrap_or_default().parse()
    {
        Ok(parameters) => parameters,
        Err(never) => match never {},
    };
    ["from", "to"].map(|name| parameters.first(name).map(str::to_owned))
}

/// True if `c` may be in the query of a request line.
fn is_query_character(c: char) -> bool {
    c.is_ascii_graphic() && !"#<>\"\\^`{|}".contains(c)
}

/// Returns the event of a signed webhook: a POST if it has a body, otherwise a GET.
fn event(path: &str, query: &str, body: Option<&[u8]>) -> ApiGatewayV2httpRequest {
    let text = body.map(std::str::from_utf8);
    let mut event = ApiGatewayV2httpRequest::default();
    let authorization = format!("Bearer {}", sign_webhook(body)).parse().expect("a token can be in a header");
    event.headers.insert("authorization", authorization);
    event.request_context.http.method = if body.is_some() { Method::POST } else { Method::GET };
    event.raw_path = Some(path.to_owned());
    event.raw_query_string = Some(query.to_owned());
    event.is_base64_encoded = matches!(text, Some(Err(_)));
    event.body = match text {
        Some(Ok(text)) => Some(text.to_owned()),
        _ => body.map(|body| BASE64_STANDARD.encode(body)),
    };
    event
}
