import { useState } from "preact/hooks";
import { api, type Conversation, type Participant } from "./api";
import { phone as written, span, timeOfDay } from "./format";
import { conversations, now, pool, quarantines, readPool } from "./live";
import { attempt } from "./notice";
import { ownerOf, phones } from "./phones";
import { backendRequest, type Order, samples } from "./samples";

const LENGTHS: [number, string][] = [
  [300, "5 minutes"],
  [3600, "1 hour"],
  [86400, "1 day"],
];

const DIRECTIONS: [string, string][] = [
  ["both", "both may call"],
  ["a_to_b", "only the first may call"],
  ["b_to_a", "only the second may call"],
];

function Create() {
  const [a, setA] = useState(0);
  const [b, setB] = useState(1);
  const [length, setLength] = useState(3600);
  const [direction, setDirection] = useState("both");
  const [language, setLanguage] = useState(0);
  const all = phones.value;
  const [first, second] = [all[a] ?? all[0], all[b] ?? all[1]];
  if (!first || !second) return <p class="empty">Two phones are needed for a conversation. Add one above.</p>;
  const order: Order = { first, second, expires_in: length, direction };
  const sample = samples(order, location.origin)[language]!;
  const submit = (event: Event) => {
    event.preventDefault();
    return attempt(() => api.create(backendRequest(order)));
  };
  const choose = (label: string, value: number, set: (index: number) => void) => (
    <label>
      <span>{label}</span>
      <select value={value} onChange={(event) => set(Number(event.currentTarget.value))}>
        {all.map((phone, index) => (
          <option key={phone.number} value={index}>
            {phone.name}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <form class="create" onSubmit={submit}>
      <div class="fields">
        {choose("First", a, setA)}
        {choose("Second", b, setB)}
        <label>
          <span>For</span>
          <select value={length} onChange={(event) => setLength(Number(event.currentTarget.value))}>
            {LENGTHS.map(([seconds, label]) => (
              <option key={seconds} value={seconds}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label>
          <span>Direction</span>
          <select value={direction} onChange={(event) => setDirection(event.currentTarget.value)}>
            {DIRECTIONS.map(([value, label]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div class="actions">
        <button type="submit" class="primary" disabled={first === second}>
          Create conversation
        </button>
      </div>
      <details>
        <summary>What a backend sends</summary>
        <div class="tabs" role="group" aria-label="Language of the sample">
          {samples(order, location.origin).map(({ name }, index) => (
            <button type="button" key={name} aria-pressed={index === language} onClick={() => setLanguage(index)}>
              {name}
            </button>
          ))}
        </div>
        <pre tabIndex={0} aria-label={`Request in ${sample.name}`}>
          <code>{sample.code}</code>
        </pre>
      </details>
    </form>
  );
}

/** One way through a conversation: a phone, the number that it dials, and the phone that rings. */
function Route({ from, to }: { from: Participant; to: Participant }) {
  const name = (participant: Participant) => ownerOf(participant.number) ?? participant.label ?? "Phone";
  if (!from.dials) {
    return (
      <li class="route none">
        {name(from)} cannot call {name(to)}.
      </li>
    );
  }
  return (
    <li class="route">
      <div class="stop-box">
        <strong>{name(from)}</strong>
        <span class="num">{written(from.number)}</span>
      </div>
      <span class="hop" aria-label="dials">
        dials
      </span>
      <div class="stop-box virtual">
        <strong>Virtual</strong>
        <span class="num">{written(from.dials)}</span>
      </div>
      <span class="hop" aria-label="rings">
        rings
      </span>
      <div class="stop-box">
        <strong>{name(to)}</strong>
        <span class="num">{written(to.number)}</span>
        <small>sees</small>
        <span class="num">{written(from.masked_by)}</span>
      </div>
    </li>
  );
}

/** The time for which nobody else gets the numbers of an ended conversation. */
function Quarantine({ conversation }: { conversation: Conversation }) {
  const until = quarantines.value.get(conversation.id);
  if (!until) return null;
  return <p class="meta">Nobody else gets these numbers for {span((Date.parse(until) - now.value) / 1000)}: the quarantine.</p>;
}

function Card({ conversation }: { conversation: Conversation }) {
  const [a, b] = conversation.participants;
  const left = (Date.parse(conversation.expires_at) - now.value) / 1000;
  const active = conversation.state === "active" && left > 0;
  const blocks = (side: "a" | "b") => conversation.blocked === side || conversation.blocked === "both";
  const toggle = (side: "a" | "b") => {
    const blocked = (["a", "b"] as const).filter((one) => (one === side ? !blocks(one) : blocks(one)));
    return attempt(() => api.change(conversation.id, { blocked: blocked.length === 2 ? "both" : (blocked[0] ?? null) }));
  };
  const name = (participant: Participant, side: string) => ownerOf(participant.number) ?? participant.label ?? side;
  return (
    <li class={`conversation ${active ? "active" : "ended"}`} data-conversation={conversation.id}>
      <header>
        <p class="title">
          <span class={`badge ${active ? "good" : ""}`}>{active ? "Active" : "Ended"}</span>
          {name(a, "A")} and {name(b, "B")}
        </p>
        <p class="meta num">{active ? `${span(left)} left` : `since ${timeOfDay(conversation.ended_at ?? conversation.expires_at)}`}</p>
      </header>
      <ul class="routes">
        <Route from={a} to={b} />
        <Route from={b} to={a} />
      </ul>
      {active ? (
        <div class="actions">
          <button type="button" onClick={() => attempt(() => api.callBoth(conversation.id))} title={`Rings ${name(a, "A")}, and then ${name(b, "B")}`}>
            Call both
          </button>
          <button type="button" aria-pressed={blocks("a")} onClick={() => toggle("a")}>
            {blocks("a") ? "Unblock" : "Block"} {name(a, "A")}
          </button>
          <button type="button" aria-pressed={blocks("b")} onClick={() => toggle("b")}>
            {blocks("b") ? "Unblock" : "Block"} {name(b, "B")}
          </button>
          <button type="button" class="danger" onClick={() => attempt(() => api.end(conversation.id))}>
            End
          </button>
        </div>
      ) : (
        <Quarantine conversation={conversation} />
      )}
    </li>
  );
}

/** The first step of a newcomer: numbers to mask with, and two people. */
function Begin() {
  const begin = () =>
    attempt(async () => {
      const [rider, driver] = phones.value;
      if (!rider || !driver) return;
      await api.order("GB", 2);
      readPool();
      await api.create(backendRequest({ first: rider, second: driver, expires_in: 3600, direction: "both" }));
    });
  return (
    <div class="begin">
      <h3>Two people, and no number between them</h3>
      <p>
        A conversation gives each of two phones a virtual number for the other. Both get it by text message. Rent two numbers of the simulated
        carrier, pair the phones, then dial.
      </p>
      <button type="button" class="primary" onClick={begin}>
        Rent two numbers and pair the phones
      </button>
    </div>
  );
}

export function Conversations() {
  const all = [...conversations.value.values()].sort((one, other) => other.created_at.localeCompare(one.created_at) || other.id.localeCompare(one.id));
  const hasNumbers = (pool.value ?? []).some((country) => country.ready > 0);
  return (
    <section class="panel" id="conversations" aria-labelledby="conversations-title">
      <header>
        <h2 id="conversations-title">Conversations</h2>
      </header>
      {all.length === 0 && !hasNumbers ? (
        <Begin />
      ) : (
        <>
          <Create />
          <ol class="conversation-list">
            {all.map((conversation) => (
              <Card key={conversation.id} conversation={conversation} />
            ))}
          </ol>
        </>
      )}
    </section>
  );
}
