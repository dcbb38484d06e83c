"""The curl commands of docs/api.md against a running stack: provision, create, call both ways, end, call again; and a
one-way conversation."""

import json
import os
import subprocess
import sys

gateway, vonage = os.environ["GATEWAY"], os.environ["VONAGE"]
RIDER, DRIVER = "447700900001", "447700900002"


def curl(*arguments):
    printed = subprocess.run(
        ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", *arguments],
        check=True, capture_output=True, text=True).stdout
    body, status = printed.rsplit("\n", 1)
    return int(status), json.loads(body) if body else None


def expect(holds, seen):
    if not holds:
        sys.exit(f"not as it should be: {json.dumps(seen, indent=1)}")


def call(caller, dialled):
    status, call = curl(f"{vonage}/simulator/calls", "-d", json.dumps({"from": caller, "to": dialled}))
    expect(status == 200, call)
    return call


status, plan = curl(f"{gateway}/setup", "-d", '{"dry_run": true}')
expect(status == 200 and plan["state"] == "updated" and plan["application"]["configured"], plan)
status, done = curl(f"{gateway}/setup", "-d", "{}")
expect(status == 200 and done["changes"] == plan["changes"], done)
status, again = curl(f"{gateway}/setup", "-d", "{}")
expect(status == 200 and again["state"] == "unchanged" and again["changes"] == [], again)

status, pool = curl(f"{gateway}/numbers", "-d", '{"country": "GB", "count": 2}')
expect(status == 200 and pool["ready"] == 2 and len(pool["added"]) == 2, pool)

status, conversation = curl(f"{gateway}/conversations", "-d", json.dumps({"participants": [
    {"number": "+44 7700 900001", "label": "your rider"},
    {"number": "07700 900002", "country": "GB", "label": "your driver"}], "expires_in": 86400, "reference": "ride-42"}))
expect(status == 201 and conversation["state"] == "active", conversation)
# The API writes numbers with +, and the simulator without, as Vonage does.
rider_dials, driver_dials = (side["dials"].removeprefix("+") for side in conversation["participants"])

for phone, dials in (RIDER, rider_dials), (DRIVER, driver_dials):
    status, inbox = curl(f"{vonage}/simulator/messages?to={phone}")
    [message] = inbox["messages"]
    expect(message["from"] == dials and f"+{dials}" in message["text"], inbox)
    expect(RIDER not in message["text"] and DRIVER not in message["text"], inbox)

for caller, dials, callee, shows in (RIDER, rider_dials, DRIVER, driver_dials), (DRIVER, driver_dials, RIDER, rider_dials):
    placed = call(caller, dials)
    phones = placed["phones"]
    expect(phones["callee"] == {"number": callee, "display": shows, "rang": True, "answered": True}, placed)
    # What the called phone gets, and everything that is said, names no real number of the caller.
    connect = next(action for action in placed["ncco"] if action["action"] == "connect")
    expect(caller not in json.dumps(placed["ncco"]) and connect["from"] == shows, placed)
    expect(not any(number in said for said in phones["caller"]["heard"] for number in (RIDER, DRIVER)), placed)

stranger = call("447700900999", rider_dials)
expect(stranger["phones"]["callee"] is None and RIDER not in json.dumps(stranger["ncco"]), stranger)

url = f"{gateway}/conversations/{conversation['id']}"
status, refused = curl(f"{gateway}/conversations", "-d", json.dumps({"participants": [
    {"number": "+447700900001"}, {"number": "+447700900005"}], "notify": False}))
expect(status == 201, refused)
status, refused = curl(f"{gateway}/conversations", "-d", json.dumps({"participants": [
    {"number": "+447700900001"}, {"number": "+447700900006"}], "notify": False}))
expect(status == 409 and (refused["ready"], refused["live"], refused["quarantined"]) == (2, 2, 0), refused)

once = ["-H", "Idempotency-Key: ride-43", "-d", json.dumps({"participants": [
    {"number": "+447700900007"}, {"number": "+447700900008"}]})]
(first, created), (second, again) = (curl(f"{gateway}/conversations", *once) for _ in range(2))
expect((first, second) == (201, 200) and created == again, again)

status, changed = curl("-X", "PATCH", url, "-d", '{"expires_in": 3600}')
expect(status == 200 and changed["expires_at"] < conversation["expires_at"], changed)
status, pool = curl(f"{gateway}/numbers?concurrent=25")
[gb] = pool["countries"]
expect((gb["high_water"], gb["headroom"], gb["forecast"]["missing"]) == (2, 0, 23), gb)

status, read = curl(url)
expect(status == 200 and len(read["calls"]) == 2 and all(leg["status"] == "completed" for c in read["calls"] for leg in c["legs"]), read)
status, ended = curl("-X", "DELETE", url)
expect(status == 200 and ended["state"] == "ended", ended)
for caller, dials in (RIDER, rider_dials), (DRIVER, driver_dials):
    again = call(caller, dials)
    expect(again["phones"]["callee"] is None and "has ended" in again["phones"]["caller"]["heard"][0], again)
    expect(not any(number in json.dumps(again["ncco"]) for number in (RIDER, DRIVER)), again)

status, erased = curl("-X", "DELETE", f"{url}?erase=true")
expect((status, erased) == (204, None), erased)
expect(curl("-X", "DELETE", f"{url}?erase=true") == (204, None) and curl(url)[0] == 404, erased)
late = call(RIDER, rider_dials)
expect(late["phones"]["callee"] is None and "has ended" in late["phones"]["caller"]["heard"][0], late)

status, one_way = curl(f"{gateway}/conversations", "-d", json.dumps({"participants": [
    {"number": "+44 7700 900003", "label": "a customer"}, {"number": "+44 7700 900004"}], "direction": "a_to_b"}))
customer, line = one_way["participants"]
expect(status == 201 and (line["dials"], line["notification"]) == (None, "off"), one_way)
dials, mask = (customer[name].removeprefix("+") for name in ("dials", "masked_by"))
placed = call("447700900003", dials)
expect(placed["phones"]["callee"]["display"] == mask, placed)
refused = call("447700900004", mask)
expect(refused["phones"]["callee"] is None and "does not take calls" in refused["phones"]["caller"]["heard"][0], refused)
status, read = curl(f"{gateway}/conversations/{one_way['id']}")
expect([len(placed["legs"]) for placed in read["calls"]] == [2], read)

status, drained = curl("-X", "DELETE", f"{gateway}/numbers/{rider_dials}")
expect(status == 200 and drained["state"] == "draining", drained)

print("provisioned, created, called both ways, changed, ended, called again, erased, called one way, drained: as it should be")
