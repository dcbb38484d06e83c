"""Vonage's own Python library against the simulator.

    pip install vonage
    python vonage_python_sdk.py http://127.0.0.1:4000 [API_KEY API_SECRET APPLICATION_ID]

The application's key is the laptop's.

The simulator must be fresh: no numbers rented, and a balance of at least 10 EUR.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import requests
from requests.adapters import HTTPAdapter
from vonage import Auth, HttpClientOptions, Vonage
from vonage_application import (
    ApplicationConfig,
    ApplicationUrl,
    Capabilities,
    Messages,
    MessagesWebhooks,
    Voice,
    VoiceUrl,
    VoiceWebhooks,
)
from vonage_http_client.errors import AuthenticationError, HttpRequestError
from vonage_identity_insights.errors import IdentityInsightsError
from vonage_identity_insights.requests import EmptyInsight, IdentityInsightsRequest, InsightsRequest
from vonage_number_insight import BasicInsightRequest
from vonage_number_insight.errors import NumberInsightError
from vonage_messages.models import Sms, SmsOptions
from vonage_numbers import (
    ListOwnedNumbersFilter,
    NumberParams,
    SearchAvailableNumbersFilter,
    UpdateNumberParams,
)
from vonage_jwt import verify_signature
from vonage_sms import SmsMessage
from vonage_sms.errors import SmsError
from vonage_voice.models import (
    Connect,
    Conversation,
    CreateCallRequest,
    Dtmf,
    Input,
    ListCallsFilter,
    Notify,
    OnAnswer,
    Phone,
    PhoneEndpoint,
    Record,
    Stream,
    Talk,
    ToPhone,
    TtsStreamOptions,
)


SIGNATURE_SECRET = "laptop-signature-secret"
PRIVATE_KEY = Path(__file__).parents[1] / "src/account/private_key.pem"
MASKLINE = Path(__file__).parents[2] / "target/debug/maskline"


class PlainHttp(HTTPAdapter):
    """The library writes https into every URL; the simulator speaks plain HTTP."""

    def send(self, request, **options):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **options)


def client(base, key, secret, **application):
    host = urlsplit(base).netloc
    vonage = Vonage(
        Auth(api_key=key, api_secret=secret, **application),
        HttpClientOptions(api_host=host, rest_host=host),
    )
    session = vonage.http_client._session
    session.mount(f"https://{host}", PlainHttp())
    session.trust_env = False
    return vonage


def refused(error, call, *arguments):
    try:
        call(*arguments)
    except error as raised:
        return str(raised)
    raise AssertionError(f"{error} is expected")


def numbers(vonage, application):
    assert vonage.account.get_balance().value >= 10
    assert vonage.numbers.list_owned_numbers() == ([], 0, None)
    search = SearchAvailableNumbersFilter(country="GB", features="SMS,VOICE", size=100)
    found, count, following = vonage.numbers.search_available_numbers(search)
    assert (len(found), count, following) == (100, 250, 2)
    assert (found[0].msisdn, found[0].cost) == ("447451000001", "1.25")
    nowhere = SearchAvailableNumbersFilter(country="JP")
    assert vonage.numbers.search_available_numbers(nowhere) == ([], 0, None)

    number = NumberParams(country="GB", msisdn=found[0].msisdn)
    assert vonage.numbers.buy_number(number).error_code == "200"
    refused(HttpRequestError, vonage.numbers.buy_number, number)
    update = UpdateNumberParams(country="GB", msisdn=number.msisdn, app_id=application)
    assert vonage.numbers.update_number(update).error_code_label == "success"
    linked = ListOwnedNumbersFilter(has_application=True, application_id=application)
    owned, count, _ = vonage.numbers.list_owned_numbers(linked)
    assert (count, owned[0].msisdn, owned[0].app_id) == (1, number.msisdn, application)
    assert owned[0].features == ["VOICE", "SMS"]


def insight(vonage):
    found = vonage.number_insight.get_basic_info(BasicInsightRequest(number="447700900001"))
    assert (found.status, found.country_code, found.country_code_iso3) == (0, "GB", "GBR")
    assert found.national_format_number == "07700 900001"
    wrong = BasicInsightRequest(number="447700900001", country="US")
    refused(NumberInsightError, vonage.number_insight.get_basic_info, wrong)


def identity(vonage, stranger):
    everything = InsightsRequest(format=EmptyInsight(), original_carrier=EmptyInsight(), current_carrier=EmptyInsight())
    request = IdentityInsightsRequest(phone_number="447700900001", insights=everything)
    found = vonage.identity_insights.requests(request)
    assert len(found.request_id) == 36
    form = found.insights.format
    assert (form.status.code, form.country_code, form.is_format_valid) == ("OK", "GB", True)
    assert (form.number_international, form.number_national) == ("+447700900001", "07700 900001")
    assert found.insights.current_carrier.network_code == "23410"
    only_format = InsightsRequest(format=EmptyInsight())
    wrong = IdentityInsightsRequest(phone_number="441111111111", insights=only_format)
    form = vonage.identity_insights.requests(wrong).insights.format
    assert (form.status.code, form.is_format_valid) == ("INVALID_NUMBER_FORMAT", False)
    refused((AuthenticationError, IdentityInsightsError), stranger.identity_insights.requests, request)


def messages(vonage):
    message = SmsMessage(to="447700900001", from_="447451000001", text="Your rider calls from this number.")
    sent = vonage.sms.send(message)
    assert (sent.message_count, sent.messages[0].status) == ("1", "0")
    assert sent.messages[0].message_price == "0.03330000"
    long = SmsMessage(to="447700900001", from_="Maskline", text="a" * 200)
    assert len(vonage.sms.send(long).messages) == 2
    unicode = SmsMessage(to="447700900001", from_="Maskline", text="ж" * 70, type="unicode")
    assert vonage.sms.send(unicode).message_count == "1"
    to_america = SmsMessage(to="12125550100", from_="Maskline", text="Hi")
    assert "15" in refused(SmsError, vonage.sms.send, to_america)


def messages_api(vonage, base):
    fields = {"to": "447700900001", "from_": "447451000001"}
    options = SmsOptions(encoding_type="auto")
    sent = vonage.messages.send(Sms(text="Your rider calls. 🚕", sms=options, client_ref="ride-42", ttl=90, **fields))
    assert len(sent.message_uuid) == 36
    inbox = requests.get(f"{base}/simulator/messages?to=447700900001", timeout=10).json()["messages"]
    assert (inbox[-1]["message_id"], inbox[-1]["text"]) == (sent.message_uuid, "Your rider calls. 🚕")
    # The library allows 3,200 characters, and Vonage's API 1,000.
    assert "1150" in refused(HttpRequestError, vonage.messages.send, Sms(text="a" * 1001, **fields))
    assert "1120" in refused(HttpRequestError, vonage.messages.send, Sms(text="Hi", to="12025550100", from_="Maskline"))


def order(ncco):
    return CreateCallRequest(to=[ToPhone(number="447700900001")], from_=Phone(number="447451000001"), ncco=ncco)


def report(base, call):
    return requests.get(f"{base}/simulator/calls/{call.conversation_uuid}", timeout=10).json()


class Hook(BaseHTTPRequestHandler):
    """Webhooks of an application that has nothing to say."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass


class Inbox(Hook):
    """Webhooks of texts, whose bodies and signatures are kept."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.kept.append((self.path, body, self.headers["authorization"].removeprefix("Bearer ")))
        self.send_response(200)
        self.end_headers()


def message_webhooks(vonage, forms, base):
    """An application that the library makes gets texts and receipts, signed as the library verifies them."""
    server = HTTPServer(("127.0.0.1", 0), Inbox)
    server.kept = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    urls = [ApplicationUrl(address=f"http://127.0.0.1:{server.server_port}/{name}", http_method="POST") for name in ("inbound", "status")]
    webhooks = MessagesWebhooks(inbound_url=urls[0], status_url=urls[1])
    config = ApplicationConfig(name="Texts", capabilities=Capabilities(messages=Messages(version="v1", webhooks=webhooks)))
    made = vonage.application.create_application(config)
    assert made.keys.private_key and made.capabilities.messages.webhooks.inbound_url == urls[0]
    mask = "447451000001"
    owned, *_ = forms.numbers.list_owned_numbers(ListOwnedNumbersFilter(pattern=mask, search_pattern=0))
    forms.numbers.update_number(UpdateNumberParams(country="GB", msisdn=mask, app_id=made.id))
    text = {"from": "447700900001", "to": mask, "text": "I am at the station €"}
    requests.post(f"{base}/simulator/texts", json=text, timeout=10).raise_for_status()
    requests.post(f"{base}/simulator/receipts", json={"to": "447700900001"}, timeout=10).raise_for_status()
    forms.numbers.update_number(UpdateNumberParams(country="GB", msisdn=mask, app_id=owned[0].app_id))
    vonage.application.delete_application(made.id)
    server.shutdown()
    kept = {path: (json.loads(body), body, token) for path, body, token in server.kept}
    assert kept["/inbound"][0].items() >= {"channel": "sms", **text}.items(), kept
    for body, raw, token in kept.values():
        assert verify_signature(token, SIGNATURE_SECRET) and not verify_signature(token, SIGNATURE_SECRET + "s")
        claims = jwt.decode(token, SIGNATURE_SECRET, algorithms=["HS256"])
        assert claims["payload_hash"] == hashlib.sha256(raw).hexdigest(), (claims, body)
        assert claims["application_id"] == made.id, claims


def every_action(vonage, base):
    """Each action as the library writes it."""
    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    hook = [f"{address}/hook"]
    detection = {"behavior": "continue", "mode": "detect", "beep_timeout": 45}
    on_answer = OnAnswer(url=f"{address}/on-answer", ringbackTone="https://example.com/tone.mp3")
    guarded = PhoneEndpoint(number="447700900002", onAnswer=on_answer)
    ncco = [
        Talk(text="Hello", language="en-GB", style=1, premium=True, bargeIn=True, loop=1, level=0.5),
        Input(type=["dtmf"], dtmf=Dtmf(timeOut=10, maxDigits=6, submitOnHash=True), eventUrl=hook, eventMethod="POST"),
        Stream(streamUrl=["https://example.com/sound.mp3"], level=0.5, loop=1),
        Record(format="wav", timeOut=5, beepStart=True, eventUrl=hook),
        Notify(payload={"a": 1}, eventUrl=hook),
        Connect(endpoint=[guarded], from_="447451000001", eventType="synchronous", eventUrl=hook, timeout=20,
                limit=30, advancedMachineDetection=detection, ringbackTone=["https://example.com/tone.mp3"]),
        Conversation(name="hold", musicOnHoldUrl=["https://example.com/music.mp3"], canSpeak=[], canHear=[]),
    ]
    call = vonage.voice.create_call(order(ncco))
    assert (call.status, call.direction) == ("started", "outbound")
    told = report(base, call)
    server.shutdown()
    assert told["callees"][0]["joined"] and "error" not in told, told
    assert told["placed_to"]["streams"][-1] == "https://example.com/music.mp3", told
    # The library itself downloads from Vonage's hosts only.
    token = {"Authorization": vonage.http_client.auth.create_jwt_auth_string()}
    recording = requests.get(told["recordings"][0]["recording_url"], headers=token, timeout=10)
    assert recording.status_code == 200 and recording.content.startswith(b"RIFF"), recording


def voice(vonage, stranger, base):
    every_action(vonage, base)
    requests.put(f"{base}/simulator/created-calls", json={"lives": True}, timeout=10).raise_for_status()
    call = vonage.voice.create_call(order([Conversation(name="hold")]))
    assert report(base, call)["legs"][0]["status"] == "answered"
    refused(HttpRequestError, vonage.voice.hangup, call.uuid)
    # A new leg accepts no command for two seconds.
    time.sleep(2)
    found = vonage.voice.get_call(call.uuid)
    assert (found.status, found.to.number, found.from_.number) == ("answered", "447700900001", "447451000001")
    calls, following = vonage.voice.list_calls(ListCallsFilter(status="answered"))
    assert ([listed.uuid for listed in calls], following) == ([call.uuid], None)
    calls, following = vonage.voice.list_calls(ListCallsFilter(page_size=1, order="desc"))
    assert ([listed.uuid for listed in calls], following) == ([call.uuid], 1)
    spoken = vonage.voice.play_tts_into_call(call.uuid, TtsStreamOptions(text="One minute is left"))
    assert (spoken.message, spoken.uuid) == ("Talk started", call.uuid)
    assert vonage.voice.stop_tts(call.uuid).message == "Talk stopped"
    vonage.voice.transfer_call_ncco(call.uuid, [Talk(text="Somebody takes over"), Conversation(name="other")])
    assert report(base, call)["phones"]["caller"]["heard"] == ["One minute is left", "Somebody takes over"]
    vonage.voice.mute(call.uuid)
    refused((AuthenticationError, HttpRequestError), stranger.voice.hangup, call.uuid)
    vonage.voice.hangup(call.uuid)
    assert report(base, call)["legs"][0]["status"] == "completed"
    ended = vonage.voice.get_call(call.uuid)
    assert ended.status == "completed" and ended.duration.isdigit() and len(ended.start_time) == 19
    refused(HttpRequestError, vonage.voice.hangup, call.uuid)


def application_settings(vonage, application):
    found = vonage.application.get_application(application)
    assert found.id == application
    webhook = VoiceUrl(address="http://127.0.0.1:9/answer", http_method="POST")
    voice = Voice(webhooks=VoiceWebhooks(answer_url=webhook))
    config = ApplicationConfig(name="Masked calling", capabilities=Capabilities(voice=voice))
    changed = vonage.application.update_application(application, config)
    assert changed.capabilities.voice.webhooks.answer_url.http_method == "POST"
    assert changed.capabilities.voice.webhooks.answer_url.socket_timeout == 5000


def application_of_set_up(vonage, base, key, secret):
    """The application that `maskline setup` makes is what Vonage's models expect."""
    environment = os.environ | {"VONAGE_API_KEY": key, "VONAGE_API_SECRET": secret, "VONAGE_API_URL": base, "VONAGE_REST_URL": base}
    environment.pop("VONAGE_APPLICATION_ID", None)
    with tempfile.TemporaryDirectory() as folder:
        options = ["--name", "Rides", "--region", "eu-west", "--public-url", "https://calls.company.example"]
        command = [MASKLINE, "setup", "--apply", "--json", "--private-key", f"{folder}/key.pem", *options]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        made = json.loads(done.stdout)
    assert made["state"] == "made", made
    found = vonage.application.get_application(made["application"]["id"])
    assert (found.name, found.privacy.improve_ai) == ("Rides", False)
    assert "BEGIN PUBLIC KEY" in found.keys.public_key
    voice, messages = found.capabilities.voice, found.capabilities.messages
    assert (voice.region, voice.signed_callbacks) == ("eu-west", True)
    assert voice.webhooks.fallback_answer_url.address == "https://calls.company.example/webhooks/fallback"
    assert voice.webhooks.event_url.http_method == "POST"
    assert (messages.version, messages.webhooks.status_url.http_method) == ("v1", "POST")
    listed, _ = vonage.application.list_applications()
    assert [one.id for one in listed if one.name == "Rides"] == [found.id]
    vonage.application.delete_application(found.id)


def main(base, key="abcd1234", secret="not-a-real-secret", application="aaaaaaaa-bbbb-cccc-dddd-0123456789ab"):
    vonage = client(base, key, secret)
    numbers(vonage, application)
    insight(vonage)
    messages(vonage)
    # Clients of their own: after a JSON request the library labels all its later forms as JSON too.
    signer = {"application_id": application, "private_key": PRIVATE_KEY.read_text()}
    another = signer | {"application_id": "another"}
    messages_api(client(base, key, secret, **signer), base)
    identity(client(base, key, secret, **signer), client(base, key, secret, **another))
    voice(client(base, key, secret, **signer), client(base, key, secret, **another), base)
    message_webhooks(client(base, key, secret), vonage, base)
    application_settings(client(base, key, secret), application)
    application_of_set_up(client(base, key, secret), base, key, secret)
    vonage.numbers.cancel_number(NumberParams(country="GB", msisdn="447451000001"))
    assert vonage.numbers.list_owned_numbers() == ([], 0, None)
    stranger = client(base, key, "wrong")
    refused(AuthenticationError, stranger.numbers.list_owned_numbers)
    print("Vonage's Python library: all as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
