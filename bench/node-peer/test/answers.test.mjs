// The Node function against the laptop stack: whatever a call is, it is answered as the Rust function answers it.
//
// Needs `npm run build`, and the stack as `cargo build` leaves it (or wherever MASKLINE says).

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, createHmac, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const file = (path) => fileURLToPath(new URL(path, import.meta.url));
const MASKLINE = process.env.MASKLINE ?? file("../../../target/debug/maskline");
const [RIDER, DRIVER] = ["447700900001", "447700900002"];
// The laptop's Vonage account, as `local::stack::account` has it.
const ACCOUNT = {
  VONAGE_API_KEY: "1a2b3c4d",
  VONAGE_APPLICATION_ID: "00000000-0000-4000-8000-000000000001",
  VONAGE_SIGNATURE_SECRET: "laptop-signature-secret",
  VONAGE_SIGNATURE_SECRET_2: "the-next-secret",
};

let laptop, table, peer, conversation;

before(async () => {
  laptop = await startLaptop();
  await laptop.post("/numbers", { country: "GB", count: 2 });
  conversation = await laptop.post("/conversations", { participants: [{ number: `+${RIDER}` }, { number: `+${DRIVER}` }] });
  table = await startCountingProxy(laptop.dynamodb);
  peer = await startPeer(table.url);
});

after(() => {
  for (const started of [peer, table, laptop]) started?.stop();
});

test("both participants are connected, by POST and by GET, in text and in base64", async () => {
  for (const [from, { dials }] of [RIDER, DRIVER].map((number, side) => [number, conversation.participants[side]])) {
    for (const event of [post({ from, to: dials }), get({ from, to: dials }), base64(post({ from, to: dials }))]) {
      const answer = await sameAnswer(signed(event));
      assert.equal(answer.body[1].endpoint[0].number, from === RIDER ? DRIVER : RIDER);
    }
  }
});

test("who leads nowhere is told so", async () => {
  const dials = conversation.participants[0].dials;
  for (const call of [
    { from: "447700900003", to: dials },
    { from: RIDER, to: "447451999999" },
    { from: "anonymous", to: dials },
    { from: ` ${RIDER} `, to: dials },
    { from: Number(RIDER), to: Number(dials) },
    { from: null, to: { number: dials } },
    {},
  ]) {
    assert.equal((await sameAnswer(signed(post(call)))).status, 200);
  }
});

test("the fallback asks to call again and reads nothing", async () => {
  table.reads.length = 0;
  const answer = await sameAnswer(signed(post({ from: RIDER, to: DRIVER }, "/webhooks/fallback")));
  assert.equal(answer.body.length, 1);
  assert.deepEqual(table.reads, []);
});

test("what Vonage has not signed is refused", async () => {
  const event = post({ from: RIDER, to: conversation.participants[0].dials });
  const query = get({ from: RIDER, to: conversation.participants[0].dials });
  for (const unsigned of [event, withHeader(event, ""), withHeader(event, "Bearer")]) {
    const answer = await sameAnswer(unsigned);
    assert.deepEqual([answer.status, answer.type], [503, "application/problem+json"]);
  }
  for (const refused of [
    signed(event, {}, "another secret"),
    signed(event, { payload_hash: undefined }),
    signed(event, { payload_hash: sha256("another body") }),
    signed(event, { iat: now() - 301 }),
    signed(event, { iat: now() + 400 }),
    signed(event, { iat: "now" }),
    signed(event, { iss: "Nexmo" }),
    signed(event, { api_key: "1a2b3c4e" }),
    signed(event, { application_id: undefined }),
    signed(query, { payload_hash: sha256("the body of a POST") }),
    signed(event, {}, undefined, { alg: "none" }),
    signed(event, {}, undefined, { alg: "HS512" }),
    withHeader(event, "Bearer a.b"),
    withHeader(event, "Bearer a.b.c"),
    withHeader(event, "Basic eA=="),
  ]) {
    const answer = await sameAnswer(refused);
    assert.deepEqual([answer.status, answer.type], [401, "application/problem+json"]);
  }
});

test("what is signed and is no object, or is too large, is refused", async () => {
  for (const body of ["[]", "null", "7", "", "{"]) {
    assert.equal((await sameAnswer(signed({ ...post({}), body }))).status, 400);
  }
  const large = signed({ ...post({}), body: JSON.stringify({ from: "1".repeat(65536) }) });
  assert.equal((await sameAnswer(large)).status, 413);
});

test("the second secret signs as well", async () => {
  const event = post({ from: RIDER, to: conversation.participants[0].dials });
  const answer = await peer.answer(signed(event, {}, ACCOUNT.VONAGE_SIGNATURE_SECRET_2));
  assert.deepEqual([answer.status, answer.body.length], [200, 2]);
});

test("a live route is read once, eventually consistent; that there is none is read consistently", async () => {
  table.reads.length = 0;
  await peer.answer(signed(post({ from: RIDER, to: conversation.participants[0].dials })));
  assert.deepEqual(table.reads, [false]);
  await peer.answer(signed(post({ from: "447700900003", to: conversation.participants[0].dials })));
  assert.deepEqual(table.reads, [false, false, true]);
});

test("a request leaves one line, with its metrics and no real number", async () => {
  peer.lines.length = 0;
  const call = { from: RIDER, to: conversation.participants[0].dials, conversation_uuid: "CON-c39bc0bb" };
  await peer.answer(signed(post(call)));
  await peer.answer(signed(post({ ...call, conversation_uuid: `CON-${RIDER}` })));
  await peer.answer(post(call));
  assert.deepEqual(peer.lines.map((line) => line.outcome), ["routed", "routed", "not-signed"]);
  assert.deepEqual(peer.lines.map((line) => line["call.conversation_uuid"]), ["CON-c39bc0bb", undefined, undefined]);
  assert.equal(peer.lines[0]["conversation.id"], conversation.id);
  assert.deepEqual(
    peer.lines[0]._aws.CloudWatchMetrics.map(({ Metrics: [{ Name }] }) => Name),
    ["duration_ms", "calls_routed"],
  );
  assert.ok(!JSON.stringify(peer.lines).includes(RIDER));
});

test("a table that does not answer is 503, and the next call is answered", async () => {
  const event = signed(post({ from: RIDER, to: conversation.participants[0].dials }));
  table.refuses = true;
  const answer = await peer.answer(event);
  table.refuses = false;
  assert.deepEqual([answer.status, answer.body.type], [503, "urn:maskline:problem:store-unavailable"]);
  assert.equal((await sameAnswer(event)).status, 200);
});

test("an ended conversation connects nobody, also when it was erased", async () => {
  const event = post({ from: RIDER, to: conversation.participants[0].dials });
  for (const how of ["", "?erase=true"]) {
    await laptop.delete(`/conversations/${conversation.id}${how}`);
    const answer = await sameAnswer(signed(event));
    assert.match(answer.body[0].text, /has ended/);
  }
});

/** What peer and laptop both answer to `event`. */
async function sameAnswer(event) {
  const [ours, its] = await Promise.all([laptop.answer(event), peer.answer(event)]);
  assert.deepEqual(its, ours);
  return its;
}

function post(call, path = "/webhooks/answer") {
  const event = JSON.parse(readFileSync(file("../../../events/answer-webhook-rider-calls.json")));
  delete event.headers.authorization;
  return { ...event, rawPath: path, body: JSON.stringify(call) };
}

function get(call) {
  const event = JSON.parse(readFileSync(file("../../../events/answer-webhook-rider-calls-get.json")));
  delete event.headers.authorization;
  return { ...event, rawQueryString: String(new URLSearchParams(call)) };
}

function base64(event) {
  return { ...event, body: Buffer.from(event.body).toString("base64"), isBase64Encoded: true };
}

function withHeader(event, authorization) {
  return { ...event, headers: { ...event.headers, authorization } };
}

/** `event` with Vonage's signature, made with other claims, another secret or another header. */
function signed(event, claims = {}, secret = ACCOUNT.VONAGE_SIGNATURE_SECRET, header = { alg: "HS256" }) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const all = {
    iat: now(),
    jti: randomUUID(),
    iss: "Vonage",
    api_key: ACCOUNT.VONAGE_API_KEY,
    application_id: ACCOUNT.VONAGE_APPLICATION_ID,
    payload_hash: event.body === undefined ? undefined : sha256(bodyOf(event)),
    ...claims,
  };
  const message = `${encode({ typ: "JWT", ...header })}.${encode(all)}`;
  return withHeader(event, `Bearer ${message}.${createHmac("sha256", secret).update(message).digest("base64url")}`);
}

function bodyOf({ body, isBase64Encoded }) {
  return body === undefined ? undefined : Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
}

function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

function now() {
  return Math.floor(Date.now() / 1000);
}

async function startLaptop() {
  const free = ["--port", "0", "--dynamodb-port", "0", "--vonage-port", "0"];
  const stack = spawn(MASKLINE, free, { stdio: ["ignore", "pipe", "ignore"] });
  const urls = {};
  for await (const line of createInterface({ input: stack.stdout })) {
    const [, name, url] = /^(Maskline|DynamoDB) +(http\S+)/.exec(line) ?? [];
    if (name) urls[name] = url;
    if (line.startsWith("Try next")) break;
  }
  const send = async (method, path, body) => {
    const response = await fetch(urls.Maskline + path, { method, body: body && JSON.stringify(body) });
    assert.ok(response.ok, `${method} ${path}: ${response.status}`);
    return response.status === 204 ? undefined : response.json();
  };
  return {
    dynamodb: urls.DynamoDB,
    post: (path, body) => send("POST", path, body),
    delete: (path) => send("DELETE", path),
    async answer(event) {
      const { rawPath, rawQueryString, headers, requestContext } = event;
      const own = { "content-type": headers["content-type"], authorization: headers.authorization };
      const response = await fetch(`${urls.Maskline}${rawPath}?${rawQueryString}`, {
        method: requestContext.http.method,
        headers: Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
        body: bodyOf(event),
      });
      const type = response.headers.get("content-type");
      return { status: response.status, type, retryAfter: response.headers.get("retry-after"), body: await response.json() };
    },
    stop: () => stack.kill(),
  };
}

/** A way to the table that notes of each read whether it is consistent, and can refuse. */
async function startCountingProxy(dynamodb) {
  const proxy = { reads: [], refuses: false };
  const server = http.createServer(async (request, response) => {
    const chunks = await request.toArray();
    if (proxy.refuses) return request.socket.destroy();
    if (request.headers["x-amz-target"]?.endsWith(".GetItem")) {
      proxy.reads.push(JSON.parse(Buffer.concat(chunks)).ConsistentRead === true);
    }
    const { method, url: path, headers } = request;
    const onwards = http.request(dynamodb, { method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    onwards.end(Buffer.concat(chunks));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(proxy, { url: `http://127.0.0.1:${server.address().port}`, stop: () => close(server) });
}

/** The function as Lambda runs it: started once, then given one event after the other. */
async function startPeer(dynamodb) {
  const waiting = { next: undefined, answered: undefined };
  const whenAsked = [];
  const api = http.createServer(async (request, response) => {
    if (request.method === "GET") {
      waiting.next = response;
      whenAsked.shift()?.();
      return;
    }
    const answer = JSON.parse(Buffer.concat(await request.toArray()));
    response.writeHead(202).end();
    waiting.answered(answer);
  });
  api.listen(0, "127.0.0.1");
  await once(api, "listening");
  const env = {
    PATH: process.env.PATH,
    AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${api.address().port}`,
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "laptop",
    AWS_SECRET_ACCESS_KEY: "laptop",
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb,
    TABLE_NAME: "maskline",
    // A busy machine is no failure.
    DYNAMODB_TIME_LIMIT_MS: "60000",
    ...ACCOUNT,
  };
  const node = spawn(process.execPath, [file("../dist/bootstrap.cjs")], { env, stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  const log = createInterface({ input: node.stdout });
  const asked = () => (waiting.next ? Promise.resolve() : new Promise((resolve) => whenAsked.push(resolve)));
  await asked();
  return {
    lines,
    async answer(event) {
      await asked();
      const answered = new Promise((resolve) => (waiting.answered = resolve));
      const logged = once(log, "line");
      const response = waiting.next;
      waiting.next = undefined;
      response.writeHead(200, { "lambda-runtime-aws-request-id": randomUUID() }).end(JSON.stringify(event));
      const { statusCode: status, headers, body } = await answered;
      lines.push(JSON.parse((await logged)[0]));
      return { status, type: headers["content-type"], retryAfter: headers["retry-after"] ?? null, body: JSON.parse(body) };
    },
    stop() {
      node.kill();
      close(api);
    },
  };
}

function close(server) {
  server.closeAllConnections();
  server.close();
}
