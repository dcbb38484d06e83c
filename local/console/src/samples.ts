// What a backend would send to create a conversation.

import type { Phone } from "./phones";

export interface Order {
  first: Phone;
  second: Phone;
  expires_in: number;
  direction: string;
}

/** The body of `POST /conversations`. */
export function backendRequest({ first, second, expires_in, direction }: Order) {
  const participant = (phone: Phone) => ({ number: `+${phone.number}`, label: `your ${phone.name.toLowerCase()}` });
  return {
    participants: [participant(first), participant(second)],
    expires_in,
    ...(direction !== "both" && { direction }),
  };
}

export function samples(order: Order, gateway: string): { name: string; code: string }[] {
  const request = backendRequest(order);
  const lines = JSON.stringify(request, null, 2);
  return [
    { name: "curl", code: `curl "${gateway}/conversations" -d '${lines}'` },
    {
      name: "JavaScript",
      code: `const response = await fetch("${gateway}/conversations", {
  method: "POST",
  headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
  body: JSON.stringify(${lines.replaceAll("\n", "\n  ")}),
});
const conversation = await response.json();
console.log(conversation.participants[0].dials);`,
    },
    {
      name: "Python",
      code: `import json, urllib.request, uuid

request = urllib.request.Request(
    "${gateway}/conversations",
    json.dumps(${lines.replaceAll("\n", "\n    ")}).encode(),
    {"content-type": "application/json", "idempotency-key": str(uuid.uuid4())},
)
conversation = json.load(urllib.request.urlopen(request))
print(conversation["participants"][0]["dials"])`,
    },
  ];
}
