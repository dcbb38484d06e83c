// `GET|POST /webhooks/answer` and `/webhooks/fallback` on API Gateway's payload format 2.0: what an inbound call is
// answered.

import * as log from "./log.mjs";
import * as ncco from "./ncco.mjs";
import { NOT_SIGNED, refusal } from "./signature.mjs";
import { connect, holderOf, isLive } from "./table.mjs";

const MAX_WEBHOOK_BYTES = 64 * 1024;

/** What is done before the first event is asked for. */
export const start = connect;

/** The answer to an event of API Gateway, whatever happens. */
export async function handle(event, requestId) {
  const started = performance.now();
  const line = { method: event.requestContext.http.method, route: event.routeKey, request_id: requestId };
  let answer;
  try {
    answer = await answerTo(event, line);
  } catch (error) {
    const problem = error instanceof Problem ? error : unavailable(error);
    answer = problem.answer();
    line.outcome = problem.kind;
    line.cause = problem.chain();
  }
  line.status = answer.statusCode;
  line.duration_ms = performance.now() - started;
  log.write(line);
  return answer;
}

async function answerTo(event, line) {
  const now = Date.now() / 1000;
  const body = event.requestContext.http.method === "GET" ? undefined : bodyOf(event);
  const refused = refusal(event.headers?.authorization, body, now);
  if (refused !== undefined) throw notSigned(refused);
  const { from, to, conversationUuid } = decode(event, body);
  line["call.conversation_uuid"] = log.identifier(conversationUuid, [from, to]);
  if (event.rawPath.endsWith("/webhooks/fallback")) {
    line.outcome = "asked to call again";
    return json(200, ncco.tryAgain);
  }
  const [caller, dialled] = [number(from), number(to)];
  if (caller === undefined || dialled === undefined) {
    line.outcome = "no caller id";
    return json(200, ncco.nobody);
  }
  const holder = await holderOf(caller, dialled, now);
  if (holder !== undefined && isLive(holder, now)) {
    line["conversation.id"] = holder.conversation;
    line.outcome = "routed";
    return json(200, ncco.connecting(holder));
  }
  if (holder !== undefined && now < holder.quarantinedUntil) {
    line["conversation.id"] = holder.conversation;
    line.outcome = "ended";
    return json(200, ncco.ended);
  }
  line.outcome = "unknown caller";
  return json(200, ncco.nobody);
}

function bodyOf({ body = "", isBase64Encoded }) {
  const bytes = Buffer.from(body, isBase64Encoded ? "base64" : "utf8");
  if (bytes.length > MAX_WEBHOOK_BYTES) {
    const detail = `A body may have at most ${MAX_WEBHOOK_BYTES} bytes.`;
    throw new Problem(413, "body-too-large", "Body too large", detail);
  }
  return bytes;
}

/** Caller, dialled number and Vonage's id of the call: in the body of a POST, or in the query of a GET. */
function decode(event, body) {
  if (body === undefined) {
    const query = new URLSearchParams(event.rawQueryString);
    const field = (name) => query.get(name) ?? undefined;
    return { from: field("from"), to: field("to"), conversationUuid: field("conversation_uuid") };
  }
  const call = objectIn(body);
  return { from: text(call.from), to: text(call.to), conversationUuid: text(call.conversation_uuid) };
}

function objectIn(body) {
  let value;
  try {
    value = JSON.parse(body.toString());
  } catch {
    // Told below, with everything else that is no object.
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Problem(400, "malformed-request", "Malformed request", "The body is not a JSON object.");
  }
  return value;
}

/** A field whose value may be text, a number, null or something else. */
function text(value) {
  if (typeof value === "string") return value;
  return typeof value === "number" ? String(value) : undefined;
}

/** A phone number as Vonage writes it, but for blanks around it. */
function number(text) {
  const trimmed = text?.trim();
  return /^[1-9]\d{6,14}$/.test(trimmed ?? "") ? trimmed : undefined;
}

/** Why a request failed: an RFC 9457 problem, with the cause for the log. */
class Problem extends Error {
  constructor(status, kind, title, detail, options) {
    super(title, options);
    Object.assign(this, { status, kind, title, detail });
  }

  answer() {
    const { status, kind, title, detail, retryAfter } = this;
    const answer = json(status, { type: `urn:maskline:problem:${kind}`, title, status, detail }, "application/problem+json");
    if (retryAfter !== undefined) answer.headers["retry-after"] = String(retryAfter);
    return answer;
  }

  chain() {
    return [`${this.kind}: ${this.title}`, this.cause].filter(Boolean).join(": ");
  }
}

function notSigned(cause) {
  if (cause === NOT_SIGNED) {
    return new Problem(503, "not-signed", "Webhook not signed", "Send the webhook again, with a signature.", { cause });
  }
  const title = "Webhook signature not valid";
  return new Problem(401, "not-signed", title, "A webhook needs a valid signature of Vonage.", { cause });
}

/** Of the failure its name only: DynamoDB's messages can quote keys, which hold phone numbers. */
function unavailable({ name }) {
  const title = "Table unavailable";
  const problem = new Problem(503, "store-unavailable", title, "Try again shortly.", { cause: `DynamoDB: ${name}` });
  problem.retryAfter = 1;
  return problem;
}

function json(statusCode, body, contentType = "application/json") {
  return { statusCode, headers: { "content-type": contentType }, body: JSON.stringify(body) };
}
