"""AWS's own Python library against `maskline facade chime`, on a fresh stack with `LIST_CONVERSATIONS=on` and an empty pool.

    pip install boto3
    python chime_client.py GATEWAY VONAGE
"""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

GATEWAY, VONAGE = sys.argv[1:]
MASKLINE = Path(__file__).parents[2] / "target/debug/maskline"
CONNECTOR = "abcdef1ghij2klmno3pqr4"
RIDER, DRIVER = "+447700900001", "+447700900002"


def post(url, body):
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)


def call(caller, dialled):
    """Returns the phone that rang, or none."""
    placed = post(f"{VONAGE}/simulator/calls", {"from": caller[1:], "to": dialled[1:], "talk_seconds": 42})
    callee = placed["phones"]["callee"]
    return callee and "+" + callee["number"]


def refused(code, request):
    try:
        request()
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert not any(phone[3:] in str(error) for phone in (RIDER, DRIVER)), error
    else:
        sys.exit(f"was not refused with {code}")


def story(chime):
    order = {"VoiceConnectorId": CONNECTOR, "ParticipantPhoneNumbers": [RIDER, DRIVER], "Capabilities": ["Voice", "SMS"],
             "ExpiryMinutes": 60, "Name": "ride 42"}
    refused("ResourceLimitExceededException", lambda: chime.create_proxy_session(**order))
    post(f"{GATEWAY}/numbers", {"country": "GB", "count": 2})
    session = chime.create_proxy_session(**order)["ProxySession"]
    assert (session["Status"], session["Name"], session["ExpiryMinutes"]) == ("Open", "ride 42", 60), session
    this = {"VoiceConnectorId": CONNECTOR, "ProxySessionId": session["ProxySessionId"]}
    for person, other in zip(session["Participants"], (DRIVER, RIDER)):
        assert call(person["PhoneNumber"], person["ProxyPhoneNumber"]) == other
    assert chime.get_proxy_session(**this)["ProxySession"]["Status"] == "InProgress"
    listed = chime.list_proxy_sessions(VoiceConnectorId=CONNECTOR, Status="InProgress", MaxResults=1)
    assert [one["ProxySessionId"] for one in listed["ProxySessions"]] == [session["ProxySessionId"]], listed
    longer = chime.update_proxy_session(**this, Capabilities=["Voice", "SMS"], ExpiryMinutes=120)["ProxySession"]
    assert longer["ExpiryMinutes"] >= 120, longer
    refused("BadRequestException", lambda: chime.update_proxy_session(**this, Capabilities=["Voice"]))
    chime.delete_proxy_session(**this)
    closed = chime.get_proxy_session(**this)["ProxySession"]
    assert closed["Status"] == "Closed" and closed["EndedTimestamp"], closed
    person = session["Participants"][0]
    assert call(person["PhoneNumber"], person["ProxyPhoneNumber"]) is None
    unknown = {**this, "ProxySessionId": "00000000-0000-4000-8000-000000000000"}
    refused("NotFoundException", lambda: chime.get_proxy_session(**unknown))


command = [MASKLINE, "facade", "chime", "--url", GATEWAY, "--port", "0", "--voice-connector", CONNECTOR]
with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as facade:
    try:
        url = facade.stdout.readline().split()[-1]
        story(boto3.client("chime-sdk-voice", endpoint_url=url, region_name="us-east-1", aws_access_key_id="any",
                           aws_secret_access_key="any", config=Config(retries={"max_attempts": 0})))
    finally:
        facade.kill()
        log = facade.stderr.read()
assert "voice-connectors/…/proxy-sessions" in log, log
assert not any(phone[3:] in log for phone in (RIDER, DRIVER)), log

print("AWS's client: a proxy session, calls, a list, a change, an end: as it should be")
