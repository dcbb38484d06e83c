// Sequence diagrams from the trace: one for each call, each text of a phone, and each request of a backend that changes something.

import { digits, phone as written } from "./format";
import type { CallReport, Message } from "./live";

export type Lane = "client" | "caller" | "callee" | "vonage" | "gateway" | "function" | "table";

/** An arrow of a diagram. */
export interface Step {
  key: string;
  /** Microseconds since 1970. */
  at: number;
  from: Lane;
  to: Lane;
  label: string;
  /** True for an answer. */
  back?: boolean;
  failed?: boolean;
  microseconds?: number;
  /** What there is to see, in order. */
  parts?: [string, unknown][];
}

export interface Diagram {
  id: string;
  /** A call, a text of a phone, or a request with its method and path. */
  kind: "call" | "text" | "request";
  title: string;
  /** Numbers of the phones. */
  caller?: string | null;
  callee?: string | null;
  /** Microseconds since 1970. */
  at: number;
  steps: Step[];
}

type Fields = Record<string, unknown>;

/** The parameters of a webhook, from its body or its query. */
function parameters(message: Message): Fields {
  const body = message.detail.http?.body;
  if (body && typeof body === "object") return body as Fields;
  const query = message.detail.path?.split("?")[1];
  return query ? Object.fromEntries(new URLSearchParams(query)) : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function actions(answer: unknown): Fields[] {
  const body = (answer as Fields | null)?.["body"];
  return Array.isArray(body) ? (body as Fields[]) : [];
}

/** A gateway's request with all that its function asked meanwhile. */
function exchange(message: Message, inner: Message[]): Step[] {
  const from: Lane = message.from === "vonage" ? "vonage" : "client";
  const { detail, status } = message;
  const fields = parameters(message);
  const about = text(fields["status"]) || (fields["dtmf"] ? "input" : "");
  const failed = status >= 400;
  const function_ = detail.function ?? "function";
  const steps: Step[] = [
    {
      key: `${message.position} request`,
      at: message.at,
      from,
      to: "gateway",
      label: about ? `${message.name} · ${about}` : message.name,
      parts: [
        ["HTTP request", { path: detail.path, ...detail.http }],
      ],
    },
    {
      key: `${message.position} invoke`,
      at: message.at + 1,
      from: "gateway",
      to: "function",
      label: function_,
      parts: [["API Gateway event", detail.event]],
    },
  ];
  for (const request of inner) {
    const to: Lane = request.to === "table" ? "table" : "vonage";
    steps.push({
      key: `${request.position}`,
      at: request.at,
      from: "function",
      to,
      label: request.name,
      failed: request.status >= 400,
      microseconds: request.microseconds,
      parts: [
        [to === "table" ? "DynamoDB request" : "HTTP request", request.detail.body],
        [`Answer ${request.status}`, request.answer],
      ],
    });
    const fields = (request.detail.body ?? {}) as Fields;
    if (to === "vonage" && (request.name.endsWith("/sms/json") || request.name.endsWith("/v1/messages"))) {
      steps.push({
        key: `${request.position} text`,
        at: request.at + request.microseconds,
        from: "vonage",
        to: "callee",
        label: `texts ${written(text(fields["to"]))}`,
        parts: [["Text message", text(fields["text"])]],
      });
    }
  }
  const ncco = actions(message.answer);
  const names = ncco.map((action) => text(action["action"])).join(", ");
  steps.push({
    key: `${message.position} answer`,
    at: message.at + message.microseconds,
    from: "function",
    to: from,
    back: true,
    failed,
    label: names ? `${status} · NCCO: ${names}` : String(status),
    microseconds: message.microseconds,
    parts: [[names ? "NCCO" : "Response", names ? ncco : message.answer]],
  });
  return steps;
}

/** What happens on the phones around a webhook: Vonage tells it afterwards. */
function onPhones(message: Message, caller: string | null | undefined): { before: Step[]; after: Step[] } {
  const fields = parameters(message);
  const status = text(fields["status"]);
  const outbound = text(fields["direction"]) === "outbound";
  const whose = (number: unknown): Lane => (caller && digits(text(number)) === digits(caller) ? "caller" : "callee");
  const step = (from: Lane, to: Lane, label: string): Step => ({ key: `${message.position} ${label}`, at: message.at - 1, from, to, label });
  const phone: Lane = outbound ? whose(fields["to"]) : "caller";
  const before: Step[] = [];
  const after: Step[] = [];
  const later = (label: string): Step => ({
    key: `${message.position} ${label}`,
    at: message.at + message.microseconds + 1,
    from: "vonage",
    to: phone,
    label,
  });
  if (fields["dtmf"]) {
    const keys = text((fields["dtmf"] as Fields)["digits"]);
    const lane = whose(fields["to"]) === "caller" ? "caller" : whose(fields["from"]);
    before.push(step(lane, "vonage", keys ? `presses ${keys}` : "presses nothing"));
  } else if (outbound && status === "ringing") {
    before.push(step("vonage", phone, `rings, shows ${written(text(fields["from"]))}`));
  } else if (outbound && status === "answered") {
    before.push(step(phone, "vonage", "answers"));
  } else if (outbound && ["busy", "rejected"].includes(status)) {
    before.push(step(phone, "vonage", status === "busy" ? "is busy" : "declines"));
  } else if (status === "completed") {
    const hungUp = text(fields["disconnected_by"]) === "user";
    before.push(hungUp ? step(phone, "vonage", "hangs up") : step("vonage", phone, "ends the call"));
  }
  for (const action of actions(message.answer)) {
    if (action["action"] === "talk") after.push(later(`says “${text(action["text"])}”`));
  }
  return { before, after };
}

/** The requests of functions, each with the invocation that it belongs to: the last one that had begun. */
function nest(messages: readonly Message[]): Map<Message, Message[]> {
  const invocations = messages.filter((message) => message.to === "gateway");
  const nested = new Map<Message, Message[]>(invocations.map((message) => [message, []]));
  for (const message of messages) {
    if (message.to === "gateway") continue;
    const owner = invocations.findLast(
      (invocation) =>
        invocation.at <= message.at &&
        message.at <= invocation.at + invocation.microseconds &&
        (!message.detail.function || message.detail.function === invocation.detail.function),
    );
    if (owner) nested.get(owner)!.push(message);
  }
  return nested;
}

/** A text from a phone, with what becomes of it. */
function textOf(message: Message, fields: Fields, steps: Step[]): Diagram {
  const from = text(fields["from"]) || text(fields["msisdn"]);
  const sends: Step = {
    key: `${message.position} sends`,
    at: message.at - 2,
    from: "caller",
    to: "vonage",
    label: `texts ${written(text(fields["to"]))}`,
    parts: [["Text message", text(fields["text"])]],
  };
  return { id: `text ${message.position}`, kind: "text", title: "Text", caller: from, at: message.at, steps: [sends, ...steps] };
}

/** Draws all diagrams, newest first. */
export function draw(messages: readonly Message[], calls: ReadonlyMap<string, CallReport>): Diagram[] {
  const ordered = [...messages].sort((one, other) => one.at - other.at);
  const nested = nest(ordered);
  const diagrams = new Map<string, Diagram>();
  for (const message of ordered) {
    if (message.to !== "gateway") continue;
    const fields = parameters(message);
    const uuid = text(fields["conversation_uuid"]);
    const steps = exchange(message, nested.get(message) ?? []);
    if (message.from === "client" && !message.name.startsWith("GET ")) {
      const id = `request ${message.position}`;
      diagrams.set(id, { id, kind: "request", title: message.name, at: message.at, steps });
      continue;
    }
    if (message.name.endsWith(" /webhooks/message")) {
      const diagram = textOf(message, fields, steps);
      diagrams.set(diagram.id, diagram);
    }
    if (!uuid) continue;
    const report = calls.get(uuid);
    let diagram = diagrams.get(uuid);
    if (!diagram) {
      const caller = report?.placed_to?.number ?? report?.phones.caller.number ?? (text(fields["from"]) || null);
      diagram = { id: uuid, kind: "call", title: "Call", caller, callee: null, at: message.at, steps: [] };
      if (!report?.placed_to) {
        const dialled = report?.phones.caller.dialled ?? text(fields["to"]);
        diagram.steps.push({ key: `${uuid} dials`, at: message.at - 2, from: "caller", to: "vonage", label: `dials ${written(dialled)}` });
      }
      diagrams.set(uuid, diagram);
    }
    diagram.callee = report?.callees.at(-1)?.number ?? diagram.callee ?? null;
    const { before, after } = onPhones(message, diagram.caller);
    diagram.steps.push(...before, ...steps, ...after);
  }
  const newestFirst = [...diagrams.values()].sort((one, other) => other.at - one.at);
  for (const diagram of newestFirst) diagram.steps.sort((one, other) => one.at - other.at);
  return newestFirst;
}
