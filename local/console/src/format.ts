// Numbers, times and lengths of time as people read them.

/** Digits of a number in any notation. */
export function digits(number: string): string {
  return number.replace(/\D/g, "");
}

/** A number as people write it: `+44 7700 900001`. Texts that are no number stay as they are. */
export function phone(number: string | null | undefined): string {
  if (!number) return "Withheld";
  const all = digits(number);
  if (all.length < 7) return number;
  if (all.startsWith("44")) return `+44 ${all.slice(2, 6)} ${all.slice(6)}`;
  if (all.startsWith("1")) return `+1 ${all.slice(1, 4)} ${all.slice(4, 7)} ${all.slice(7)}`;
  return `+${all.slice(0, 2)} ${all.slice(2, 5)} ${all.slice(5)}`;
}

/** The time of day, to the second. */
export function timeOfDay(at: number | string): string {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** A length of time in its two largest units. */
export function span(seconds: number): string {
  const left = Math.max(0, Math.floor(seconds));
  const units: [number, string][] = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([length]) => left >= length);
  if (first < 0) return "0 s";
  const [length, name] = units[first]!;
  const whole = Math.floor(left / length);
  const next = units[first + 1];
  const rest = next ? Math.floor((left % length) / next[0]) : 0;
  return rest && next ? `${whole} ${name} ${rest} ${next[1]}` : `${whole} ${name}`;
}

/** A short length of time as a clock shows it: `1:05`. */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** A duration in microseconds. */
export function took(microseconds: number): string {
  return microseconds < 10_000 ? `${(microseconds / 1000).toFixed(1)} ms` : `${Math.round(microseconds / 1000)} ms`;
}
