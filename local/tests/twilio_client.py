"""Twilio's own Python library against `maskline facade twilio-proxy`, on a fresh stack with an empty pool.

    pip install twilio
    python twilio_client.py GATEWAY VONAGE
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

GATEWAY, VONAGE = sys.argv[1:]
MASKLINE = Path(__file__).parents[2] / "target/debug/maskline"
SERVICE = "KS0123456789abcdef0123456789abcdef"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"
RIDER, DRIVER = "+447700900001", "+447700900002"


def post(url, body):
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode())) as answer:
        return json.load(answer)


def call(caller, dialled):
    """Returns the phone that rang, or none."""
    placed = post(f"{VONAGE}/simulator/calls", {"from": caller[1:], "to": dialled[1:], "talk_seconds": 42})
    callee = placed["phones"]["callee"]
    return callee and "+" + callee["number"]


class Facade:
    """A façade, and the client of a backend that is pointed at it."""

    def __init__(self, data, log):
        command = [MASKLINE, "facade", "twilio-proxy", "--url", GATEWAY, "--port", "0", "--service", SERVICE, "--data", data]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        client = Client(ACCOUNT, "any")
        client.proxy.base_url = self.process.stdout.readline().split()[-1]
        self.service = client.proxy.v1.services(SERVICE)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def refused(status, code, request):
    try:
        request()
    except TwilioRestException as error:
        assert (error.status, error.code) == (status, code), error
        assert not any(phone[3:] in error.msg for phone in (RIDER, DRIVER)), error
    else:
        sys.exit(f"was not refused with {code}")


def story(facade, restart):
    sessions = facade.service.sessions
    assert facade.service.fetch().sid == SERVICE
    session = sessions.create(unique_name="ride-42", ttl=3600)
    assert (session.status, session.ttl) == ("open", 3600), session
    assert sessions.create(unique_name="ride-42", ttl=3600).sid == session.sid
    people = sessions(session.sid).participants
    rider = people.create(identifier=RIDER, friendly_name="Rider")
    assert rider.proxy_identifier is None
    refused(400, 80206, lambda: people.create(identifier=DRIVER))
    post(f"{GATEWAY}/numbers", {"country": "GB", "count": 2})

    facade = restart()
    sessions = facade.service.sessions
    people = sessions(session.sid).participants
    driver = people.create(identifier=DRIVER)
    assert people.create(identifier=DRIVER).sid == driver.sid
    rider = people(rider.sid).fetch()
    assert (rider.identifier, rider.friendly_name) == (RIDER, "Rider")
    assert call(RIDER, rider.proxy_identifier) == DRIVER
    assert call(DRIVER, driver.proxy_identifier) == RIDER
    assert [one.sid for one in people.list()] == [rider.sid, driver.sid]
    people(rider.sid).message_interactions.create(body="It is here.")

    session = sessions("ride-42").fetch()
    assert session.status == "in-progress" and session.date_last_interaction, session.status
    interactions = sessions(session.sid).interactions.list(page_size=2)
    assert sorted(one.type for one in interactions) == ["message", "voice", "voice"], interactions
    kinds = {(one.inbound_participant_sid, one.outbound_participant_sid) for one in interactions}
    assert kinds == {(rider.sid, driver.sid), (driver.sid, rider.sid), (None, rider.sid)}, kinds

    whole = sessions.create(participants=[{"Identifier": RIDER}, {"Identifier": "+447700900003"}])
    assert all(one.proxy_identifier for one in sessions(whole.sid).participants.stream(page_size=1))
    assert [one.sid for one in sessions.list(page_size=1)] == [whole.sid, session.sid]
    sessions(whole.sid).delete()
    refused(404, 20404, lambda: sessions(whole.sid).fetch())
    refused(400, 80609, lambda: people.create(identifier="+447700900003"))
    refused(400, 80701, lambda: sessions.create(mode="voice-only"))

    closed = sessions(session.sid).update(status="closed")
    assert (closed.status, closed.closed_reason) == ("closed", "api"), closed.status
    assert call(RIDER, rider.proxy_identifier) is None
    return facade


with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w+") as log:
    facade = Facade(f"{folder}/data", log)

    def restart():
        global facade
        facade.stop()
        facade = Facade(f"{folder}/data", log)
        return facade

    try:
        story(facade, restart)
    finally:
        facade.stop()
    log.seek(0)
    lines = log.read()
    assert "v1/Services/…/Sessions/…/Participants" in lines, lines
    assert not any(phone[3:] in lines for phone in (RIDER, DRIVER)), lines

print("Twilio's client: a session and two people, one after the other and at once, calls, texts, a restart, ends: as it should be")
