"""Vonage's own Python library against the simulator.

    pip install vonage
    python vonage_python_sdk.py http://127.0.0.1:4000 [API_KEY API_SECRET APPLICATION_ID]

The application's key is the laptop's.

The simulator must be fresh: no numbers rented, and a balance of at least 10 EUR.
"""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from vonage import Auth, HttpClientOptions, Vonage
from vonage_application import ApplicationConfig, Capabilities, Voice, VoiceUrl, VoiceWebhooks
from vonage_http_client.errors import AuthenticationError, HttpRequestError
from vonage_identity_insights.errors import IdentityInsightsError
from vonage_identity_insights.requests import EmptyInsight, IdentityInsightsRequest, InsightsRequest
from vonage_number_insight import BasicInsightRequest
from vonage_number_insight.errors import NumberInsightError
from vonage_numbers import (
    ListOwnedNumbersFilter,
    NumberParams,
    SearchAvailableNumbersFilter,
    UpdateNumberParams,
)
from vonage_sms import SmsMessage
from vonage_sms.errors import SmsError


PRIVATE_KEY = Path(__file__).parents[1] / "src/account/private_key.pem"


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


def application_settings(vonage, application):
    found = vonage.application.get_application(application)
    assert found.id == application
    webhook = VoiceUrl(address="http://127.0.0.1:9/answer", http_method="POST")
    voice = Voice(webhooks=VoiceWebhooks(answer_url=webhook))
    config = ApplicationConfig(name="Masked calling", capabilities=Capabilities(voice=voice))
    changed = vonage.application.update_application(application, config)
    assert changed.capabilities.voice.webhooks.answer_url.http_method == "POST"
    assert changed.capabilities.voice.webhooks.answer_url.socket_timeout == 5000


def main(base, key="abcd1234", secret="not-a-real-secret", application="aaaaaaaa-bbbb-cccc-dddd-0123456789ab"):
    vonage = client(base, key, secret)
    numbers(vonage, application)
    insight(vonage)
    messages(vonage)
    # Clients of their own: after a JSON request the library labels all its later forms as JSON too.
    signer = {"application_id": application, "private_key": PRIVATE_KEY.read_text()}
    another = signer | {"application_id": "another"}
    identity(client(base, key, secret, **signer), client(base, key, secret, **another))
    application_settings(client(base, key, secret), application)
    vonage.numbers.cancel_number(NumberParams(country="GB", msisdn="447451000001"))
    assert vonage.numbers.list_owned_numbers() == ([], 0, None)
    stranger = client(base, key, "wrong")
    refused(AuthenticationError, stranger.numbers.list_owned_numbers)
    print("Vonage's Python library: all as expected")


if __name__ == "__main__":
    main(*sys.argv[1:])
