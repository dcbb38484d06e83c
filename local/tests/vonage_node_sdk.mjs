// Vonage's own library for Node against the simulator.
//
//     npm install @vonage/server-sdk
//     node vonage_node_sdk.mjs http://127.0.0.1:4000 [API_KEY API_SECRET APPLICATION_ID]
//
// The application's key is the laptop's. The simulator must be fresh: no numbers rented, and a balance of at least 10 EUR.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

// The library is installed beside the tools, not beside this file.
const { Vonage } = createRequire(path.join(process.cwd(), "package.json"))("@vonage/server-sdk");

const [base, apiKey = "abcd1234", apiSecret = "not-a-real-secret", applicationId = "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"] =
  process.argv.slice(2);
const privateKey = readFileSync(new URL("../src/account/private_key.pem", import.meta.url), "utf8");
const RIDER = "447700900001";

/** Returns a client of the simulator. */
function client(credentials) {
  return new Vonage({ apiKey, apiSecret, applicationId, privateKey, ...credentials }, { apiHost: base, restHost: base });
}

/** Asks the simulator itself. */
async function simulator(method, name, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${base}/simulator/${name}`, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${method} ${name}: ${answer.status}`);
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

const report = (call) => simulator("GET", `calls/${call.conversationUUID}`);

/** Rents a number, and returns it. */
async function numbers(vonage) {
  const { numbers: offers } = await vonage.numbers.getAvailableNumbers({ country: "GB", size: 1 });
  const [{ msisdn }] = offers;
  await vonage.numbers.buyNumber({ country: "GB", msisdn });
  await vonage.numbers.updateNumber({ country: "GB", msisdn, applicationId });
  const owned = await vonage.numbers.getOwnedNumbers();
  assert.deepEqual(owned.numbers.map((number) => number.msisdn), [msisdn]);
  return msisdn;
}

async function messages(vonage, from) {
  const sent = await vonage.sms.send({ to: RIDER, from, text: "To reach your driver, call this number." });
  assert.equal(sent.messages[0].status, "0");
  const inbox = await simulator("GET", `messages?to=${RIDER}`);
  assert.equal(inbox.messages[0].from, from);
  const message = { to: RIDER, from, text: "Your driver calls.", messageType: "text", channel: "sms", clientRef: "ride-42" };
  const { messageUUID } = await vonage.messages.send(message);
  assert.equal((await simulator("GET", `messages?to=${RIDER}`)).messages[1].message_id, messageUUID);
}

async function voice(vonage, stranger, from) {
  await simulator("PUT", "created-calls", { lives: true });
  const order = {
    to: [{ type: "phone", number: RIDER }],
    from: { type: "phone", number: from },
    ringingTimer: 30,
    lengthTimer: 600,
    ncco: [{ action: "talk", text: "Please wait.", language: "en-GB" }, { action: "conversation", name: "hold" }],
  };
  const call = await vonage.voice.createOutboundCall(order);
  const uuid = call.uuid;
  assert.equal((await report(call)).legs[0].number ?? RIDER, RIDER);
  // A new leg accepts no command for two seconds.
  await assert.rejects(vonage.voice.hangupCall(uuid));
  await sleep(2100);
  const found = await vonage.voice.getCall(uuid);
  assert.equal(found.status, "answered");
  const page = await vonage.voice.getCallsPage({ status: "answered" });
  assert.deepEqual(page._embedded.calls.map((listed) => listed.uuid), [uuid]);
  await vonage.voice.playTTS(uuid, { text: "One minute is left.", language: "en-GB" });
  await vonage.voice.stopTTS(uuid);
  await vonage.voice.streamAudio(uuid, "https://words.example/wait.mp3");
  await vonage.voice.stopStreamAudio(uuid);
  await vonage.voice.transferCallWithNCCO(uuid, [
    { action: "talk", text: "Somebody takes over." },
    { action: "conversation", name: "other" },
  ]);
  await vonage.voice.muteCall(uuid);
  await assert.rejects(stranger.voice.hangupCall(uuid));
  await vonage.voice.hangupCall(uuid);
  const told = await report(call);
  assert.equal(told.legs[0].status, "completed");
  assert.deepEqual(told.phones.caller.heard, ["Please wait.", "One minute is left.", "Somebody takes over."]);
  assert.equal((await vonage.voice.getCall(uuid)).status, "completed");
  await assert.rejects(vonage.voice.hangupCall(uuid));
}

async function application(vonage) {
  const found = await vonage.applications.getApplication(applicationId);
  assert.equal(found.id, applicationId);
  assert.ok(found.capabilities.voice.webhooks);
}

const vonage = client({});
const from = await numbers(vonage);
await messages(vonage, from);
await voice(vonage, client({ applicationId: "00000000-0000-4000-8000-00000000000f" }), from);
await application(vonage);
await assert.rejects(client({ apiSecret: "wrong" }).numbers.getOwnedNumbers());
await vonage.numbers.cancelNumber({ country: "GB", msisdn: from });
console.log("Vonage's Node library: all as expected");
