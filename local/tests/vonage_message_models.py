"""Vonage's own models of messages against what the functions send by the Messages API.

    pip install vonage
    TEXTS_BY=messages-api WHATSAPP_SENDER=447700900099 RCS_SENDER=Rides cargo run
    GATEWAY=http://127.0.0.1:3000 VONAGE=http://127.0.0.1:4000 python vonage_message_models.py

The stack must be fresh. Each request to /v1/messages has to be valid for its model, and the model has to know each of its fields.
"""

import json
import os
import sys
from enum import Enum

import requests
from pydantic import ValidationError
from vonage_messages.models import (
    MmsContent, MmsContentItemImage, MmsContentItemVcard, MmsImage, MmsVcard, RcsImage, RcsText, Sms, WhatsappImage, WhatsappText,
)

GATEWAY, VONAGE = os.environ["GATEWAY"], os.environ["VONAGE"]
RIDER, DRIVER, STRANGER = "447700900001", "447700900002", "447700900077"
SENDERS = {"whatsapp": "447700900099", "rcs": "Rides"}
AMERICANS = ["12025550101", "12025550102"]

MODELS = {
    ("sms", "text"): Sms,
    ("mms", "image"): MmsImage,
    ("mms", "vcard"): MmsVcard,
    ("mms", "content"): MmsContent,
    ("whatsapp", "text"): WhatsappText,
    ("whatsapp", "image"): WhatsappImage,
    ("rcs", "text"): RcsText,
    ("rcs", "image"): RcsImage,
}


ITEMS = {"image": MmsContentItemImage, "vcard": MmsContentItemVcard}


def post(url, body):
    answer = requests.post(url, json=body, timeout=30)
    assert answer.ok, (url, answer.status_code, answer.text)
    return answer.json()


def plain(value):
    """Returns the JSON of a model's fields."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def fault_of(message):
    """Returns what Vonage's model has against a message, or None."""
    # Vonage's client adds the further messages to the model of the first one.
    further = message.get("failover", [])
    message = {field: value for field, value in message.items() if field != "failover"}
    for one in further:
        if fault := fault_of(one):
            return f"failover: {fault}"
    model = MODELS.get((message.get("channel"), message.get("message_type")))
    if model is None:
        return "there is no model of it"
    # The models take `from` and `type` by names that Python allows.
    arguments = {"from_" if field == "from" else field: value for field, value in message.items()}
    if "content" in message:
        rename = lambda item: {"type_" if field == "type" else field: value for field, value in item.items()}
        arguments["content"] = [ITEMS[item["type"]](**rename(item)) for item in message["content"]]
    try:
        read = model(**arguments)
    except ValidationError as error:
        return str(error)
    # A model ignores fields that it does not know. What it gives back then lacks them.
    back = plain(read.model_dump(by_alias=True, exclude_none=True, exclude_unset=True))
    return None if back == message else f"the model makes {json.dumps(back)} of it"


def main():
    post(f"{GATEWAY}/numbers", {"country": "GB", "count": 2})
    people = [{"number": f"+{phone}"} for phone in (RIDER, DRIVER)]
    conversation = post(f"{GATEWAY}/conversations", {"participants": people})
    dials = conversation["participants"][0]["dials"]
    for sender, words in (RIDER, "At the station €"), (RIDER, "word " * 300), (STRANGER, "hello"), (RIDER, "HELP"):
        post(f"{VONAGE}/simulator/texts", {"from": sender, "to": dials, "text": words})
    headers = {"Idempotency-Key": "models"}
    order = {"to": "a", "text": "Your car is here. 🚕"}
    url = f"{GATEWAY}/conversations/{conversation['id']}/texts"
    assert requests.post(url, json=order, headers=headers, timeout=30).status_code == 201

    post(f"{GATEWAY}/numbers", {"country": "US", "count": 2, "features": ["VOICE", "SMS", "MMS"]})
    people = [{"number": f"+{phone}"} for phone in AMERICANS]
    conversation = post(f"{GATEWAY}/conversations", {"participants": people, "notify": False})
    dials = conversation["participants"][0]["dials"]
    for words, types in ("The red one.", ["image"]), ("", ["vcard"]), ("Both", ["image", "vcard"]):
        files = [{"type": one} for one in types]
        post(f"{VONAGE}/simulator/texts", {"from": AMERICANS[0], "to": dials, "text": words, "files": files})

    # Both write on a channel, and so get there what the other one writes: the words, and a picture with words.
    for channel, sender in SENDERS.items():
        for writer in (RIDER, DRIVER):
            post(f"{VONAGE}/simulator/texts", {"from": writer, "to": sender, "channel": channel, "text": "Hello"})
        files = [{"type": "image"}]
        chat = {"from": RIDER, "to": sender, "channel": channel, "text": "The red one.", "files": files}
        post(f"{VONAGE}/simulator/texts", chat)

    log = requests.get(f"{VONAGE}/simulator/requests?path=/v1/messages", timeout=30).json()["requests"]
    messages = [request["parameters"] for request in log]
    # Two invitations, a text, one in two messages, an explanation, the answer to HELP and HELP itself, and that of the backend;
    # then three MMS. On each channel two texts, and the words and the picture; the first text on WhatsApp is to a phone that has
    # written nothing there yet, so it is an SMS.
    assert len(messages) == 20, json.dumps(messages, indent=1)
    assert {(message["channel"], message["message_type"]) for message in messages} == set(MODELS)
    faults = [(fault, message) for message in messages if (fault := fault_of(message))]
    for fault, message in faults:
        print(f"{fault}\n  {json.dumps(message)}", file=sys.stderr)
    sys.exit(1 if faults else 0)


main()
