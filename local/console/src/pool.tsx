import { useState } from "preact/hooks";
import { api, type Country } from "./api";
import { digits, phone as written } from "./format";
import { concurrent, conversations, now, pool, quarantines, readPool } from "./live";
import { LoadPlot } from "./load";
import { attempt } from "./notice";

const COUNTRIES = ["GB", "US", "FR", "IE", "NL"];

/** The numbers of conversations in which a number masks somebody: active ones, and ended ones in quarantine. */
function load(number: string): { active: number; quarantined: number } {
  const all = [...conversations.value.values()].filter(({ participants }) =>
    participants.some(({ masked_by }) => masked_by && digits(masked_by) === digits(number)),
  );
  const isQuarantined = ({ id }: { id: string }) => Date.parse(quarantines.value.get(id) ?? "") > now.value;
  return {
    active: all.filter(({ state }) => state === "active").length,
    quarantined: all.filter(isQuarantined).length,
  };
}

const STATES: Record<string, string> = { ready: "good", lost: "bad", draining: "warn" };

function CountryOfPool({ country }: { country: Country }) {
  const figures: [string, number | string][] = [
    ["ready", country.ready],
    ["in use at most", country.high_water],
    ["headroom", country.headroom],
    ["draining", country.draining],
    ["lost", country.lost],
  ];
  if (country.forecast) figures.push([`missing for ${country.forecast.concurrent} at once`, country.forecast.missing]);
  return (
    <article class="country" aria-label={`Numbers of ${country.country}`}>
      <header>
        <h3>{country.country}</h3>
        <p class="meta num">{country.monthly_cost} EUR a month</p>
      </header>
      <dl class="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd class="num">{value}</dd>
          </div>
        ))}
      </dl>
      <div class="scroll" tabIndex={0} role="region" aria-label={`Table of the numbers of ${country.country}`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Number</th>
              <th scope="col">State</th>
              <th scope="col" class="right">
                Conversations
              </th>
              <th scope="col" class="right">
                In quarantine
              </th>
              <th scope="col">
                <span class="visually-hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {country.numbers.slice(0, 100).map((number) => (
              <tr key={number.number}>
                <td class="num">{written(number.number)}</td>
                <td>
                  <span class={`badge ${STATES[number.state] ?? ""}`}>{number.state}</span>
                </td>
                <td class="num right">{load(number.number).active}</td>
                <td class="num right">{load(number.number).quarantined}</td>
                <td class="right">
                  <button type="button" class="link small" onClick={() => attempt(() => api.takeAway(digits(number.number)))} aria-label={`Take away ${written(number.number)}`}>
                    Take away
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </article>
  );
}

export function Pool() {
  const [country, setCountry] = useState("GB");
  const [count, setCount] = useState(2);
  const countries = pool.value ?? [];
  const order = (event: Event) => {
    event.preventDefault();
    return attempt(() => api.order(country, count)).then(readPool);
  };
  return (
    <section class="panel" id="pool" aria-labelledby="pool-title">
      <header>
        <h2 id="pool-title">Pool</h2>
        <label class="inline">
          <span>Forecast for</span>
          <input
            type="number"
            class="num short"
            min="1"
            max="100000"
            value={concurrent.value}
            onChange={(event) => {
              concurrent.value = Math.max(1, Number(event.currentTarget.value) || 1);
              readPool();
            }}
          />
          <span aria-hidden="true">at once</span>
        </label>
      </header>
      <form class="fields" onSubmit={order}>
        <label>
          <span>Country</span>
          <select value={country} onChange={(event) => setCountry(event.currentTarget.value)}>
            {COUNTRIES.map((code) => (
              <option key={code}>{code}</option>
            ))}
          </select>
        </label>
        <label>
          <span>Numbers in all</span>
          <input type="number" class="num short" min="1" max="1000" value={count} onInput={(event) => setCount(Number(event.currentTarget.value))} />
        </label>
        <button type="submit">Order</button>
      </form>
      <LoadPlot />
      {countries.length === 0 ? (
        <div class="empty-state">
          <h3>No numbers yet</h3>
          <p>Virtual numbers are rented from the simulated carrier. It costs nothing here.</p>
        </div>
      ) : (
        countries.map((one) => <CountryOfPool key={one.country} country={one} />)
      )}
      {countries.length > 0 && (
        <p class="meta">A number that the carrier takes away becomes lost when the schedule next compares the pool with the account: within a minute or two.</p>
      )}
    </section>
  );
}
