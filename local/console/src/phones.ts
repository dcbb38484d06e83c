// The phones on the table: whose they are, what they show, and what their owners do.

import { computed, signal } from "@preact/signals";
import { api } from "./api";
import { digits } from "./format";
import { calls, type CallReport } from "./live";

/** What a phone does when it is called: its owner decides, or it does so by itself. */
export type Reaction = "rings" | "busy" | "unreachable" | "voicemail";

export interface Phone {
  /** Its real number, in digits. */
  number: string;
  name: string;
  withheld: boolean;
  reaction: Reaction;
}

const STORED = "maskline-phones";

const FIRST: Phone[] = [
  { number: "447700900001", name: "Rider", withheld: false, reaction: "rings" },
  { number: "447700900002", name: "Driver", withheld: false, reaction: "rings" },
];

/** The owners of phones that are added, in this order. */
const OTHERS = ["Outsider", "Second driver", "Second rider", "Courier", "Customer", "Host", "Guest"];

function stored(): Phone[] {
  try {
    const kept = JSON.parse(localStorage.getItem(STORED) ?? "null") as Phone[] | null;
    return kept?.length ? kept : FIRST;
  } catch {
    return FIRST;
  }
}

export const phones = signal<Phone[]>(stored());

function set(next: Phone[]): void {
  phones.value = next;
  localStorage.setItem(STORED, JSON.stringify(next));
}

/** Adds a phone with a number that nobody else has. */
export function addPhone(name?: string, withheld = false): void {
  let last = 1;
  while (phones.value.some(({ number }) => number === `4477009000${String(last).padStart(2, "0")}`)) last += 1;
  const taken = phones.value.map((phone) => phone.name);
  const free = name ?? OTHERS.find((other) => !taken.includes(other)) ?? `Phone ${last}`;
  set([...phones.value, { number: `4477009000${String(last).padStart(2, "0")}`, name: free, withheld, reaction: "rings" }]);
}

export function changePhone(number: string, change: Partial<Phone>): void {
  set(phones.value.map((phone) => (phone.number === number ? { ...phone, ...change } : phone)));
}

export function removePhone(number: string): void {
  set(phones.value.filter((phone) => phone.number !== number));
}

/** The name of the owner of a number, if the phone is on the table. */
export function ownerOf(number: string | null | undefined): string | undefined {
  return number ? phones.value.find((phone) => phone.number === digits(number))?.name : undefined;
}

/** A call from the point of view of one phone. */
export interface Line {
  uuid: string;
  by: "caller" | "callee";
  /** The number that the phone shows: the one it has dialled, or the caller ID. */
  shows: string;
  state: "calling" | "ringing" | "connected" | "listening";
  heard: string[];
  /** Milliseconds since 1970. */
  since: number;
  over: boolean;
  /** The reason for which it ended, in words. */
  end?: string;
}

const ENDED = ["completed", "cancelled", "rejected", "busy", "timeout", "unanswered", "failed"];

const ENDS: Record<string, string> = {
  completed: "Call ended",
  cancelled: "The caller hung up",
  rejected: "Call declined",
  busy: "Busy",
  timeout: "No answer",
  unanswered: "No answer",
  failed: "Not reached",
};

function time(leg: CallReport["legs"][number], status: string): number {
  const found = leg.statuses.find((entry) => entry.status === status) ?? leg.statuses[0];
  return found ? Date.parse(found.timestamp) : 0;
}

function linesOf(report: CallReport): [string, Line][] {
  const uuid = report.conversation_uuid;
  if (!uuid) return [];
  const lines: [string, Line][] = [];
  // Calls that the API places ring one phone first, which is then the caller.
  const first = report.legs.find((leg) => leg.direction === "inbound") ?? report.legs[0];
  const { caller } = report.phones;
  const reached = report.callees.find((callee) => report.legs.some((leg) => leg.uuid === callee.leg && leg.status === "answered"));
  if (first) {
    const number = report.placed_to ? report.placed_to.number : (caller.number ?? WITHHELD);
    const over = ENDED.includes(first.status);
    const answered = first.statuses.some(({ status }) => status === "answered");
    lines.push([
      number,
      {
        uuid,
        by: "caller",
        shows: report.placed_to ? report.placed_to.display : caller.dialled,
        state: reached?.joined ? "connected" : report.placed_to ? (answered ? "listening" : "ringing") : "calling",
        heard: caller.heard,
        since: time(reached ? report.legs.find(({ uuid }) => uuid === reached.leg)! : first, "answered"),
        over,
        ...(over && { end: ENDS[first.status] }),
      },
    ]);
  }
  for (const callee of report.callees) {
    const leg = report.legs.find(({ uuid }) => uuid === callee.leg);
    if (!leg || !callee.rang) continue;
    const over = ENDED.includes(leg.status);
    lines.push([
      callee.number,
      {
        uuid,
        by: "callee",
        shows: callee.display,
        state: leg.status !== "answered" ? "ringing" : callee.joined ? "connected" : "listening",
        heard: callee.heard,
        since: time(leg, "answered"),
        over,
        ...(over && { end: ENDS[leg.status] }),
      },
    ]);
  }
  return lines;
}

/** Stands for the number of callers whose network sends none. */
const WITHHELD = "withheld";

/** Who has placed a call with a withheld number, by the call: only this tab knows, also after a reload. */
const placed = new Map<string, string>(JSON.parse(sessionStorage.getItem("maskline-placed") ?? "[]") as [string, string][]);

/** The newest call of each phone, by its number. */
export const lines = computed(() => {
  const newest = new Map<string, Line>();
  for (const report of calls.value.values()) {
    for (const [number, line] of linesOf(report)) {
      const owner = number === WITHHELD ? placed.get(line.uuid) : number;
      if (!owner) continue;
      const other = newest.get(owner);
      if (!other || other.over || !line.over) newest.set(owner, line);
    }
  }
  return newest;
});

/** Dials. Returns the words of the network if the number is not in service. */
export async function dial(phone: Phone, to: string): Promise<string | undefined> {
  const callees = Object.fromEntries(phones.value.map(({ number, reaction }) => [number, reaction]));
  const from = phone.withheld ? null : phone.number;
  const report = await api.call({ from, to: digits(to), callees, by_hand: true });
  if (!report.conversation_uuid) return report.phones.caller.heard.join(" ");
  placed.set(report.conversation_uuid, phone.number);
  sessionStorage.setItem("maskline-placed", JSON.stringify([...placed].slice(-50)));
  // The feed may have been quicker than this answer.
  calls.value = new Map(calls.value).set(report.conversation_uuid, calls.value.get(report.conversation_uuid) ?? report);
  return undefined;
}

export const answerCall = (line: Line) => api.ofCall(line.uuid, "answer", {});
export const hangUp = (line: Line) => api.ofCall(line.uuid, "hang-up", { by: line.by });
export const press = (line: Line, keys: string) => api.ofCall(line.uuid, "press", { by: line.by, keys });
