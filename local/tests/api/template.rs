//! The template agrees with the code: routes, variables, permissions, events, and the table's keys.
//! `.ci/template.py` checks the template after the transform of SAM: permissions of routes, and conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use local::gateway;
use local::settings::Settings;
use serde_json::{Value, json};
use shared::config::Environment;
use shared::edge::function::HttpFunction;
use testkit::repository::{root, template};
use testkit::{Laptop, text};

/// Reads the example events. Webhooks get a new signature, because those in the files have expired.
fn events() -> BTreeMap<String, Value> {
    let files = std::fs::read_dir(root().join("events")).unwrap().map(|file| file.unwrap().path());
    let event = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let event: Value = serde_json::from_str(&text).unwrap();
        if event["headers"]["authorization"].is_null() { event } else { signed(&event) }
    };
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), event(&path))).collect()
}

fn signed(event: &Value) -> Value {
    serde_json::from_str(&gateway::sign_event(&event.to_string(), &Settings::default()).unwrap()).unwrap()
}

/// Returns each route of the template with its binary.
fn template_routes() -> BTreeSet<(String, String)> {
    let template = template();
    let functions = template["Resources"].as_object().unwrap().values();
    let functions = functions.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    functions
        .flat_map(|function| {
            let binary = text(function, "/Properties/CodeUri").strip_prefix("functions/").unwrap();
            let events = function["Properties"]["Events"].as_object().unwrap().values();
            events.filter(|event| event["Type"] == "HttpApi").map(move |event| {
                let properties = &event["Properties"];
                (format!("{} {}", text(properties, "/Method"), text(properties, "/Path")), binary.to_owned())
            })
        })
        .collect()
}

#[tokio::test]
async fn template_has_routes_and_functions_of_gateway() {
    let laptop = Laptop::start().await;
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    let routes: BTreeSet<_> = routes.into_iter().map(|route| (route.key, route.function.to_owned())).collect();
    assert_eq!(template_routes(), routes);
    let mut functions: BTreeSet<&str> = routes.iter().map(|(_, function)| function.as_str()).collect();
    assert!(
        functions.insert("keep-recordings"),
        "nobody outside reaches what has the private key and fills the bucket"
    );
    assert_eq!(functions, gateway::FUNCTIONS.into_iter().collect());
}

#[test]
fn each_route_has_throttle_and_renting_the_lowest() {
    let template = template();
    let throttles = template["Resources"]["Api"]["Properties"]["RouteSettings"].as_object().unwrap();
    let routes: BTreeSet<_> = template_routes().into_iter().map(|(route, _)| route).collect();
    assert_eq!(throttles.keys().cloned().collect::<BTreeSet<_>>(), routes);
    let rate = |route: &str| throttles[route]["ThrottlingRateLimit"].as_u64().unwrap();
    for (route, throttle) in throttles {
        assert!(throttle["ThrottlingBurstLimit"].as_u64().unwrap() >= rate(route), "{route}");
        assert!(rate("POST /numbers") <= rate(route), "{route}");
    }
    for open in ["POST /webhooks/answer", "POST /webhooks/fallback", "POST /webhooks/event"] {
        assert!(
            rate(open) >= 10 * rate("POST /conversations"),
            "{open}: a stranger's flood takes Vonage's calls along"
        );
    }
}

/// The variables of the access log. No value that a caller chooses is among them: no path, query string, header or
/// protocol, and no error message of API Gateway or an authorizer, because it quotes the header at fault.
const LOGGED: [&str; 13] = [
    "awsEndpointRequestId",
    "error.responseType",
    "identity.sourceIp",
    "identity.userArn",
    "integrationErrorMessage",
    "integrationLatency",
    "integrationStatus",
    "requestId",
    "requestTimeEpoch",
    "responseLatency",
    "responseLength",
    "routeKey",
    "status",
];

#[test]
fn access_log_contains_no_input_of_callers() {
    let template = template();
    assert_eq!(template.to_string().matches("\"AccessLogSettings\"").count(), 1, "another log is not checked");
    let log = &template["Resources"]["Api"]["Properties"]["AccessLogSettings"];
    let format: Value = serde_json::from_str(text(log, "/Format")).unwrap();
    let variables = format.as_object().unwrap().values().map(|value| {
        let text = value.as_str().unwrap();
        text.strip_prefix("$context.").unwrap_or_else(|| panic!("{text} is not a variable"))
    });
    assert_eq!(variables.collect::<BTreeSet<_>>(), LOGGED.into_iter().collect());
}

/// Returns the environment variables of a function in the template.
fn variables(template: &Value, function: &str) -> serde_json::Map<String, Value> {
    let variables = template["Resources"][function]["Properties"]["Environment"]["Variables"].as_object();
    variables.cloned().unwrap_or_default()
}

#[tokio::test]
async fn each_function_starts_with_variables_of_template() {
    let laptop = Laptop::start().await;
    let template = template();
    let environment = |function: &str| -> Environment {
        let named = variables(&template, function);
        let given = laptop.stack.environment.iter();
        let given = given.filter(|(name, _)| named.contains_key(*name) || name.starts_with("AWS_"));
        // With this judge a function needs the most.
        let judge = [("NUMBER_LOOKUP", "identity-insights")].into_iter().filter(|(name, _)| named.contains_key(*name));
        given.chain(judge).collect()
    };
    async fn start<F: HttpFunction>(environment: Environment) {
        F::start(&environment, shared::clock::system()).unwrap_or_else(|error| panic!("{}: {error}", F::NAME));
    }
    start::<answer_webhook::AnswerWebhook>(environment("AnswerWebhook")).await;
    start::<event_webhook::EventWebhook>(environment("EventWebhook")).await;
    start::<create_conversation::CreateConversation>(environment("CreateConversation")).await;
    start::<get_conversation::GetConversation>(environment("GetConversation")).await;
    start::<update_conversation::UpdateConversation>(environment("UpdateConversation")).await;
    start::<end_conversation::EndConversation>(environment("EndConversation")).await;
    start::<provision_numbers::ProvisionNumbers>(environment("ProvisionNumbers")).await;
    start::<control_call::ControlCall>(environment("ControlCall")).await;
    start::<keep_recordings::KeepRecordings>(environment("KeepRecordings")).await;
    start::<deliver_event::DeliverEvent>(environment("DeliverEvent")).await;
    start::<message_webhook::MessageWebhook>(environment("MessageWebhook")).await;
}

#[test]
fn each_function_has_only_secrets_that_it_uses() {
    const SIGNATURE: [&str; 2] = ["VONAGE_SIGNATURE_SECRET", "VONAGE_SIGNATURE_SECRET_2"];
    let template = template();
    for (name, function) in template["Resources"].as_object().unwrap() {
        if function["Type"] != "AWS::Serverless::Function" {
            continue;
        }
        let variables = variables(&template, name);
        let secrets = variables.iter().filter(|(name, _)| name.contains("SECRET") || name.contains("KEY"));
        let secrets = secrets.filter(|(name, _)| !["VONAGE_API_KEY", "DEFAULT_SAFETY_KEY"].contains(&name.as_str()));
        let expected: &[&str] = match name.as_str() {
            "AnswerWebhook" => &SIGNATURE,
            "EventWebhook" => &[
                "DECISION_SECRET",
                "HASH_KEY",
                "VONAGE_API_SECRET",
                "VONAGE_PRIVATE_KEY",
                "VONAGE_SIGNATURE_SECRET",
                "VONAGE_SIGNATURE_SECRET_2",
            ],
            "MessageWebhook" => &[
                "HASH_KEY",
                "VONAGE_API_SECRET",
                "VONAGE_PRIVATE_KEY",
                "VONAGE_SIGNATURE_SECRET",
                "VONAGE_SIGNATURE_SECRET_2",
            ],
            "FallbackWebhook" => &[],
            "GetConversation" => &["HASH_KEY"],
            "CreateConversation" => &["HASH_KEY", "VONAGE_API_SECRET", "VONAGE_PRIVATE_KEY"],
            "UpdateConversation" | "ProvisionNumbers" => &["HASH_KEY", "VONAGE_API_SECRET", "VONAGE_PRIVATE_KEY"],
            "KeepRecordings" => &["VONAGE_API_SECRET", "VONAGE_PRIVATE_KEY"],
            "ControlCall" => &["HASH_KEY", "VONAGE_PRIVATE_KEY"],
            "DeliverEvent" => &["WEBHOOK_SECRET"],
            _ => &["VONAGE_API_SECRET"],
        };
        assert_eq!(secrets.clone().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), expected, "{name}");
        for (variable, value) in secrets {
            let key = variable.to_lowercase().replace("vonage_", "");
            let reference = match variable.as_str() {
                "HASH_KEY" => "{{resolve:secretsmanager:${HashKey}:SecretString}}",
                _ => "{{resolve:secretsmanager:${VonageSecret}:SecretString:MEMBER::${VonageSecretVersion}}}",
            };
            let reference = json!(reference.replace("MEMBER", &key));
            // Some secrets are read only by those who need them.
            let is_optional = ["VONAGE_PRIVATE_KEY", "DECISION_SECRET", "WEBHOOK_SECRET"].contains(&variable.as_str());
            let condition = match (name.as_str(), variable.as_str()) {
                ("ControlCall", _) => "ControlsCalls",
                ("KeepRecordings", _) => "RecordingsNeedKey",
                (_, "DECISION_SECRET") => "AsksBackend",
                (_, "WEBHOOK_SECRET") => "DeliversEvents",
                ("CreateConversation", _) => "CreationNeedsKey",
                ("UpdateConversation", _) => "AsksIdentityInsights",
                _ => "TextsByMessagesApi",
            };
            let expected = if is_optional { json!([condition, reference, ""]) } else { reference };
            assert_eq!(*value, expected, "{name}");
            assert_eq!(function["Properties"]["KmsKeyArn"], "EnvironmentKey.Arn", "{name}");
        }
    }
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        assert!(parameter["NoEcho"].is_null(), "{name} would end in a function's configuration as it is");
    }
}

/// `sam local` replaces only variables that are in the template. Without its host a function would use the real Vonage.
#[test]
fn each_function_has_variables_for_its_vonage_hosts() {
    let template = template();
    for (function, hosts) in [
        ("CreateConversation", vec!["VONAGE_API_URL", "VONAGE_INSIGHTS_URL", "VONAGE_REST_URL"]),
        ("UpdateConversation", vec!["VONAGE_API_URL", "VONAGE_INSIGHTS_URL"]),
        ("EndConversation", vec!["VONAGE_API_URL"]),
        ("ProvisionNumbers", vec!["VONAGE_API_URL", "VONAGE_REST_URL"]),
        ("ControlCall", vec!["VONAGE_API_URL"]),
        ("KeepRecordings", vec!["VONAGE_API_URL", "VONAGE_REST_URL"]),
        ("MessageWebhook", vec!["VONAGE_API_URL", "VONAGE_REST_URL"]),
    ] {
        let variables = variables(&template, function);
        let named =
            variables.keys().map(String::as_str).filter(|name| name.starts_with("VONAGE") && name.ends_with("_URL"));
        assert_eq!(named.collect::<Vec<_>>(), hosts, "{function}");
    }
}

/// The ARN of a table that the stack does not make.
const EXISTING_TABLE: &str =
    "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${ExistingTableName}";

#[test]
fn each_function_has_only_permissions_that_it_uses() {
    let template = template();
    for (function, actions) in [
        ("AnswerWebhook", vec!["dynamodb:GetItem"]),
        (
            "EventWebhook",
            vec![
                "dynamodb:BatchGetItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "lambda:InvokeFunction",
            ],
        ),
        (
            "CreateConversation",
            vec![
                "dynamodb:BatchGetItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "lambda:InvokeFunction",
            ],
        ),
        (
            "UpdateConversation",
            vec![
                "dynamodb:BatchGetItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
        ),
        ("GetConversation", vec!["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query", "s3:GetObject"]),
        (
            "KeepRecordings",
            vec![
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "events:PutEvents",
                "s3:DeleteObject",
                "s3:PutObject",
            ],
        ),
        (
            "MessageWebhook",
            vec![
                "dynamodb:BatchGetItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
                "events:PutEvents",
            ],
        ),
        (
            "EndConversation",
            vec![
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
                "lambda:InvokeFunction",
            ],
        ),
        (
            "ControlCall",
            vec![
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:UpdateItem",
            ],
        ),
        (
            "ProvisionNumbers",
            vec![
                "dynamodb:BatchGetItem",
                "dynamodb:ConditionCheckItem",
                "dynamodb:DeleteItem",
                "dynamodb:GetItem",
                "dynamodb:PutItem",
                "dynamodb:Query",
                "dynamodb:Scan",
                "dynamodb:UpdateItem",
                "events:PutEvents",
            ],
        ),
    ] {
        let statements = template["Resources"][function]["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
        let allowed = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
        let allowed: BTreeSet<&str> = allowed.map(|action| action.as_str().unwrap()).collect();
        assert_eq!(allowed.into_iter().collect::<Vec<_>>(), actions, "{function}");
        for statement in statements {
            let resource = match text(statement, "/Action/0") {
                "lambda:InvokeFunction" if function == "CreateConversation" => json!("ProvisionNumbers.Arn"),
                "lambda:InvokeFunction" if statement["Resource"] == "KeepRecordings.Arn" => {
                    assert_eq!(function, "EventWebhook");
                    continue;
                }
                "lambda:InvokeFunction" => json!("ControlCall.Arn"),
                "s3:GetObject" | "s3:PutObject" => json!("${Recordings.Arn}/*"),
                "events:PutEvents" => json!("Events.Arn"),
                _ if statement["Resource"] == journal() => continue,
                _ => json!(["MakesTable", "Table.Arn", EXISTING_TABLE]),
            };
            assert_eq!(statement["Resource"], resource, "{function}");
        }
    }
}

#[test]
fn delivery_has_its_own_queue_and_no_table() {
    let template = template();
    let resources = &template["Resources"];
    let statements = resources["DeliverEvent"]["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
    let allowed: Vec<_> = statements.iter().map(|statement| (&statement["Action"], &statement["Resource"])).collect();
    let arn = |service: &str, name: &str| {
        format!("arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{name}")
    };
    let takes = ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"];
    let expected = [
        (json!(takes.map(|action| format!("sqs:{action}"))), json!(arn("sqs", "${AWS::StackName}-deliveries"))),
        (json!(["sqs:SendMessage"]), json!(arn("sqs", "${AWS::StackName}-given-up-deliveries"))),
        (json!(["events:StartReplay"]), json!([arn("events", "archive/${AWS::StackName}"), arn("events", "replay/*")])),
    ];
    assert_eq!(allowed, expected.iter().map(|(action, resource)| (action, resource)).collect::<Vec<_>>());
    for (queue, name) in [("Deliveries", "deliveries"), ("GivenUpDeliveries", "given-up-deliveries")] {
        assert_eq!(resources[queue]["Properties"]["QueueName"], format!("${{AWS::StackName}}-{name}"));
    }
    let queue = &resources["Deliveries"]["Properties"];
    let (timeout, hidden) = (&resources["DeliverEvent"]["Properties"]["Timeout"], &queue["VisibilityTimeout"]);
    assert!(hidden.as_u64() >= timeout.as_u64().map(|timeout| 6 * timeout), "as Lambda asks for");
    assert_eq!(hidden.as_i64(), Some(local::gateway::queue::HIDDEN_FOR.as_secs()));
    let kept = queue["MessageRetentionPeriod"].as_i64().unwrap();
    assert!(kept > shared::domain::redelivery::TRIED_FOR.as_secs(), "SQS would drop what is still tried");
    let days = resources["EventArchive"]["Properties"]["RetentionDays"].as_i64().unwrap();
    assert_eq!(days * 24, shared::domain::replay::EVENTS_KEPT.as_hours());
}

#[test]
fn nothing_of_the_delivery_costs_without_a_url() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let conditional = resources.iter().filter(|(_, resource)| resource["Condition"] == "DeliversEvents");
    let kinds: BTreeSet<_> = conditional.map(|(name, resource)| (name.as_str(), text(resource, "/Type"))).collect();
    let expected = [
        ("Deliveries", "AWS::SQS::Queue"),
        ("DeliveriesFail", "AWS::CloudWatch::Alarm"),
        ("DeliveriesGivenUp", "AWS::CloudWatch::Alarm"),
        ("DeliveryMapping", "AWS::Lambda::EventSourceMapping"),
        ("DeliveryQueuePolicy", "AWS::SQS::QueuePolicy"),
        ("DeliveryRule", "AWS::Events::Rule"),
        ("EventArchive", "AWS::Events::Archive"),
        ("GivenUpDeliveries", "AWS::SQS::Queue"),
    ];
    assert_eq!(kinds, expected.into());
}

/// Those who hide conversations past their retention have to agree with the schedule that erases them.
#[test]
fn each_function_that_serves_conversations_has_the_retention() {
    let template = template();
    let functions = template["Resources"].as_object().unwrap().keys();
    let with_retention = functions.filter(|name| variables(&template, name).contains_key("RETENTION_DAYS"));
    let serving = [
        "ControlCall",
        "CreateConversation",
        "EndConversation",
        "GetConversation",
        "KeepRecordings",
        "UpdateConversation",
    ];
    assert_eq!(with_retention.collect::<BTreeSet<_>>(), serving.map(str::to_owned).iter().collect());
}

#[test]
fn hash_key_is_made_by_the_template_and_long() {
    let secret = &template()["Resources"]["HashKey"];
    assert_eq!(secret["Type"], "AWS::SecretsManager::Secret");
    let generated = &secret["Properties"]["GenerateSecretString"];
    assert!(generated["PasswordLength"].as_u64().unwrap() >= 32 && secret["Properties"]["SecretString"].is_null());
}

/// The journal as the resource of a permission.
fn journal() -> Value {
    json!(["MakesJournal", "JournalTable.Arn", EXISTING_TABLE.replace("ExistingTableName", "ExistingJournalTableName")])
}

#[test]
fn only_who_writes_the_journal_may_and_nobody_reads_it() {
    let template = template();
    let conversations = |actions: &[&str]| (actions.to_vec().join(" "), vec![json!("CONVERSATION#*")]);
    let opt_outs = |action: &str| (action.to_owned(), vec![json!("OPT-OUT#*")]);
    let standing_masks = || ("dynamodb:PutItem".to_owned(), vec![json!("STANDING#*")]);
    for (function, allowed) in [
        ("AnswerWebhook", vec![]),
        ("GetConversation", vec![]),
        ("ControlCall", vec![]),
        ("KeepRecordings", vec![]),
        (
            "MessageWebhook",
            vec![opt_outs("dynamodb:PutItem"), conversations(&["dynamodb:PutItem", "dynamodb:UpdateItem"])],
        ),
        ("EventWebhook", vec![conversations(&["dynamodb:PutItem", "dynamodb:UpdateItem"])]),
        ("CreateConversation", vec![conversations(&["dynamodb:UpdateItem"])]),
        ("UpdateConversation", vec![conversations(&["dynamodb:PutItem", "dynamodb:UpdateItem"])]),
        (
            "EndConversation",
            vec![
                conversations(&["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"]),
                opt_outs("dynamodb:DeleteItem"),
                standing_masks(),
            ],
        ),
        (
            "ProvisionNumbers",
            vec![
                conversations(&["dynamodb:PutItem", "dynamodb:UpdateItem"]),
                standing_masks(),
                ("dynamodb:GetItem dynamodb:PutItem".to_owned(), vec![json!("TABLE")]),
            ],
        ),
    ] {
        let statements = template["Resources"][function]["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
        let of_journal = statements.iter().filter(|statement| statement["Resource"] == journal()).map(|statement| {
            let actions = statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
            let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
            (actions.collect::<Vec<_>>().join(" "), keys.as_array().unwrap().clone())
        });
        assert_eq!(of_journal.collect::<Vec<_>>(), allowed, "{function}");
        assert_eq!(
            variables(&template, function).contains_key("JOURNAL_TABLE_NAME"),
            !allowed.is_empty(),
            "{function}"
        );
    }
}

#[test]
fn journal_is_kept_as_the_table_is_but_never_restored() {
    let resources = &template()["Resources"];
    let (table, journal) = (&resources["Table"], &resources["JournalTable"]);
    for kept in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(journal[kept], "Retain");
    }
    for same in ["DeletionProtectionEnabled", "KeySchema", "TimeToLiveSpecification", "SSESpecification", "BillingMode"]
    {
        assert_eq!(journal["Properties"][same], table["Properties"][same], "{same}");
    }
    for absent in ["PointInTimeRecoverySpecification", "StreamSpecification"] {
        assert!(journal["Properties"][absent].is_null(), "copies of it would keep phone numbers longer: {absent}");
    }
}

/// A mistake in a variable, a secret or a permission fails the answer webhook, but not what Vonage asks then.
#[test]
fn fallback_shares_nothing_with_the_answer_webhook() {
    let template = template();
    assert!(template["Globals"]["Function"]["Environment"].is_null(), "the fallback would have these variables too");
    let fallback = template["Resources"]["FallbackWebhook"]["Properties"].as_object().unwrap();
    let names: Vec<&str> = fallback.keys().map(String::as_str).collect();
    assert_eq!(names, ["CodeUri", "Environment", "Events", "LoggingConfig", "Timeout"]);
    assert_eq!(fallback["Environment"], json!({"Variables": {"DEFAULT_LANGUAGE": "DefaultLanguage"}}));
    let served = |function: &str| -> Vec<String> {
        template_routes().into_iter().filter(|(_, binary)| binary == function).map(|(route, _)| route).collect()
    };
    assert_eq!(served("fallback-webhook"), ["GET /webhooks/fallback", "POST /webhooks/fallback"]);
    assert_eq!(served("answer-webhook"), ["GET /webhooks/answer", "POST /webhooks/answer"]);
}

#[test]
fn each_parameter_has_group_label_and_allowed_values() {
    let template = template();
    let interface = &template["Metadata"]["AWS::CloudFormation::Interface"];
    let groups = interface["ParameterGroups"].as_array().unwrap().iter();
    let grouped: Vec<&str> =
        groups.flat_map(|group| group["Parameters"].as_array().unwrap()).map(|name| name.as_str().unwrap()).collect();
    let parameters = template["Parameters"].as_object().unwrap();
    assert_eq!(grouped.len(), parameters.len());
    assert_eq!(interface["ParameterLabels"].as_object().unwrap().len(), parameters.len());
    for (name, parameter) in parameters {
        assert!(grouped.contains(&name.as_str()), "{name} is in no group");
        assert!(!text(interface, &format!("/ParameterLabels/{name}/default")).is_empty(), "{name}");
        let is_limited = match text(parameter, "/Type") {
            "Number" => parameter["MinValue"].is_number() && parameter["MaxValue"].is_number(),
            _ => parameter["AllowedPattern"].is_string(),
        };
        assert!(is_limited || parameter["AllowedValues"].is_array(), "{name} takes anything");
    }
    // `sam deploy --guided` asks for these, and CloudFormation refuses an empty answer.
    let required = parameters.iter().filter(|(_, parameter)| parameter["Default"].is_null());
    assert_eq!(required.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["VonageApiKey", "VonageApplicationId"]);
}

/// The partitions of the table on which a function may take an action; `*` stands for all.
fn partitions(function: &str, action: &str) -> BTreeSet<String> {
    let template = template();
    let statements = template["Resources"][function]["Properties"]["Policies"][0]["Statement"].as_array().unwrap();
    let with_action = statements
        .iter()
        .filter(|statement| statement["Action"].as_array().unwrap().iter().any(|allowed| allowed == action));
    let keys = with_action.flat_map(|statement| {
        let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        keys.as_array().cloned().unwrap_or_else(|| vec![json!("*")])
    });
    keys.map(|key| key.as_str().unwrap().to_owned()).collect()
}

#[test]
fn only_provision_numbers_may_rent() {
    let numbers = "POOL#*".to_owned();
    for function in ["CreateConversation", "UpdateConversation", "EndConversation", "EventWebhook", "AnswerWebhook"] {
        for action in ["PutItem", "UpdateItem", "DeleteItem"] {
            let partitions = partitions(function, &format!("dynamodb:{action}"));
            assert!(!partitions.contains("*") && !partitions.contains(&numbers), "{function} {action} {partitions:?}");
        }
    }
    assert!(partitions("ProvisionNumbers", "dynamodb:PutItem").contains(&numbers));
    let variables = variables(&template(), "CreateConversation");
    assert!(!variables.contains_key("MONTHLY_BUDGET_EUR") && !variables.contains_key("HEADROOM"));
    assert_eq!(variables["PROVISION_FUNCTION_NAME"], "ProvisionNumbers");
    assert_eq!(partitions("CreateConversation", "dynamodb:DeleteItem"), BTreeSet::new());
}

#[test]
fn each_schedule_invokes_its_function_without_retries() {
    for (function, event, schedule) in [
        ("ProvisionNumbers", "Upkeep", "NumbersSchedule"),
        ("ProvisionNumbers", "Orders", "rate(5 minutes)"),
        ("EndConversation", "Redactions", "RedactionSchedule"),
        ("KeepRecordings", "Fetches", "RecordingSchedule"),
    ] {
        let properties = &template()["Resources"][function]["Properties"];
        let event = &properties["Events"][event];
        assert_eq!((text(event, "/Type"), text(event, "/Properties/Schedule")), ("Schedule", schedule));
        assert_eq!(properties["EventInvokeConfig"]["MaximumRetryAttempts"], 0);
        assert!(properties["Timeout"].as_u64() > Some(60), "{function}: a schedule needs time");
    }
}

#[test]
fn bucket_is_private_encrypted_and_forgets() {
    let template = template();
    let (bucket, policy) = (&template["Resources"]["Recordings"], &template["Resources"]["RecordingsPolicy"]);
    let properties = &bucket["Properties"];
    let access = properties["PublicAccessBlockConfiguration"].as_object().unwrap();
    assert!(access.len() == 4 && access.values().all(|blocked| *blocked == true), "{access:?}");
    let encryption = &properties["BucketEncryption"]["ServerSideEncryptionConfiguration"][0];
    assert_eq!(encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"], "aws:kms");
    assert!(properties["VersioningConfiguration"].is_null(), "a version would keep what was erased");
    let expiry = &properties["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"];
    assert_eq!(*expiry, json!(["KeepsRecordings", "RecordingDays", 365]));
    let denied = &policy["Properties"]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        (text(denied, "/Effect"), &denied["Condition"]["Bool"]),
        ("Deny", &json!({"aws:SecureTransport": "false"}))
    );
}

#[test]
fn template_has_table_of_laptop() {
    let table = &template()["Resources"]["Table"];
    assert_eq!((&table["DeletionPolicy"], &table["UpdateReplacePolicy"]), (&json!("Retain"), &json!("Retain")));
    let table = &table["Properties"];
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(
        table["KeySchema"],
        json!([{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}])
    );
    assert_eq!(table["TimeToLiveSpecification"], json!({"AttributeName": "ttl", "Enabled": true}));
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"], json!({"SSEEnabled": true, "SSEType": "KMS"}));
    assert_eq!(table["StreamSpecification"], json!({"StreamViewType": "NEW_AND_OLD_IMAGES"}));
}

#[test]
fn each_function_has_example_event_and_each_event_route() {
    let routes = template_routes();
    let mut with_event = BTreeSet::new();
    for (name, event) in events() {
        if event["source"] == "aws.events" {
            let scheduled = ["provision-numbers-schedule", "end-conversation-schedule", "keep-recordings-schedule"];
            assert!(scheduled.contains(&name.as_str()), "{name}");
            continue;
        }
        if event["Records"].is_array() {
            assert_eq!(name, "deliver-event-batch");
            continue;
        }
        let key = text(&event, "/routeKey");
        let (_, binary) = routes.iter().find(|(route, _)| route == key).unwrap_or_else(|| panic!("{name}: {key}"));
        assert!(name.starts_with(binary.as_str()), "{name} is an event of {binary}");
        with_event.insert(binary.clone());
    }
    assert_eq!(with_event, routes.into_iter().map(|(_, binary)| binary).collect());
}

#[tokio::test]
async fn example_events_get_answers_of_their_names() {
    let laptop = Laptop::builder().machine_clock().start().await;
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    let events = events();
    let invoke = async |name: &str, event: &Value| -> (u64, Value) {
        let route = routes.iter().find(|route| route.key == text(event, "/routeKey")).unwrap();
        let answer = route.invoke(event.clone()).await.unwrap();
        let body = answer["body"].as_str().filter(|body| !body.is_empty());
        let body = body.map_or(Value::Null, |body| testkit::digits(serde_json::from_str(body).expect(name)));
        (answer["statusCode"].as_u64().unwrap(), body)
    };
    let send = async |name: &str| invoke(name, &events[name]).await;

    assert_eq!(send("provision-numbers").await.1["ready"], 2);
    assert_eq!(send("provision-numbers-show").await.1["countries"][0]["ready"], 2);
    assert_eq!(send("create-conversation-same-number").await.0, 422);
    let (status, conversation) = send("create-conversation").await;
    assert_eq!(status, 201);

    for (name, reaches, shows) in [
        ("answer-webhook-rider-calls", "447700900002", "447451000002"),
        ("answer-webhook-rider-calls-get", "447700900002", "447451000002"),
        ("answer-webhook-driver-calls", "447700900001", "447451000001"),
    ] {
        let (status, ncco) = send(name).await;
        assert_eq!(
            (status, text(&ncco, "/1/endpoint/0/number"), text(&ncco, "/1/from")),
            (200, reaches, shows),
            "{name}"
        );
    }
    for name in [
        "answer-webhook-unknown-caller",
        "answer-webhook-withheld-caller",
        "fallback-webhook",
        "fallback-webhook-garbage",
    ] {
        let (status, ncco) = send(name).await;
        assert_eq!((status, ncco.as_array().unwrap().len(), &ncco[0]["action"]), (200, 1, &json!("talk")), "{name}");
    }
    let of_a_step = ["event-webhook-menu", "event-webhook-pin", "event-webhook-standing", "event-webhook-unsigned"];
    for name in events.keys().filter(|name| name.starts_with("event-webhook") && !of_a_step.contains(&name.as_str())) {
        assert_eq!(send(name).await, (204, Value::Null), "{name}");
    }
    let (status, ncco) = send("event-webhook-menu").await;
    assert_eq!((status, &ncco[0]["text"]), (200, &json!("Goodbye.")), "there is no such conversation");
    let (status, ncco) = send("event-webhook-pin").await;
    assert_eq!((status, ncco.as_array().unwrap().len()), (200, 1), "nobody is asked for PINs");
    for name in ["message-webhook", "message-webhook-receipt"] {
        assert_eq!(send(name).await, (200, Value::Null), "{name}");
    }
    let (status, ncco) = send("event-webhook-standing").await;
    assert_eq!((status, &ncco[0]["action"]), (200, &json!("talk")), "the number is no standing mask: {ncco}");
    for name in ["answer-webhook-unsigned", "event-webhook-unsigned"] {
        let (status, problem) = send(name).await;
        assert_eq!((status, &problem["title"]), (503, &json!("Webhook not signed")), "{name}");
    }

    // An event with a current time finds its conversation.
    let mut completed = events["event-webhook-outbound-completed"].clone();
    let created_at: jiff::Timestamp = text(&conversation, "/created_at").parse().unwrap();
    let just_after = (created_at + jiff::SignedDuration::from_secs(1)).to_string();
    completed["body"] = json!(text(&completed, "/body").replace("2026-11-22T12:00:38.000Z", &just_after));
    assert_eq!(invoke("today", &signed(&completed)).await.0, 204);

    assert_eq!(send("get-conversation").await.0, 404);
    assert_eq!(send("create-conversation-again").await.0, 201);
    let again = send("create-conversation-again").await;
    assert_eq!((again.0, &again.1["reference"]), (200, &json!("ride-43")));
    let (environment, clock) = (&laptop.stack.environment, shared::clock::system);
    let event = events["provision-numbers-schedule"].clone();
    let report = gateway::NumbersSchedule::new(environment, clock(), event).unwrap().tick().await.unwrap();
    let changed = ["improve_ai", "answer_url", "fallback_answer_url", "event_url", "inbound_url", "status_url"];
    assert_eq!(report["application"], json!(changed), "the file names the ports of `cargo run`");
    assert_eq!([&report["adopted"], &report["rented"], &report["shortfall"]], [&json!([]); 3]);
    let of_this_one = |name: &str| {
        let mut event = events[name].clone();
        event["pathParameters"]["id"] = conversation["id"].clone();
        event
    };
    let calls = invoke("calls", &of_this_one("control-call-list")).await;
    assert_eq!(calls, (200, json!({"calls": []})));
    assert_eq!(invoke("hang up", &of_this_one("control-call-hang-up")).await.0, 200, "its call has ended");
    assert_eq!(invoke("place", &of_this_one("control-call-place")).await.0, 201);
    let written = invoke("write", &of_this_one("message-webhook-write")).await;
    assert_eq!((written.0, &written.1["state"]), (201, &json!("sent")));
    let notified = invoke("notify", &of_this_one("create-conversation-notify")).await;
    assert_eq!((notified.0, &notified.1["participants"][0]["notification"]), (200, &json!("sent")));
    let listed = send("get-conversation-list").await;
    assert_eq!((listed.0, listed.1["conversations"].as_array().unwrap().len()), (200, 2));
    let decision = send("get-conversation-decision").await;
    assert_eq!((decision.0, &decision.1["outcome"]), (200, &json!("routed")));
    assert_eq!(decision.1["connects"]["number"], "447700900002");
    let read = invoke("get", &of_this_one("get-conversation")).await.1;
    assert_eq!((&read["id"], &read["calls"][0]["duration"]), (&conversation["id"], &json!(30)));
    let updated = invoke("update", &of_this_one("update-conversation")).await.1;
    assert_eq!(updated["participants"][1]["number"], "447700900009");
    assert_eq!(invoke("end", &of_this_one("end-conversation")).await.1["state"], "ended");
    assert_eq!(invoke("erase", &of_this_one("end-conversation-erase")).await, (204, Value::Null));
    assert_eq!(invoke("get", &of_this_one("get-conversation")).await.0, 404);
    let event = events["end-conversation-schedule"].clone();
    let report = gateway::ErasureSchedule::new(environment, clock(), event).unwrap().tick().await.unwrap();
    let nothing_yet = json!({"numbers": {"done": 0, "running": 0}, "settled": 0, "unsettled": 0, "redacted": 0, "postponed": 0, "given_up": 0, "not_provisioned": [],
                             "stopped": null, "retention": {"erased": 0, "failed": 0, "pages": 1, "complete": true}});
    assert_eq!(report, nothing_yet);
    let absent =
        ["texts", "recordings", "recording", "linked-recording", "card"].map(|what| format!("get-conversation-{what}"));
    for name in &absent {
        assert_eq!(send(name).await.0, 404, "{name}");
    }
    let event = events["keep-recordings-schedule"].clone();
    let report = gateway::RecordingsSchedule::new(environment, clock(), event).unwrap().tick().await.unwrap();
    assert_eq!(report, json!({"kept": 0, "given_up": 0, "erased": 0, "retried_later": 0, "stopped": false}));
    assert_eq!(send("deliver-event-replay").await.0, 409, "no events are delivered");
    let batch = events["deliver-event-batch"].clone();
    let report = gateway::DeliveryFunction::new(environment, clock(), batch.clone()).unwrap().tick().await.unwrap();
    let message = &batch["Records"][0]["messageId"];
    assert_eq!(report, json!({"batchItemFailures": [{"itemIdentifier": message}]}), "it stays in the queue");
    let (status, erasure) = send("end-conversation-forget").await;
    assert_eq!((status, &erasure["state"], &erasure["conversations_erased"]), (202, &json!("done"), &json!(1)));
    let mut shown = events["end-conversation-forget-show"].clone();
    assert_eq!(invoke("unknown", &shown).await.0, 404);
    shown["pathParameters"]["id"] = erasure["id"].clone();
    assert_eq!(invoke("shown", &shown).await, (200, erasure));
    assert_eq!(send("provision-numbers-change").await.1["support_phone"], "442079460111");
    assert_eq!(send("provision-numbers-show-one").await.1["state"], "ready");
    assert_eq!(send("provision-numbers-requirements").await.1["count"], 20);
    let rotating = send("provision-numbers-rotate").await.1;
    assert_eq!((&rotating["state"], rotating["rotating_since"].is_string()), (&json!("draining"), true), "{rotating}");
    assert_eq!(send("provision-numbers-setup").await.1["dry_run"], true);
    assert_eq!(send("provision-numbers-drain").await.1["state"], "draining");
}

#[tokio::test]
async fn edited_event_is_accepted_after_new_signature() {
    let laptop = Laptop::start().await;
    let mut event = events()["event-webhook-busy"].clone();
    event["body"] = json!(r#"{"status":"busy"}"#);
    let routes = gateway::routes(&laptop.stack.environment, shared::clock::system()).unwrap();
    let route = routes.iter().find(|route| route.function == "event-webhook").unwrap();
    assert_eq!(route.invoke(event.clone()).await.unwrap()["statusCode"], 401);
    assert_eq!(route.invoke(signed(&event)).await.unwrap()["statusCode"], 204);
}
