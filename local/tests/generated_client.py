"""The README's example by the client that openapi-python-client generates from docs/openapi.yaml, against a running stack."""

import json
import os
import sys
import urllib.request

from maskline_client import Client
from maskline_client.api.conversations import create_conversation, end_conversation, get_conversation
from maskline_client.api.numbers import order_numbers
from maskline_client.models import Conversation, NewConversation, NewOrder, NewParticipant, NoNumberFree, NotFoundProblem, Provisioned

client = Client(base_url=os.environ["GATEWAY"], raise_on_unexpected_status=True)


def expect(holds, seen):
    if not holds:
        sys.exit(f"not as it should be: {seen}")


def simulator(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{os.environ['VONAGE']}/simulator/{path}", data) as answer:
        return json.load(answer)


pool = order_numbers.sync(client=client, body=NewOrder(country="GB", count=2))
expect(isinstance(pool, Provisioned) and pool.ready == 2, pool)

people = [NewParticipant(number="+44 7700 900001", label="your rider"),
          NewParticipant(number="+44 7700 900002", label="your driver")]
created = create_conversation.sync(client=client, idempotency_key="ride-42",
                                   body=NewConversation(participants=people, expires_in=3600, reference="ride-42"))
expect(isinstance(created, Conversation) and created.state == "active", created)
again = create_conversation.sync(client=client, idempotency_key="ride-42",
                                 body=NewConversation(participants=people, expires_in=3600, reference="ride-42"))
expect(isinstance(again, Conversation) and again.id == created.id, again)
rider = created.participants[0]
expect(rider.number == "+447700900001" and rider.notification == "sent", rider)

[message] = simulator("messages?to=447700900001")["messages"]
expect(rider.dials in message["text"], message)
simulator("calls", {"from": "447700900001", "to": rider.dials.removeprefix("+"), "talk_seconds": 42})

read = get_conversation.sync(created.id, client=client)
expect(isinstance(read, Conversation) and read.calls[0].duration == 42 and len(read.calls[0].legs) == 2, read)

full = [NewParticipant(number="+44 7700 900001"), NewParticipant(number="+44 7700 900003")]
create_conversation.sync(client=client, body=NewConversation(participants=full, notify=False))
full[1] = NewParticipant(number="+44 7700 900004")
refused = create_conversation.sync_detailed(client=client, body=NewConversation(participants=full, notify=False))
expect(refused.status_code == 409 and isinstance(refused.parsed, NoNumberFree) and refused.parsed.ready == 2, refused)

ended = end_conversation.sync(created.id, client=client)
expect(isinstance(ended, Conversation) and ended.state == "ended", ended)
erased = end_conversation.sync_detailed(created.id, client=client, erase=True)
expect(erased.status_code == 204, erased)
missing = get_conversation.sync(created.id, client=client)
expect(isinstance(missing, NotFoundProblem) and missing.status == 404, missing)
print("the generated client for Python tells the story")
