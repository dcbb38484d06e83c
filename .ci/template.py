"""What SAM makes of template.yaml, which is what CloudFormation gets: who may call which route, with and without a JWT
issuer, and what else a condition decides. Runs in SAM's own environment."""

import json
import logging
import re
import sys

import boto3
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

logging.disable(logging.CRITICAL)
ISSUER, AUDIENCE = "https://issuer.example", "maskline,backend"
WEBHOOKS = {
    "GET /webhooks/answer", "POST /webhooks/answer", "GET /webhooks/fallback", "POST /webhooks/fallback",
    "POST /webhooks/event", "POST /webhooks/event/{id}", "POST /webhooks/event/{id}/{step}", "POST /webhooks/event/pin/{nth}",
    "POST /webhooks/event/standing/{attempt}",
    "GET /webhooks/whisper/{token}", "POST /webhooks/whisper/{token}",
    "GET /webhooks/message", "POST /webhooks/message", "GET /webhooks/message-status", "POST /webhooks/message-status",
    # For whoever has the link of a text message.
    "GET /recordings/{token}", "GET /cards/{card}",
}
CONVERSATIONS = {
    "POST /conversations", "GET /conversations", "GET /conversations/{id}", "PATCH /conversations/{id}",
    "GET /conversations/{id}/recordings", "GET /conversations/{id}/recordings/{recording}",
    "DELETE /conversations/{id}", "POST /erasures", "GET /erasures/{id}", "GET /decisions",
    "GET /conversations/{id}/calls", "POST /conversations/{id}/calls", "DELETE /conversations/{id}/calls/{call}",
    "POST /conversations/{id}/calls/{call}/talk", "GET /conversations/{id}/texts", "POST /conversations/{id}/texts",
    "POST /conversations/{id}/notifications", "POST /events/replay",
}
NUMBERS = {"POST /numbers", "GET /numbers", "GET /numbers/requirements", "GET /numbers/{number}", "PATCH /numbers/{number}", "DELETE /numbers/{number}", "POST /numbers/{number}/rotate", "POST /setup",
           "GET /tenants", "GET /tenants/{tenant}", "PUT /tenants/{tenant}"}
# What a tenant has is under a path of its own.
PATHS_OF_TENANTS = re.compile(r"\w+ /(conversations|numbers)(?!/requirements)")
CONVERSATIONS |= {route.replace(" ", " /t/{tenant}", 1) for route in CONVERSATIONS if PATHS_OF_TENANTS.match(route)}
NUMBERS |= {route.replace(" ", " /t/{tenant}", 1) for route in NUMBERS if PATHS_OF_TENANTS.match(route)}


def expect(holds, *seen):
    if not holds:
        sys.exit("not as it should be: " + "\n".join(map(str, seen)))


def template_of_this_folder():
    with open("template.yaml") as file:
        return yaml_parse(file.read())


def deployed(**given):
    """The template after SAM's transform, with its conditions decided as CloudFormation decides them."""
    template = template_of_this_folder()
    parameters = {name: parameter.get("Default", "given") for name, parameter in template["Parameters"].items()} | given
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/code"
    session = boto3.Session(region_name="eu-west-2")
    translated = Translator({}, Parser(), boto_session=session).translate(template, parameters)
    conditions = {}

    def decide(value):
        match value:
            case {"Fn::If": [name, yes, no]}:
                return decide(yes if condition(name) else no)
            case {"Fn::Equals": [one, other]}:
                return decide(one) == decide(other)
            case {"Fn::Not": [other]}:
                return not decide(other)
            case {"Fn::And": all_of}:
                return all([decide(one) for one in all_of])
            case {"Fn::Or": any_of}:
                return any([decide(one) for one in any_of])
            case {"Condition": name} if len(value) == 1:
                return condition(name)
            case {"Fn::Split": [separator, text]}:
                decided = decide(text)
                return decided.split(separator) if isinstance(decided, str) else value
            case {"Ref": name} if name in parameters:
                return parameters[name]
            case dict():
                return {key: decide(member) for key, member in value.items()}
            case list():
                return [decide(member) for member in value]
        return value

    def condition(name):
        if name not in conditions:
            conditions[name] = decide(translated["Conditions"][name])
        return conditions[name]

    def there(parts):
        return {name: decide(part) for name, part in parts.items() if "Condition" not in part or condition(part["Condition"])}

    for name, rule in translated.get("Rules", {}).items():
        if decide(rule["RuleCondition"]):
            for assertion in rule["Assertions"]:
                expect(decide(assertion["Assert"]), f"rule {name}", assertion["AssertDescription"])
    return there(translated["Resources"]), there(translated["Outputs"])


def check_routes(resources, scheme, scopes_of_conversations, scopes_of_numbers):
    body = resources["Api"]["Properties"]["Body"]
    expect(body["components"]["securitySchemes"] == {"Backend": scheme}, body["components"])
    expect("security" not in body, body)
    seen = set()
    for path, methods in body["paths"].items():
        for method, operation in methods.items():
            route = f"{method.upper()} {path}"
            seen.add(route)
            if route in WEBHOOKS:
                expected = None
            else:
                expected = [{"Backend": scopes_of_conversations if route in CONVERSATIONS else scopes_of_numbers}]
            expect(operation.get("security") == expected, route, operation)
            integration = operation["x-amazon-apigateway-integration"]
            expect(integration["type"] == "aws_proxy" and integration["payloadFormatVersion"] == "2.0", route, integration)
    expect(seen == WEBHOOKS | CONVERSATIONS | NUMBERS, seen)
    stage = next(one for one in resources.values() if one["Type"] == "AWS::ApiGatewayV2::Stage")["Properties"]
    expect(set(stage["RouteSettings"]) == seen, "each route has a throttle of its own", stage["RouteSettings"])
    expect("AccessLogSettings" in stage, stage)


RELEASED = {"AnswerWebhook": ("/webhooks/answer",), "EventWebhook": ("/webhooks/event", "/webhooks/whisper")}


def check_releases(resources, gradual):
    """The two webhooks that calls need are released behind an alias, which the API invokes; the others are not."""
    for path, methods in resources["Api"]["Properties"]["Body"]["paths"].items():
        alias = next((f"${{{name}Aliaslive}}" for name, own in RELEASED.items() if path.startswith(own)), None)
        for operation in methods.values():
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            expect(alias in uri if alias else "Alias" not in uri, path, uri)
    for name in RELEASED:
        permitted = [
            one["Properties"]["FunctionName"] for own, one in resources.items()
            if one["Type"] == "AWS::Lambda::Permission" and own.startswith(name)]
        expect(len(permitted) == (2 if name == "AnswerWebhook" else 7) and all(target == {"Ref": f"{name}Aliaslive"} for target in permitted), permitted)
        alias = resources[f"{name}Aliaslive"]
        group = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]["DeploymentGroupName"]["Ref"]
        group = resources[group]["Properties"]
        kind = group["DeploymentConfigName"]["Fn::Sub"][1]["ConfigName"]
        expect(kind == ("Canary10Percent5Minutes" if gradual else "AllAtOnce"), kind)
        watched = [alarm["Name"]["Ref"] for alarm in group["AlarmConfiguration"].get("Alarms", [])]
        expect("WebhooksCrash" in watched and len(watched) > 1 if gradual else not watched, watched)
        expect("DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"], group)
        # Without this, a function with a new secret would be there, and the alias would keep the old one.
        function = resources[name]["Properties"]
        version = resources[alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]]["Properties"]
        expect(version["Description"] == function["Description"], version, function)
        written = template_of_this_folder()
        properties = written["Resources"][name]["Properties"]
        variables = str([properties["Environment"], properties.get("Layers")])
        used = {parameter for parameter in written["Parameters"] if re.search(rf"\b{parameter}\b", variables)}
        # Another secret has versions of its own.
        # Without a length of its own: a number of four digits, and the application's id.
        description = properties["VersionDescription"]["Fn::Sub"]
        text, briefly = description if isinstance(description, list) else (description, {})
        # A layer is described by its name and version, an address without https, and an application and a secret's version by the first part of the id.
        lengths = {"SignatureMaxAgeSeconds": 4, "VonageApplicationId": 8, "VonageSecretVersion": 8, "WordsLayer": 36,
                   "PublicUrl": 44,
                   "SupportPhone": 15, "SupportPhoneForHidden": 3, "Pins": 3, "Decisions": 3, "MaxCallsPerSecond": 3, "MaxCallSeconds": 4,
                   # What is before its first s.
                   "TextsBy": 2}
        longest = {
            parameter: lengths.get(parameter) or written["Parameters"][parameter]["MaxLength"]
            for parameter in used - {"VonageSecret"}}
        # Switches have two characters each, one with three values has three, or are numbers. There is no space between them.
        switches = {parameter for parameter in used if re.search(rf"\b{parameter}\b", str(briefly.get("Switches")))}
        words = {switch for switch in switches if written["Parameters"][switch]["Type"] != "Number"}
        longest |= {parameter: 3 if parameter == "Decisions" else 2 for parameter in words}
        spaces = len(longest) - max(len(switches), 1)
        expect(sum(longest.values()) + spaces <= 256, "Lambda takes 256 characters as a description", longest)
        described = set(re.findall(r"[$][{](.+?)[}]", text)) - set(briefly)
        described |= {parameter for parameter in written["Parameters"] if re.search(rf"\b{parameter}\b", str(briefly))}
        expect(used - {"VonageSecret"} == described, name, used, described)


iam, iam_outputs = deployed()
check_routes(iam, {
    "type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4",
}, [], [])
for policy, routes in (("ConversationsPolicy", CONVERSATIONS), ("NumbersPolicy", NUMBERS)):
    [statement] = iam[policy]["Properties"]["PolicyDocument"]["Statement"]
    expect(statement["Action"] == "execute-api:Invoke", statement)
    named = ("/conversations", "/decisions", "/erasures", "/events/replay") if policy == "ConversationsPolicy" else ("/numbers", "/setup", "/tenants")
    expect(all(any(name in arn["Fn::Sub"] for name in named) for arn in statement["Resource"]), statement)
expect({"ConversationsPolicyArn", "NumbersPolicyArn"} <= set(iam_outputs), iam_outputs)

jwt, jwt_outputs = deployed(JwtIssuer=ISSUER, JwtAudience=AUDIENCE)
check_routes(jwt, {
    "type": "oauth2",
    "x-amazon-apigateway-authorizer": {
        "type": "jwt", "identitySource": "$request.header.Authorization",
        "jwtConfiguration": {"issuer": ISSUER, "audience": AUDIENCE.split(",")},
    },
}, ["maskline/conversations"], ["maskline/numbers"])
expect(not {"ConversationsPolicy", "NumbersPolicy"} & set(jwt), "IAM policies where tokens are taken")
expect(not {"ConversationsPolicyArn", "NumbersPolicyArn"} & set(jwt_outputs), jwt_outputs)
check_releases(iam, gradual=True)
check_releases(deployed(ReleasePreference="AllAtOnce")[0], gradual=False)


def private_keys(resources):
    variables = {name: one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for name, one in resources.items()}
    return {name: own["VONAGE_PRIVATE_KEY"] for name, own in variables.items() if "VONAGE_PRIVATE_KEY" in own}


# A secret without a private key must not fail a deployment that does not need one.
asked = {"CreateConversation", "UpdateConversation"}
texting = {"CreateConversation", "EventWebhook", "KeepRecordings", "MessageWebhook", "ProvisionNumbers"}
holders = asked | texting | {"ControlCall"}
expect(private_keys(iam) == {name: "" for name in holders}, private_keys(iam))
for judge in ("number-insight", "numbering-plan"):
    expect(private_keys(deployed(NumberLookup=judge)[0]) == private_keys(iam), judge)
signing = private_keys(deployed(NumberLookup="identity-insights")[0])
expect({name for name, key in signing.items() if ":private_key:" in str(key)} == asked, signing)
by_messages = private_keys(deployed(TextsBy="messages-api")[0])
expect({name for name, key in by_messages.items() if ":private_key:" in str(key)} == texting, by_messages)
controlling = private_keys(deployed(CallControl="on")[0])
expect({name for name, key in controlling.items() if ":private_key:" in str(key)} == {"ControlCall"}, controlling)
deciding = {name: one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for name, one in deployed(Decisions="on")[0].items()}
for member, functions in (("decision_urls", {"CreateConversation", "UpdateConversation", "EventWebhook"}), ("decision_secret", {"EventWebhook"})):
    own = {name for name, variables in deciding.items() if f":{member}:" in str(variables)}
    expect(own == functions, member, own)
    expect(f":{member}:" not in str(iam), f"{member} is read although Decisions is off")
recording = private_keys(deployed(RecordingDays=30)[0])
expect({name for name, key in recording.items() if ":private_key:" in str(key)} == {"KeepRecordings"}, recording)


def refused(rule, **given):
    try:
        deployed(**given)
    except SystemExit as refusal:
        expect(rule in str(refusal), refusal)
    else:
        expect(False, f"{given} is deployed")


def named(part, names):
    """True if a part of the template names one of these."""
    return any(f"'{name}'" in str(part) or f"${{{name}}}" in str(part) for name in names)


STREAM = "arn:aws:dynamodb:eu-west-2:111122223333:table/restored/stream/2026-11-28T12:00:00.000"
restored, outputs = deployed(ExistingTableName="restored", ExistingTableStreamArn=STREAM)
expect("Table" not in restored and outputs["TableName"]["Value"] == "restored", outputs)
expect(not named([restored, outputs], ["Table", "Table.Arn", "Table.StreamArn"]), "a table that is not made is named")
for pipe in ("ConversationPipe", "LegPipe"):
    expect(restored[pipe]["Properties"]["Source"] == STREAM, restored[pipe])
with_table = {name for name, one in restored.items() if "TABLE_NAME" in str(one.get("Properties", {}).get("Environment"))}
expect(len(with_table) == 10 and "FallbackWebhook" not in with_table, with_table)
for name in with_table:
    expect(restored[name]["Properties"]["Environment"]["Variables"]["TABLE_NAME"] == "restored", name)
journals = {
    name: one.get("Properties", {}).get("Environment", {}).get("Variables", {}).get("JOURNAL_TABLE_NAME")
    for name, one in restored.items()}
journals = {name: journal for name, journal in journals.items() if journal}
writers = {"CreateConversation", "UpdateConversation", "EndConversation", "EventWebhook", "MessageWebhook", "ProvisionNumbers"}
expect(set(journals) == writers and all(one == {"Ref": "JournalTable"} for one in journals.values()), journals)
taken_over, outputs = deployed(ExistingTableName="restored", ExistingTableStreamArn=STREAM, ExistingJournalTableName="journal")
expect("JournalTable" not in taken_over and outputs["JournalTableName"]["Value"] == "journal", outputs)
expect(not named([taken_over, outputs], ["JournalTable", "JournalTable.Arn"]), "a journal that is not made is named")
for name in writers:
    expect(taken_over[name]["Properties"]["Environment"]["Variables"]["JOURNAL_TABLE_NAME"] == "journal", name)
for kept in ("JournalTable", "Table"):
    expect(iam[kept]["DeletionPolicy"] == iam[kept]["UpdateReplacePolicy"] == "Retain", iam[kept])
expect(iam["JournalTable"]["Properties"]["DeletionProtectionEnabled"], iam["JournalTable"])
expect(iam["Table"]["Properties"]["DeletionProtectionEnabled"] and iam["Table"]["DeletionPolicy"] == "Retain", iam["Table"])
refused("TokensHaveAnAudience", JwtIssuer=ISSUER)
ROLE = "arn:aws:iam::111122223333:role/support-lead"
refused("RolesAreForPermitted", RevealRoles=ROLE)
refused("RolesAreForPermitted", RevealRoles=ROLE, RevealNumbers="permitted", JwtIssuer=ISSUER, JwtAudience=AUDIENCE)
deployed(RevealRoles=ROLE, RevealNumbers="permitted")
refused("ExistingTableHasAStream", ExistingTableName="restored")
refused("StreamIsOfAnExistingTable", ExistingTableStreamArn=STREAM)


def runs_by_itself(resources):
    """The states of what works without a request: schedules and pipes."""
    rules = {name: one["Properties"]["State"] for name, one in resources.items() if one["Type"] == "AWS::Events::Rule"}
    pipes = {name: one["Properties"]["DesiredState"] for name, one in resources.items() if one["Type"] == "AWS::Pipes::Pipe"}
    expect(len(rules) == 5 and len(pipes) == 2, rules, pipes)
    return set(rules.values()) | set(pipes.values())


expect(runs_by_itself(deployed(CallControl="on")[0]) == {"ENABLED", "RUNNING"}, "a schedule or a pipe does not run")
# Warnings in calls need the private key.
expect(runs_by_itself(iam) == {"ENABLED", "DISABLED", "RUNNING"}, runs_by_itself(iam))
# Two regions that buy, heal and redact on one global table would do all of it twice.
expect(runs_by_itself(deployed(Standby="on", CallControl="on")[0]) == {"DISABLED", "STOPPED"}, "a standby works by itself")


def reserved(resources):
    reservations = {name: one.get("Properties", {}).get("ReservedConcurrentExecutions") for name, one in resources.items()}
    return {name: count for name, count in reservations.items() if count not in (None, {"Ref": "AWS::NoValue"})}


expect(reserved(iam) == {}, reserved(iam))
limited = reserved(deployed(AnswerConcurrency=100, CreateConcurrency=50)[0])
expect(limited == {"AnswerWebhook": 100, "CreateConversation": 50}, limited)


WORDS = "arn:aws:lambda:eu-west-2:111122223333:layer:words:7"


def with_words(resources):
    """The functions with a layer, each with the path of the file in it."""
    functions = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::Lambda::Function"}
    paths = {name: own["Environment"]["Variables"].get("WORDS_FILE") for name, own in functions.items() if "Environment" in own}
    return {name: path for name, path in paths.items() if functions[name].get("Layers") == [WORDS] and path}


speaking = {
    "AnswerWebhook", "EventWebhook", "CreateConversation", "GetConversation", "UpdateConversation", "ProvisionNumbers",
    "ControlCall", "KeepRecordings", "MessageWebhook"}
expect(with_words(iam) == {}, with_words(iam))
worded, _ = deployed(WordsLayer=WORDS, DefaultLanguage="de", Brand="Rides")
expect(with_words(worded) == {name: "/opt/words.json" for name in speaking}, with_words(worded))
for name in speaking | {"FallbackWebhook"}:
    expect(worded[name]["Properties"]["Environment"]["Variables"]["DEFAULT_LANGUAGE"] == "de", worded[name])

BOUNDARY = "arn:aws:iam::111122223333:policy/teams/bounds"


def boundaries(resources):
    """The permissions boundary of each role."""
    roles = {name: one["Properties"] for name, one in resources.items() if one["Type"] == "AWS::IAM::Role"}
    expect({"AnswerWebhookRole", "PipeRole", "ReleaseRole"} <= set(roles) and "CodeDeployServiceRole" not in roles, set(roles))
    return {name: role.get("PermissionsBoundary") for name, role in roles.items()}


bounded, _ = deployed(PermissionsBoundaryArn=BOUNDARY)
expect(set(boundaries(bounded).values()) == {BOUNDARY}, boundaries(bounded))
expect(all(boundary == {"Ref": "AWS::NoValue"} for boundary in boundaries(iam).values()), boundaries(iam))

for parameter, taken, not_taken in (
    ("VonageApiKey", ["1a2b3c4d"], ["", " ", "1a2b 3c4d"]),
    ("VonageApplicationId", ["00000000-0000-4000-8000-000000000001"], ["", "rides", "00000000-0000-4000-8000-00000000000"]),
    ("PublicUrl", ["", "https://calls.company.example", "https://calls.company.example:8443/masked/"],
     ["calls.company.example", "http://calls.company.example", "https://calls.company.example/?a=b"]),
    ("ExistingTableStreamArn", ["", STREAM], ["restored", STREAM.split("/stream")[0]]),
    ("NumbersSchedule", ["rate(15 minutes)", "cron(0/15 * * * ? *)"], ["", "15 minutes"]),
    ("DefaultLanguage", ["en", "pt-BR", "zh-Hant-TW", "es-419"], ["", "english", "en_GB", "en-GB-GB"]),
    ("WordsLayer", ["", WORDS], ["words", WORDS.rsplit(":", 1)[0]]),
    ("AlarmEmail", ["", "ops@company.example"], ["ops"]),
    ("PermissionsBoundaryArn", ["", BOUNDARY, "arn:aws:iam::aws:policy/PowerUserAccess"], ["bounds", "arn:aws:iam::1:role/bounds"]),
):
    pattern = template_of_this_folder()["Parameters"][parameter]["AllowedPattern"]
    for value in taken + not_taken:
        expect(bool(re.fullmatch(pattern, value)) == (value in taken), parameter, value)


def alarm_targets(resources):
    alarms = [one["Properties"] for one in resources.values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    expect(alarms, "no alarms")
    return [alarm[actions] for alarm in alarms for actions in ("AlarmActions", "OKActions")]


expect(all(target == [{"Ref": "AlarmTopic"}] for target in alarm_targets(iam)), alarm_targets(iam))
expect("AlarmTopic" in iam and "AlarmEmailSubscription" not in iam, "a topic of its own, and nobody to write to")
mailed, _ = deployed(AlarmEmail="ops@company.example")
expect(mailed["AlarmEmailSubscription"]["Properties"]["Endpoint"] == "ops@company.example", mailed)
elsewhere, outputs = deployed(AlarmTopicArn="arn:aws:sns:eu-west-2:1:alarms", AlarmEmail="ops@company.example")
expect(all(target == ["arn:aws:sns:eu-west-2:1:alarms"] for target in alarm_targets(elsewhere)), elsewhere)
expect(not {"AlarmTopic", "AlarmEmailSubscription"} & set(elsewhere) and "AlarmTopicArn" not in outputs, elsewhere)

logged = {"EventLog": "AWS::Logs::LogGroup", "EventLogPolicy": "AWS::Logs::ResourcePolicy", "EventLogRule": "AWS::Events::Rule"}
expect(not set(logged) & set(iam) and "EventLogName" not in iam_outputs, "a log of events that nobody asked for")
logging_events, outputs = deployed(EventLogDays=7)
expect({name: one["Type"] for name, one in logging_events.items() if name not in iam} == logged, set(logging_events) - set(iam))
expect(outputs["EventLogName"]["Value"] == {"Ref": "EventLog"}, outputs)
expect(logging_events["EventLog"]["Properties"]["RetentionInDays"] == 7, logging_events["EventLog"])
expect(logging_events["EventLogRule"]["Properties"]["State"] == "ENABLED", logging_events["EventLogRule"])
policy = json.loads(logging_events["EventLogPolicy"]["Properties"]["PolicyDocument"]["Fn::Sub"])
expect(policy["Statement"][0]["Resource"] == "${EventLog.Arn}", policy)
waiting = deployed(EventLogDays=7, Standby="on")[0]["EventLogRule"]["Properties"]
expect(waiting["State"] == "DISABLED", waiting)


def tracing(resources):
    """The functions that are traced, and those whose role may send traces."""
    traced, permitted = set(), set()
    for name, one in resources.items():
        properties = one.get("Properties", {})
        if one["Type"] == "AWS::Lambda::Function" and "TracingConfig" in properties:
            expect(properties["TracingConfig"] == {"Mode": "Active"}, name, properties)
            traced.add(name)
        if one["Type"] == "AWS::IAM::Role" and "XRay" in str(properties).replace("Xray", "XRay"):
            permitted.add(name.removesuffix("Role"))
    return traced, permitted


functions = {name for name, one in iam.items() if one["Type"] == "AWS::Lambda::Function"}
expect(tracing(iam) == (set(), set()), "traces that nobody asked for", tracing(iam))
traced, _ = deployed(Tracing="Active")
expect(len(functions) == 12 and tracing(traced) == (functions, functions), tracing(traced))
for name in RELEASED:
    # Without this, the alias would keep a version without traces.
    versions = [one[f"{name}Aliaslive"]["Properties"]["FunctionVersion"] for one in (iam, traced)]
    expect(versions[0] != versions[1], name, versions)
print(f"{len(WEBHOOKS)} routes for Vonage, {len(CONVERSATIONS | NUMBERS)} for the backend, by IAM or by JWT")
