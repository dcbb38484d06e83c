import { api } from "./api";
import { faults, readFaults } from "./live";
import { attempt } from "./notice";

interface Fault {
  name: string;
  /** What callers and backends notice. */
  effect: string;
  rule: unknown;
}

const FAULTS: Fault[] = [
  {
    name: "A slow table",
    effect: "Each of the next 20 reads and writes takes 400 ms longer. Callers wait, and still connect.",
    rule: { operation: "*", times: 20, fault: { kind: "delay", milliseconds: 400 } },
  },
  {
    name: "A table that is down",
    effect: "The next 20 requests to the table get no answer. Callers hear that there is a problem, and nobody is connected to a stranger.",
    rule: { operation: "*", times: 20, fault: { kind: "hang" } },
  },
  {
    name: "A carrier that refuses texts",
    effect: "The next 3 text messages are refused. The conversation says so, and calls work.",
    rule: { path: "/sms/json", times: 3, fault: { kind: "status", status: 503 } },
  },
  {
    name: "A carrier that rents no numbers",
    effect: "The next 3 orders fail. Nothing is bought twice.",
    rule: { path: "/number/buy", times: 3, fault: { kind: "status", status: 500 } },
  },
  {
    name: "Doubled events",
    effect: "The next 10 events of calls arrive twice at the same moment. Each counts once.",
    rule: { webhook: "event_url", times: 10, fault: { kind: "at_once" } },
  },
  {
    name: "An unanswered answer webhook",
    effect: "The next answer is lost on its way to Vonage, which asks again.",
    rule: { webhook: "answer_url", times: 1, fault: { kind: "lose_answer" } },
  },
];

function describe(rule: Record<string, unknown>): string {
  const known = FAULTS.find((fault) => {
    const { times: _, ...rest } = fault.rule as Record<string, unknown>;
    return Object.entries(rest).every(([name, value]) => JSON.stringify(rule[name]) === JSON.stringify(value));
  });
  return known?.name ?? JSON.stringify(rule["fault"]);
}

export function Faults() {
  const add = (rule: unknown) => attempt(() => api.addFault(rule)).then(readFaults);
  return (
    <section class="panel" id="faults" aria-labelledby="faults-title">
      <header>
        <h2 id="faults-title">Faults</h2>
        <button type="button" disabled={faults.value.length === 0} onClick={() => attempt(api.removeFaults).then(readFaults)}>
          Remove all
        </button>
      </header>
      {faults.value.length > 0 ? (
        <ul class="waiting" aria-label="Faults that wait">
          {faults.value.map((rule, index) => (
            <li key={index}>
              <span class="badge warn">waiting</span> {describe(rule)} <span class="meta num">× {String(rule["times"])}</span>
            </li>
          ))}
        </ul>
      ) : (
        <p class="meta">Everything works. Break something, then make a call and listen.</p>
      )}
      <ul class="faults">
        {FAULTS.map((fault) => (
          <li key={fault.name}>
            <div>
              <h3>{fault.name}</h3>
              <p>{fault.effect}</p>
            </div>
            <button type="button" onClick={() => add(fault.rule)} aria-label={`Inject: ${fault.name}`}>
              Inject
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
