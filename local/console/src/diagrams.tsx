import { computed, signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { phone as written, timeOfDay, took } from "./format";
import { calls, messages } from "./live";
import { ownerOf } from "./phones";
import { type Diagram, draw, type Lane, type Step } from "./sequence";

const all = computed(() => draw(messages.value, calls.value));

/** The diagram that was chosen; none follows the newest. */
const chosen = signal<string | undefined>(undefined);

const ORDER: Lane[] = ["client", "caller", "callee", "vonage", "gateway", "function", "table"];

const NAMES: Record<Lane, string> = {
  client: "Backend",
  caller: "Caller",
  callee: "Phone",
  vonage: "Vonage",
  gateway: "API Gateway",
  function: "Function",
  table: "Table",
};

function titleOf(diagram: Diagram): string {
  const caller = ownerOf(diagram.caller) ?? written(diagram.caller);
  if (diagram.kind === "request") return diagram.title;
  if (diagram.kind === "text") return `${caller} sends a text`;
  return `${caller} calls ${diagram.callee ? (ownerOf(diagram.callee) ?? written(diagram.callee)) : "a number"}`;
}

function laneName(lane: Lane, diagram: Diagram): string {
  if (lane === "caller") return ownerOf(diagram.caller) ?? (diagram.caller ? written(diagram.caller) : "Caller");
  if (lane === "callee" && diagram.callee) return ownerOf(diagram.callee) ?? written(diagram.callee);
  return NAMES[lane];
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
}

function Arrow({ step, lanes, diagram }: { step: Step; lanes: Lane[]; diagram: Diagram }) {
  const [open, setOpen] = useState(false);
  const parts = useRef<HTMLDivElement>(null);
  useEffect(() => parts.current?.scrollIntoView({ block: "nearest" }), [open]);
  const [from, to] = [lanes.indexOf(step.from), lanes.indexOf(step.to)];
  const left = (Math.min(from, to) + 0.5) / lanes.length;
  const width = Math.abs(to - from) / lanes.length;
  const style = { "--left": `${left * 100}%`, "--width": `${width * 100}%` };
  const between = `${laneName(step.from, diagram)} to ${laneName(step.to, diagram)}`;
  const look = `${to < from ? "leftwards" : "rightwards"} ${step.back ? "back" : ""} ${step.failed ? "failed" : ""}`;
  const content = (
    <>
      <span class="visually-hidden">{between}: </span>
      <span class="label">
        {step.label}
        {step.microseconds !== undefined && <span class="num took"> {took(step.microseconds)}</span>}
      </span>
      <span class="line" aria-hidden="true" />
    </>
  );
  return (
    <li class={`step ${look}`} style={style}>
      {step.parts ? (
        <button type="button" class="message" aria-expanded={open} onClick={() => setOpen(!open)}>
          {content}
        </button>
      ) : (
        <div class="message">{content}</div>
      )}
      {open && (
        <div class="parts" ref={parts}>
          <p class="meta num">
            {between} · {new Date(step.at / 1000).toISOString().slice(11, 23)} UTC
          </p>
          {step.parts?.map(([title, value]) => (
            <div key={title}>
              <h4>{title}</h4>
              <pre tabIndex={0} aria-label={title}>
                <code>{shown(value)}</code>
              </pre>
            </div>
          ))}
        </div>
      )}
    </li>
  );
}

function Drawing({ diagram }: { diagram: Diagram }) {
  const used = new Set(diagram.steps.flatMap(({ from, to }) => [from, to]));
  const lanes = ORDER.filter((lane) => used.has(lane));
  const box = useRef<HTMLDivElement>(null);
  const length = diagram.steps.length;
  useEffect(() => {
    // It grows at its end, which stays in sight unless somebody reads further up.
    const element = box.current;
    if (element && element.scrollHeight - element.scrollTop - element.clientHeight < 400) element.scrollTop = element.scrollHeight;
  }, [length]);
  return (
    <div class="drawing" ref={box} tabIndex={0} role="region" aria-label={`Sequence of ${titleOf(diagram)}`} style={{ "--lanes": String(lanes.length) }}>
      <div class="paper">
        <ul class="lanes">
          {lanes.map((lane) => (
            <li key={lane} class={lane}>
              {laneName(lane, diagram)}
            </li>
          ))}
        </ul>
        <ol class="steps">
          {diagram.steps.map((step) => (
            <Arrow key={step.key} step={step} lanes={lanes} diagram={diagram} />
          ))}
        </ol>
      </div>
    </div>
  );
}

export function Diagrams() {
  const diagrams = all.value;
  const current = diagrams.find(({ id }) => id === chosen.value) ?? diagrams[0];
  return (
    <section class="panel" id="sequence" aria-labelledby="sequence-title">
      <header>
        <h2 id="sequence-title">What happens</h2>
        {diagrams.length > 0 && (
          <label class="inline">
            <span class="visually-hidden">Shown sequence</span>
            <select value={chosen.value ?? ""} onChange={(event) => (chosen.value = event.currentTarget.value || undefined)}>
              <option value="">Follow the newest</option>
              {diagrams.slice(0, 50).map((diagram) => (
                <option key={diagram.id} value={diagram.id}>
                  {timeOfDay(diagram.at / 1000)} · {titleOf(diagram)}
                </option>
              ))}
            </select>
          </label>
        )}
      </header>
      {current ? (
        <>
          <p class="title">
            {titleOf(current)} <span class="meta num">{timeOfDay(current.at / 1000)}</span>
          </p>
          <Drawing key={current.id} diagram={current} />
        </>
      ) : (
        <div class="empty-state">
          <h3>Nothing has happened yet</h3>
          <p>Each call and each request grows here as a sequence, message by message. Open a message to read what was sent.</p>
        </div>
      )}
    </section>
  );
}
