// The API of Maskline and the simulator's own endpoints, as far as the console uses them.

export interface Participant {
  number: string;
  label?: string;
  masked_by?: string;
  dials?: string;
  notification?: string;
}

export interface Conversation {
  id: string;
  state: string;
  created_at: string;
  expires_at: string;
  ended_at?: string;
  blocked?: "a" | "b" | "both";
  participants: [Participant, Participant];
}

export interface PoolNumber {
  number: string;
  state: string;
  monthly_cost: string | null;
}

export interface Country {
  country: string;
  ready: number;
  draining: number;
  lost: number;
  high_water: number;
  headroom: number;
  monthly_cost: string;
  forecast?: { concurrent: number; needed: number; missing: number };
  order?: { ordered: number; ready: number };
  numbers: PoolNumber[];
}

export interface TextMessage {
  message_id: string;
  from: string;
  to: string;
  text: string;
  received_at: string;
}

/** The reason for which a request was refused, in words. */
export class Refusal extends Error {}

async function send<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const request: RequestInit = { method, headers };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { ...headers, "content-type": "application/json" };
  }
  const response = await fetch(path, request).catch(() => {
    throw new Refusal("The laptop stack does not answer. Is `cargo run` still running?");
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : undefined;
  if (!response.ok) {
    throw new Refusal(answer?.detail ?? answer?.message ?? `The answer was ${response.status}.`);
  }
  return answer as T;
}

const simulator = "/console/simulator";

export const api = {
  create: (request: unknown) => send<Conversation>("POST", "/conversations", request),
  conversation: (id: string) => send<Conversation>("GET", `/conversations/${id}`),
  change: (id: string, change: unknown) => send<Conversation>("PATCH", `/conversations/${id}`, change),
  callBoth: (id: string) =>
    send<unknown>("POST", `/conversations/${id}/calls`, { from: "a" }, { "idempotency-key": crypto.randomUUID() }),
  end: (id: string) => send<unknown>("DELETE", `/conversations/${id}`),
  pool: (concurrent?: number) =>
    send<{ countries: Country[] }>("GET", concurrent ? `/numbers?concurrent=${concurrent}` : "/numbers"),
  order: (country: string, count: number) => send<unknown>("POST", "/numbers", { country, count }),
  explain: (from: string, to: string) =>
    send<{ items?: { quarantined_until?: string }[] }>("GET", `/decisions?${new URLSearchParams({ from, to })}`),

  texts: () => send<{ messages: TextMessage[] }>("GET", `${simulator}/messages`),
  text: (from: string, to: string, text: string) => send<unknown>("POST", `${simulator}/texts`, { from, to, text }),
  call: (request: unknown) => send<import("./live").CallReport>("POST", `${simulator}/calls`, request),
  ofCall: (uuid: string, what: "answer" | "hang-up" | "press", body: unknown) =>
    send<unknown>("POST", `${simulator}/calls/${uuid}/${what}`, body),
  createdCalls: () => send<unknown>("PUT", `${simulator}/created-calls`, { by_hand: true }),
  faults: () => send<{ faults: Record<string, unknown>[] }>("GET", `${simulator}/faults`),
  addFault: (fault: unknown) => send<unknown>("POST", `${simulator}/faults`, fault),
  removeFaults: () => send<unknown>("DELETE", `${simulator}/faults`),
  takeAway: (number: string) => send<unknown>("DELETE", `${simulator}/numbers/${number}`),
};
