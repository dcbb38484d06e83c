import { useRef, useState } from "preact/hooks";
import { api } from "./api";
import { attempt } from "./notice";
import { clock, digits, phone as written, timeOfDay } from "./format";
import { now, texts } from "./live";
import { answerCall, changePhone, dial, hangUp, type Line, lines, type Phone, press, type Reaction, removePhone } from "./phones";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];

const REACTIONS: [Reaction, string][] = [
  ["rings", "rings"],
  ["busy", "is busy"],
  ["voicemail", "has voicemail"],
  ["unreachable", "is switched off"],
];

function Keypad({ onKey }: { onKey: (key: string) => void }) {
  return (
    <div class="keypad" role="group" aria-label="Dial pad">
      {KEYS.map((key) => (
        <button type="button" key={key} onClick={() => onKey(key)}>
          {key}
        </button>
      ))}
    </div>
  );
}

const STATES = { calling: "Calling", ringing: "Incoming call", connected: "Connected", listening: "On the line" };

/** A call on the display of a phone. */
function OnCall({ line, name }: { line: Line; name: string }) {
  const [wanted, setPad] = useState<boolean>();
  // A phone that only listens is usually asked for a key.
  const pad = wanted ?? line.state === "listening";
  return (
    <div class={`display on-call ${line.state}`}>
      <p class="state">
        <span class="pulse" aria-hidden="true" />
        {STATES[line.state]}
        {line.state === "connected" && <span class="num"> {clock((now.value - line.since) / 1000)}</span>}
      </p>
      <p class="shows num" data-shows={line.shows}>
        {written(line.shows)}
      </p>
      <Heard line={line} />
      <div class="actions">
        {line.state === "ringing" ? (
          <>
            <button type="button" class="go" onClick={() => attempt(() => answerCall(line))} aria-label={`Answer on ${name}'s phone`}>
              Answer
            </button>
            <button type="button" class="stop" onClick={() => attempt(() => hangUp(line))} aria-label={`Decline on ${name}'s phone`}>
              Decline
            </button>
          </>
        ) : (
          <>
            <button type="button" class="stop" onClick={() => attempt(() => hangUp(line))} aria-label={`Hang up ${name}'s phone`}>
              Hang up
            </button>
            <button type="button" aria-expanded={pad} onClick={() => setPad(!pad)}>
              Keys
            </button>
          </>
        )}
      </div>
      {pad && line.state !== "ringing" && <Keypad onKey={(key) => attempt(() => press(line, key))} />}
    </div>
  );
}

function Heard({ line }: { line: Line }) {
  if (!line.heard.length) return null;
  return (
    <ul class="heard" aria-label="Heard">
      {line.heard.map((text, index) => (
        <li key={index}>“{text}”</li>
      ))}
    </ul>
  );
}

/** The display of a phone without a call, with its last one. */
function Idle({ phone, last }: { phone: Phone; last: Line | undefined }) {
  const [to, setTo] = useState("");
  const [pad, setPad] = useState(false);
  const [said, setSaid] = useState<string>();
  const input = useRef<HTMLInputElement>(null);
  const place = async (event: Event) => {
    event.preventDefault();
    if (!digits(to)) return input.current?.focus();
    setSaid(undefined);
    await attempt(async () => setSaid(await dial(phone, to)));
    setTo("");
  };
  return (
    <div class="display">
      <form class="dial" onSubmit={place}>
        <input
          ref={input}
          type="tel"
          class="num"
          autocomplete="off"
          placeholder="Number to dial"
          aria-label={`Number to dial on ${phone.name}'s phone`}
          value={to}
          onInput={(event) => setTo(event.currentTarget.value)}
        />
        <button type="submit" class="go" aria-label={`Call from ${phone.name}'s phone`}>
          Call
        </button>
        <button type="button" class="quiet" aria-expanded={pad} aria-label={`Dial pad of ${phone.name}'s phone`} onClick={() => setPad(!pad)}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            {[3, 8, 13].flatMap((x) => [3, 8, 13].map((y) => <circle key={`${x} ${y}`} cx={x} cy={y} r="1.5" fill="currentColor" />))}
          </svg>
        </button>
      </form>
      {pad && <Keypad onKey={(key) => setTo(to + key)} />}
      {(said || last) && (
        <div class="last">
          <p class="state">
            {said ? "Not connected" : `${last?.end ?? "Call ended"} · `}
            {!said && <span class="num">{written(last?.shows)}</span>}
          </p>
          {said ? <p class="heard">“{said}”</p> : last && <Heard line={last} />}
        </div>
      )}
      <Inbox phone={phone} onDial={setTo} />
    </div>
  );
}

/** The text messages of a phone, newest first. Numbers in them can be dialled. */
function Inbox({ phone, onDial }: { phone: Phone; onDial: (number: string) => void }) {
  const [reply, setReply] = useState("");
  const [open, setOpen] = useState<string>();
  const received = texts.value.filter((text) => digits(text.to) === phone.number).reverse();
  const send = async (event: Event, to: string) => {
    event.preventDefault();
    if (!reply.trim()) return;
    await attempt(() => api.text(phone.number, to, reply));
    setReply("");
    setOpen(undefined);
  };
  return (
    <section class="inbox" aria-label={`Inbox of ${phone.name}`}>
      {received.length === 0 && <p class="empty">No messages yet.</p>}
      <ol>
        {received.slice(0, 4).map((text) => (
          <li key={text.message_id}>
            <p class="meta num">
              {written(text.from)} <time>{timeOfDay(text.received_at)}</time>
            </p>
            <p>
              {text.text.split(/(\+\d{8,15})/).map((part, index) =>
                index % 2 ? (
                  <button type="button" key={index} class="link num" onClick={() => onDial(part)} aria-label={`Put ${written(part)} on the display`}>
                    {written(part)}
                  </button>
                ) : (
                  part
                ),
              )}
            </p>
            {open === text.message_id ? (
              <form class="reply" onSubmit={(event) => send(event, text.from)}>
                <input aria-label="Reply" value={reply} onInput={(event) => setReply(event.currentTarget.value)} autocomplete="off" />
                <button type="submit">Send</button>
              </form>
            ) : (
              <button type="button" class="link small" onClick={() => setOpen(text.message_id)} aria-label={`Reply to ${written(text.from)}`}>
                Reply
              </button>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}

export function PhoneCard({ phone }: { phone: Phone }) {
  const line = lines.value.get(phone.number);
  const live = line && !line.over ? line : undefined;
  return (
    <article class={`phone ${live?.state ?? ""}`} aria-label={`${phone.name}'s phone`} data-phone={phone.number}>
      <header>
        <h3>{phone.name}</h3>
        <p class="num">{written(phone.number)}</p>
      </header>
      {live ? <OnCall line={live} name={phone.name} /> : <Idle phone={phone} last={line} />}
      <footer>
        <label>
          <span>When called, it</span>
          <select value={phone.reaction} onChange={(event) => changePhone(phone.number, { reaction: event.currentTarget.value as Reaction })}>
            {REACTIONS.map(([reaction, label]) => (
              <option key={reaction} value={reaction}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input type="checkbox" checked={phone.withheld} onChange={(event) => changePhone(phone.number, { withheld: event.currentTarget.checked })} />
          Withhold number
        </label>
        <button type="button" class="link small" onClick={() => removePhone(phone.number)} aria-label={`Remove ${phone.name}'s phone`}>
          Remove
        </button>
      </footer>
    </article>
  );
}
