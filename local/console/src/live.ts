// What the laptop stack does, live: its trace, its events, and what the API says after each of them.

import { batch, signal } from "@preact/signals";
import { api, type Conversation, type Country, type TextMessage } from "./api";
import { digits } from "./format";

export interface Leg {
  uuid: string;
  direction: "inbound" | "outbound";
  from: string | null;
  to: string;
  status: string;
  statuses: { status: string; timestamp: string }[];
}

export interface Callee {
  number: string;
  display: string;
  rang: boolean;
  answered: boolean;
  joined: boolean;
  leg: string;
  heard: string[];
}

/** A call, as the simulator reports it. */
export interface CallReport {
  conversation_uuid: string | null;
  legs: Leg[];
  phones: { caller: { number: string | null; dialled: string; heard: string[]; connected: boolean } };
  callees: Callee[];
  placed_to?: Callee;
}

export type Party = "vonage" | "client" | "gateway" | "function" | "table";

/** A request and its answer. */
export interface Message {
  position: number;
  /** Microseconds since 1970. */
  at: number;
  microseconds: number;
  from: Party;
  to: Party;
  name: string;
  status: number;
  detail: {
    function?: string;
    path?: string;
    http?: { headers: Record<string, string>; body: unknown };
    event?: unknown;
    headers?: Record<string, string>;
    body?: unknown;
  };
  answer: unknown;
}

/** How `maskline load` goes, each second. Counts are those since its begin. */
export interface LoadSample {
  run: string;
  seconds: number;
  is_over: boolean;
  created: number;
  refused: number;
  connected: number;
  failed: number;
  latency: { answers: { p50_ms: number | null; p99_ms: number | null } };
  pool: { ready: number; in_use: number } | null;
}

type Entry = ({ kind: "message" } & Message) | { kind: "call"; report: CallReport } | { kind: "load"; sample: LoadSample };

export const online = signal(true);
export const messages = signal<Message[]>([]);
export const calls = signal<ReadonlyMap<string, CallReport>>(new Map());
export const texts = signal<TextMessage[]>([]);
export const conversations = signal<ReadonlyMap<string, Conversation>>(new Map());
export const pool = signal<Country[] | undefined>(undefined);
export const faults = signal<Record<string, unknown>[]>([]);
export const concurrent = signal(25);
/** The samples of the last load, oldest first. */
export const load = signal<LoadSample[]>([]);
/** The present time in milliseconds, every second. */
export const now = signal(Date.now());

/** Most messages that are drawn from. */
const MOST_MESSAGES = 2000;

/** Most conversations that are shown, the newest ones. */
const MOST_CONVERSATIONS = 100;

/** Most samples of a load that are drawn. Beyond that, every other one goes. */
const MOST_SAMPLES = 600;

/** A load whose last sample is older than so many milliseconds has been killed. */
const LOAD_GOES_ON = 5000;

let lastSampleAt = 0;

/** True while a load goes on. Its conversations are too many to be shown one by one. */
function isUnderLoad(): boolean {
  const last = load.value.at(-1);
  return last !== undefined && !last.is_over && Date.now() - lastSampleAt < LOAD_GOES_ON;
}

/** Runs `work` once, soon after the last of several wishes for it, and never twice at a time. */
function soon(work: () => Promise<void>): () => void {
  let timer: number | undefined;
  let running = false;
  const run = async () => {
    timer = undefined;
    if (running) return want();
    running = true;
    await work().catch(() => undefined);
    running = false;
  };
  const want = () => {
    timer ??= window.setTimeout(run, 80);
  };
  return want;
}

const readTexts = soon(async () => {
  texts.value = (await api.texts()).messages;
});

export const readPool = soon(async () => {
  pool.value = (await api.pool(concurrent.value)).countries;
});

export const readFaults = soon(async () => {
  faults.value = (await api.faults()).faults;
});

/** The time until which nobody else gets the numbers of an ended conversation, by its id. */
export const quarantines = signal<ReadonlyMap<string, string>>(new Map());

async function readQuarantine({ id, participants }: Conversation): Promise<void> {
  const side = participants.find(({ dials }) => dials);
  if (!side?.dials || quarantines.value.has(id)) return;
  const { items } = await api.explain(`+${digits(side.number)}`, `+${digits(side.dials)}`);
  const until = items?.find((item) => item.quarantined_until)?.quarantined_until;
  if (until) quarantines.value = new Map(quarantines.value).set(id, until);
}

const changed = new Set<string>();
const readConversations = soon(async () => {
  const ids = [...changed].slice(-MOST_CONVERSATIONS);
  changed.clear();
  const read = await Promise.all(ids.map((id) => api.conversation(id).catch(() => undefined)));
  const next = new Map(conversations.value);
  ids.forEach((id, index) => {
    const conversation = read[index];
    if (conversation) {
      next.set(id, conversation);
      if (conversation.state !== "active") readQuarantine(conversation).catch(() => undefined);
    }
    else next.delete(id);
  });
  // An id begins with its time.
  const newest = [...next].sort(([one], [other]) => one.localeCompare(other)).slice(-MOST_CONVERSATIONS);
  conversations.value = new Map(newest);
});

/** Reads a conversation again. */
export function readConversation(id: string): void {
  // The newest changes are last.
  changed.delete(id);
  changed.add(id);
  readConversations();
}

/**
 * Follows server-sent events from the first one that is kept. After a break it begins anew, because the stack may have been
 * started again.
 */
function follow<T>(path: string, began: () => void, take: (entries: [number, T][]) => void): void {
  let waiting: [number, T][] = [];
  let timer: number | undefined;
  const flush = () => {
    timer = undefined;
    const entries = waiting;
    waiting = [];
    take(entries);
  };
  const open = () => {
    const source = new EventSource(`${path}?after=0`);
    source.onopen = () => {
      waiting = [];
      began();
    };
    source.onmessage = (event) => {
      waiting.push([Number(event.lastEventId), JSON.parse(event.data) as T]);
      timer ??= window.setTimeout(flush, 16);
    };
    source.onerror = () => {
      source.close();
      online.value = false;
      window.setTimeout(open, 1000);
    };
  };
  open();
}

function takeTrace(entries: [number, Entry][]): void {
  const added: Message[] = [];
  const reports = new Map(calls.value);
  let samples = load.value;
  for (const [position, entry] of entries) {
    if (entry.kind === "load") {
      const earlier = samples[0]?.run === entry.sample.run ? samples : [];
      samples = [...(earlier.length < MOST_SAMPLES ? earlier : earlier.filter((_, index) => index % 2 === 0)), entry.sample];
    } else if (entry.kind === "call") {
      const uuid = entry.report.conversation_uuid;
      if (uuid) reports.set(uuid, entry.report);
    } else {
      added.push({ ...entry, position });
    }
  }
  batch(() => {
    calls.value = reports;
    if (samples !== load.value) {
      lastSampleAt = Date.now();
      load.value = samples;
    }
    if (added.length) messages.value = [...messages.value, ...added].slice(-MOST_MESSAGES);
  });
  if (added.some((message) => message.to === "vonage")) readTexts();
  if (added.some((message) => message.name.startsWith("POST /number/") || / \/numbers/.test(message.name) && !message.name.startsWith("GET"))) readPool();
  readFaults();
}

interface BusEvent {
  detail?: { id?: string; conversation?: string };
}

/** Begins to follow the stack. */
export function start(): void {
  follow<Entry>(
    "/console/trace",
    () => {
      batch(() => {
        online.value = true;
        messages.value = [];
        calls.value = new Map();
        texts.value = [];
        load.value = [];
      });
      readTexts();
      readPool();
      readFaults();
      // The calls that the API places ring phones of people, too.
      api.createdCalls().catch(() => undefined);
    },
    takeTrace,
  );
  follow<BusEvent>(
    "/events",
    () => {
      conversations.value = new Map();
    },
    (entries) => {
      for (const [, { detail }] of isUnderLoad() ? [] : entries) {
        const id = detail?.id ?? detail?.conversation;
        if (id) readConversation(id);
      }
      readPool();
    },
  );
  window.setInterval(() => {
    now.value = Date.now();
    // No event tells of an end by the clock.
    for (const { id, state, expires_at } of conversations.value.values()) {
      if (state === "active" && Date.parse(expires_at) < now.value) readConversation(id);
    }
    if (now.value % 30000 < 1000) readPool();
  }, 1000);
}
