import { load, type LoadSample } from "./live";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [480, 160, 32, 20, 8];

/** The points of a line, with `,` and blanks as in SVG. A sample without the value is left out. */
function points(samples: LoadSample[], seconds: number, most: number, value: (sample: LoadSample) => number | undefined): string {
  return samples
    .flatMap((sample) => {
      const of = value(sample);
      if (of === undefined) return [];
      const x = LEFT + (sample.seconds / seconds) * (WIDTH - LEFT - 4);
      const y = HEIGHT - BOTTOM - (of / most) * (HEIGHT - BOTTOM - TOP);
      return [`${x.toFixed(1)},${y.toFixed(1)}`];
    })
    .join(" ");
}

const ms = (time: number | null) => (time === null ? "–" : `${time.toFixed(1)} ms`);

/** The pool over the time of the last `maskline load`. */
export function LoadPlot() {
  const samples = load.value;
  const last = samples.at(-1);
  if (!last) return null;
  const seconds = Math.max(last.seconds, 1);
  const refused = (index: number) => (samples[index]?.refused ?? 0) - (samples[index - 1]?.refused ?? 0);
  const mostRefused = Math.max(1, ...samples.map((_, index) => refused(index)));
  const most = Math.max(1, ...samples.map(({ pool }) => Math.max(pool?.ready ?? 0, pool?.in_use ?? 0)));
  const y = (value: number) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP);
  const inUse = last.pool ? `${last.pool.in_use} of ${last.pool.ready} numbers in use` : "the pool cannot be read";
  return (
    <figure class="load" aria-label="Pool over time">
      <figcaption>
        <h3>{last.is_over ? "The last load" : "maskline load"}</h3>
        <p class="meta num">
          {inUse} · {last.created} created · {last.refused} refused · {last.connected} calls · {last.failed} failed
          {!last.is_over && ` · answers p50 ${ms(last.latency.answers.p50_ms)}, p99 ${ms(last.latency.answers.p99_ms)}`}
        </p>
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`Numbers of the pool over ${seconds.toFixed(0)} seconds: ${inUse}`}>
        {[0, most].map((value) => (
          <g key={value}>
            <line class="grid" x1={LEFT} x2={WIDTH - 4} y1={y(value)} y2={y(value)} />
            <text x={LEFT - 5} y={y(value) + 4} text-anchor="end">
              {value}
            </text>
          </g>
        ))}
        <text x={WIDTH - 4} y={HEIGHT - 5} text-anchor="end">
          {seconds.toFixed(0)} s
        </text>
        {samples.map((sample, index) =>
          refused(index) > 0 ? (
            <line
              key={sample.seconds}
              class="refused"
              x1={LEFT + (sample.seconds / seconds) * (WIDTH - LEFT - 4)}
              x2={LEFT + (sample.seconds / seconds) * (WIDTH - LEFT - 4)}
              y1={HEIGHT - BOTTOM}
              y2={HEIGHT - BOTTOM - (refused(index) / mostRefused) * 40}
            />
          ) : null,
        )}
        <polyline class="ready" points={points(samples, seconds, most, ({ pool }) => pool?.ready)} />
        <polyline class="in-use" points={points(samples, seconds, most, ({ pool }) => pool?.in_use)} />
      </svg>
      <p class="meta legend">
        <span class="in-use">in use by one caller</span> <span class="ready">ready</span> <span class="refused">refusals</span>
      </p>
    </figure>
  );
}
