"""Every event of events/ in the container of its function, its answer compared with that of the laptop stack's gateway.

The first event of each function is sent by `sam local invoke`, the others to a warm container by `sam local start-lambda`,
which takes a tenth of the time.
"""

import atexit
import datetime
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

gateway, folder = os.environ["GATEWAY"], tempfile.TemporaryDirectory()
work = folder.name
FUNCTIONS = {
    "answer-webhook": "AnswerWebhook", "fallback-webhook": "FallbackWebhook", "event-webhook": "EventWebhook",
    "message-webhook": "MessageWebhook",
    "create-conversation": "CreateConversation",
    "get-conversation": "GetConversation", "update-conversation": "UpdateConversation",
    "end-conversation": "EndConversation", "provision-numbers": "ProvisionNumbers", "control-call": "ControlCall",
    "keep-recordings": "KeepRecordings",
    "deliver-event": "DeliverEvent",
}
invoked = set()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


warm = f"http://127.0.0.1:{(port := free_port())}"
server = subprocess.Popen(
    ["sam", "local", "start-lambda", "--config-env", "laptop", "--skip-pull-image", "--warm-containers", "LAZY", "--port", str(port)],
    stdout=subprocess.DEVNULL, stderr=open(os.path.join(work, "server"), "w"))


@atexit.register
def stop_server():
    """Lets the server remove its containers."""
    server.send_signal(signal.SIGINT)
    server.wait()


def in_container(name, event):
    """Status and body of the function's answer, or what the schedule reports."""
    function = next(logical for prefix, logical in FUNCTIONS.items() if name.startswith(prefix))
    answer = in_warm_container(function, event) if function in invoked else in_new_container(name, function, event)
    invoked.add(function)
    if "statusCode" not in answer:
        return answer
    return answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None


def in_new_container(name, function, event):
    file = os.path.join(work, "event.json")
    with open(file, "w") as out:
        json.dump(event, out)
    ran = subprocess.run(
        ["sam", "local", "invoke", "--config-env", "laptop", "--skip-pull-image", function, "-e", file],
        capture_output=True, text=True)
    answers = [line for line in ran.stdout.splitlines() if '"statusCode"' in line or line.startswith(('{"adopted"', '{"given_up"', '{"erased"'))]
    if ran.returncode != 0 or len(answers) != 1:
        sys.exit(f"{name}: sam local invoke gave no answer\n{ran.stdout}\n{ran.stderr}")
    return json.loads(answers[0])


def in_warm_container(function, event):
    request = urllib.request.Request(f"{warm}/2015-03-31/functions/{function}/invocations", data=json.dumps(event).encode())
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except (OSError, ValueError) as error:
        sys.exit(f"{function}: sam local start-lambda gave no answer: {error}\n{open(os.path.join(work, 'server')).read()}")


def at_gateway(event):
    """The same request by HTTP."""
    query = f"?{event['rawQueryString']}" if event["rawQueryString"] else ""
    headers = {name: event["headers"][name] for name in ("authorization", "content-type", "idempotency-key") if name in event["headers"]}
    request = urllib.request.Request(
        gateway + event["rawPath"] + query, method=event["requestContext"]["http"]["method"],
        data=event["body"].encode() if "body" in event else None, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    return status, json.loads(body) if body else None


def load(name):
    file = f"events/{name}.json"
    with open(file) as opened:
        event = json.load(opened)
    return signed(file) if "authorization" in event.get("headers", {}) else event


def signed(file):
    """A webhook's event as of now: in its file it is of a past day."""
    printed = subprocess.run(["target/debug/maskline", "sign", file], check=True, capture_output=True, text=True)
    return json.loads(printed.stdout)


def expect(holds, *seen):
    if not holds:
        sys.exit("not as it should be: " + "\n".join(map(str, seen)))


def same(name, event):
    container, laptop = in_container(name, event), at_gateway(event)
    expect(container == laptop, name, container, laptop)
    print(f"{container[0]}  {name}", flush=True)
    return container


names = sorted(os.path.splitext(os.path.basename(file))[0] for file in glob.glob("events/*.json"))

# What changes the state is done by the container, and then seen by both.
status, ordered = in_container("provision-numbers", load("provision-numbers"))
expect(status == 200 and ordered["ready"] == 2 and len(ordered["added"]) == 2, ordered)
expect(at_gateway(load("provision-numbers")) == (200, {**ordered, "added": [], "monthly_cost": "0"}), ordered)
status, conversation = in_container("create-conversation", load("create-conversation"))
expect(status == 201 and [side["notification"] for side in conversation["participants"]] == ["sent", "sent"], conversation)
print("201  create-conversation\n200  provision-numbers", flush=True)

status, again = in_container("create-conversation-again", load("create-conversation-again"))
there = at_gateway(load("create-conversation-again"))
expect(status == 201 and there == (200, again), again, there)
print("201  create-conversation-again", flush=True)
report = in_container("provision-numbers-schedule", load("provision-numbers-schedule"))
# The webhooks of the stack lead to these ports already; and its own schedule may have been here first.
settled = report.get("application")
expect(settled in ([], ["improve_ai"]), report)
expect(report == {"application": settled, "adopted": [], "lost": [], "found_again": [], "linked_again": [], "cancelled": [], "rented": [], "shortfall": []}, report)
print("     provision-numbers-schedule", flush=True)

changing = {"provision-numbers", "create-conversation", "create-conversation-again", "end-conversation",
            "end-conversation-erase", "end-conversation-forget", "end-conversation-schedule", "update-conversation", "provision-numbers-drain", "provision-numbers-rotate",
            "provision-numbers-schedule", "provision-numbers-setup", "get-conversation-decision", "keep-recordings-schedule", "deliver-event-batch"}
for name in names:
    if name not in changing:
        same(name, load(name))

# The function in the container takes the address of its event for that of the deployment. The plan changes nothing.
status, plan = in_container("provision-numbers-setup", load("provision-numbers-setup"))
there = at_gateway(load("provision-numbers-setup"))[1]
expect((status, plan["state"], there["state"]) == (200, "updated", "unchanged") and plan["by_hand"] == there["by_hand"], plan, there)
host = "https://" + load("provision-numbers-setup")["requestContext"]["domainName"]
expect(len(plan["changes"]) == 5 and all(change["now"]["address"].startswith(host) for change in plan["changes"]), plan)
print("200  provision-numbers-setup", flush=True)


def of_this_conversation(name):
    event = load(name)
    event["rawPath"] = event["requestContext"]["http"]["path"] = f"/conversations/{conversation['id']}"
    event["pathParameters"] = {"id": conversation["id"]}
    return event


# An event of now finds the conversation: it is edited, signed again, and its leg is there.
event = load("event-webhook-completed")
body = json.loads(event["body"])
body["timestamp"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.999Z")
event["body"] = json.dumps(body)
with open(os.path.join(work, "edited.json"), "w") as out:
    json.dump(event, out)
same("event-webhook-completed", signed(os.path.join(work, "edited.json")))
status, read = same("get-conversation", of_this_conversation("get-conversation"))
expect(status == 200 and [leg["status"] for call in read["calls"] for leg in call["legs"]] == ["completed"], read)

status, decision = in_container("get-conversation-decision", load("get-conversation-decision"))
there = at_gateway(load("get-conversation-decision"))[1]
expect(decision.pop("at") and there.pop("at") and (status, decision["outcome"]) == (200, "routed"), decision)
expect(decision == there, decision, there)
print("200  get-conversation-decision", flush=True)

status, updated = in_container("update-conversation", of_this_conversation("update-conversation"))
expect(status == 200 and updated["participants"][1]["number"] == "+447700900009", updated)
read = at_gateway(of_this_conversation("get-conversation"))[1]
expect((read["participants"], read["expires_at"]) == (updated["participants"], updated["expires_at"]), read)
print("200  update-conversation", flush=True)
status, ended = same("end-conversation", of_this_conversation("end-conversation"))
expect(status == 200 and ended["state"] == "ended", ended)
status, ncco = same("answer-webhook-rider-calls", load("answer-webhook-rider-calls"))
expect(status == 200 and len(ncco) == 1 and "has ended" in ncco[0]["text"], ncco)

status, nothing = in_container("end-conversation-erase", of_this_conversation("end-conversation-erase"))
expect((status, nothing) == (204, None) and at_gateway(of_this_conversation("end-conversation-erase")) == (204, None), nothing)
expect(at_gateway(of_this_conversation("get-conversation"))[0] == 404, "an erased conversation is read")
print("204  end-conversation-erase", flush=True)
status, ncco = same("answer-webhook-rider-calls", load("answer-webhook-rider-calls"))
expect(status == 200 and len(ncco) == 1 and "has ended" in ncco[0]["text"], ncco)
status, forgotten = in_container("end-conversation-forget", load("end-conversation-forget"))
expect(status == 202 and forgotten["state"] == "done" and forgotten["conversations_erased"] >= 1, forgotten)
show = load("end-conversation-forget-show")
show["rawPath"] = show["requestContext"]["http"]["path"] = f"/erasures/{forgotten['id']}"
show["pathParameters"] = {"id": forgotten["id"]}
expect(same("end-conversation-forget-show", show) == (200, forgotten), forgotten)
print("202  end-conversation-forget", flush=True)
report = in_container("end-conversation-schedule", load("end-conversation-schedule"))
# The stack's own schedule may have read the table of this day already.
retention = report.pop("retention", {})
expect(retention.pop("pages", None) in (0, 1) and retention == {"erased": 0, "failed": 0, "complete": True}, retention)
expect(report == {"numbers": {"done": 0, "running": 0}, "settled": 0, "unsettled": 0, "redacted": 0, "postponed": 0, "given_up": 0,
                  "not_provisioned": [], "stopped": None}, report)
print("     end-conversation-schedule", flush=True)
report = in_container("keep-recordings-schedule", load("keep-recordings-schedule"))
expect(report == {"kept": 0, "given_up": 0, "erased": 0, "retried_later": 0, "stopped": False}, report)
print("     keep-recordings-schedule", flush=True)
# Without a URL nothing takes the events, so the messages stay in their queue.
batch = load("deliver-event-batch")
report = in_container("deliver-event-batch", batch)
expect(report == {"batchItemFailures": [{"itemIdentifier": one["messageId"]} for one in batch["Records"]]}, report)
print("     deliver-event-batch", flush=True)

status, rotating = same("provision-numbers-rotate", load("provision-numbers-rotate"))
expect(status == 200 and rotating["state"] == "draining" and "rotating_since" in rotating, rotating)
status, drained = same("provision-numbers-drain", load("provision-numbers-drain"))
expect(status == 200 and drained["state"] == "draining", drained)

expect(invoked == set(FUNCTIONS.values()), invoked)
print(f"{len(names)} events, {len(invoked)} functions: the container answers as the laptop stack does")
