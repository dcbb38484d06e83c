// The README's example by the client for TypeScript whose types openapi-typescript generates from docs/openapi.yaml, against a
// running stack.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

const { GATEWAY, VONAGE } = process.env;
const client = createClient<paths>({ baseUrl: GATEWAY! });

async function simulator(path: string, body?: object): Promise<any> {
  const request = body ? { method: "POST", body: JSON.stringify(body) } : {};
  return (await fetch(`${VONAGE}/simulator/${path}`, request)).json();
}

const { data: pool } = await client.POST("/numbers", { body: { country: "GB", count: 2 } });
assert.equal(pool?.ready, 2);

const body: components["schemas"]["NewConversation"] = {
  participants: [
    { number: "+44 7700 900001", label: "your rider" },
    { number: "+44 7700 900002", label: "your driver" },
  ],
  expires_in: 3600,
  reference: "ride-42",
};
const params = { header: { "Idempotency-Key": "ride-42" } };
const { data: created, response } = await client.POST("/conversations", { params, body });
// With `dry_run` the answer would be a plan, which has no id.
assert(created && "id" in created && response.status === 201);
const again = await client.POST("/conversations", { params, body });
assert(again.data && "id" in again.data && again.response.status === 200);
assert.equal(again.data.id, created.id);
const rider = created.participants[0]!;
assert.equal(rider.number, "+447700900001");

const { messages } = await simulator("messages?to=447700900001");
assert(messages[0].text.includes(rider.dials));
await simulator("calls", { from: "447700900001", to: rider.dials!.slice(1), talk_seconds: 42 });

const path = { path: { id: created.id } };
const { data: read } = await client.GET("/conversations/{id}", { params: path });
assert.equal(read?.calls?.[0]?.duration, 42);

const { error } = await client.PATCH("/conversations/{id}", { params: path, body: { expires_in: 1 } });
assert.equal(error && "field" in error ? error.field : undefined, "expires_in");

const ended = await client.DELETE("/conversations/{id}", { params: path });
assert.equal(ended.data?.state, "ended");
const erased = await client.DELETE("/conversations/{id}", { params: { ...path, query: { erase: true } } });
assert.equal(erased.response.status, 204);
assert.equal((await client.GET("/conversations/{id}", { params: path })).response.status, 404);
console.log("the generated client for TypeScript tells the story");
