// The one line of a request, with its metrics in CloudWatch's embedded metric format, as the Rust function writes it.

import { writeSync } from "node:fs";

const FUNCTION = "answer-webhook";
const UNITS = {
  duration_ms: "Milliseconds",
  failures: "Count",
  calls_routed: "Count",
  unknown_callers: "Count",
  signatures_refused: "Count",
  unsigned_webhooks: "Count",
};

/** Writes `line`, whose undefined members are left out. `status` and `outcome` decide what is counted. */
export function write(line) {
  const { status, outcome } = line;
  const counts = {
    failures: status >= 500 && outcome !== "not-signed" ? 1 : undefined,
    calls_routed: outcome === "routed" ? 1 : undefined,
    unknown_callers: outcome === "unknown caller" ? 1 : undefined,
    signatures_refused: outcome === "not-signed" ? 1 : undefined,
    unsigned_webhooks: outcome === "not-signed" && status >= 500 ? 1 : undefined,
  };
  const now = new Date();
  const told = {
    message: "answered",
    function: FUNCTION,
    target: "shared::lambda",
    level: counts.failures ? "ERROR" : "INFO",
    timestamp: now.toISOString(),
    ...line,
    ...counts,
  };
  const counted = Object.keys(UNITS).filter((name) => told[name] !== undefined);
  told._aws = {
    Timestamp: now.getTime(),
    CloudWatchMetrics: counted.map((Name) => ({
      Namespace: "Maskline",
      Dimensions: [["function"]],
      Metrics: [{ Name, Unit: UNITS[Name] }],
    })),
  };
  writeSync(1, `${JSON.stringify(told)}\n`);
}

/** `text`, if it may stand in a line: short, harmless, and neither a phone number nor one with one of `numbers` in it. */
export function identifier(text, numbers) {
  if (typeof text !== "string" || !/^[A-Za-z0-9_.:-]{1,128}$/.test(text)) return undefined;
  const digits = digitsOf(text);
  const isANumber = digits.length >= 7 && digits.length <= 15 && !/[A-Za-z]/.test(text);
  const holds = (number) => number.length >= 7 && digits.includes(number);
  const tellsANumber =
    isANumber || numbers.filter((number) => number !== undefined).some((number) => holds(digitsOf(number.replace(/^[+0 ]+/, ""))));
  return tellsANumber ? undefined : text;
}

function digitsOf(text) {
  return text.replace(/\D/g, "");
}
