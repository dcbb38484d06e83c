import { signal } from "@preact/signals";
import { render } from "preact";
import "./console.css";
import { Conversations } from "./conversations";
import { Diagrams } from "./diagrams";
import { Faults } from "./faults";
import { online, start } from "./live";
import { Notice } from "./notice";
import { lines, addPhone, phones } from "./phones";
import { PhoneCard } from "./phone-card";
import { Pool } from "./pool";
import { speaks } from "./speech";

type Theme = "" | "light" | "dark";

const theme = signal<Theme>((localStorage.getItem("maskline-theme") ?? "") as Theme);

function setTheme(next: Theme): void {
  theme.value = next;
  localStorage.setItem("maskline-theme", next);
  document.documentElement.dataset["theme"] = next;
}

function Top() {
  return (
    <header class="top">
      <h1>
        <svg viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
          <path d="M3 16h8m10 0h8" stroke="currentColor" stroke-width="2.5" stroke-linecap="round" />
          <circle cx="16" cy="16" r="5" fill="none" stroke="currentColor" stroke-width="2.5" />
        </svg>
        Maskline <span>console</span>
      </h1>
      <nav aria-label="Sections">
        {["phones", "conversations", "sequence", "pool", "faults"].map((id) => (
          <a key={id} href={`#${id}`}>
            {id === "sequence" ? "What happens" : id[0]!.toUpperCase() + id.slice(1)}
          </a>
        ))}
      </nav>
      <div class="settings">
        <label class="check">
          <input type="checkbox" checked={speaks.value} onChange={(event) => (speaks.value = event.currentTarget.checked)} />
          Speak
        </label>
        <label class="inline">
          <span class="visually-hidden">Colours</span>
          <select value={theme.value} onChange={(event) => setTheme(event.currentTarget.value as Theme)}>
            <option value="">System colours</option>
            <option value="light">Light</option>
            <option value="dark">Dark</option>
          </select>
        </label>
      </div>
    </header>
  );
}

function Phones() {
  const ringing = phones.value.filter(({ number }) => lines.value.get(number)?.state === "ringing" && !lines.value.get(number)?.over);
  return (
    <section id="phones" aria-labelledby="phones-title">
      <header class="row">
        <h2 id="phones-title">Phones</h2>
        <div class="actions">
          <button type="button" onClick={() => addPhone("Outsider")}>
            Add an outsider
          </button>
          <button type="button" onClick={() => addPhone()}>
            Add a contact
          </button>
          <button type="button" onClick={() => addPhone("Withheld", true)}>
            Add a withheld number
          </button>
        </div>
      </header>
      <p class="visually-hidden" role="status">
        {ringing.map(({ name }) => `${name}'s phone is ringing.`).join(" ")}
      </p>
      <div class="phones">
        {phones.value.map((phone) => (
          <PhoneCard key={phone.number} phone={phone} />
        ))}
      </div>
    </section>
  );
}

function Console() {
  return (
    <>
      <a class="skip" href="#phones">
        Skip to the phones
      </a>
      <Top />
      {!online.value && (
        <p class="offline" role="alert">
          The laptop stack does not answer. The console goes on as soon as `cargo run` does.
        </p>
      )}
      <main>
        <Notice />
        <Phones />
        <div class="columns">
          <div class="column">
            <Conversations />
          </div>
          <div class="column wide">
            <Diagrams />
          </div>
        </div>
        <div class="columns even">
          <Pool />
          <Faults />
        </div>
      </main>
    </>
  );
}

setTheme(theme.value);
start();
render(<Console />, document.getElementById("console")!);
