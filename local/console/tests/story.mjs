// The whole story of the console by clicking, in Chromium. The stack is that of GATEWAY; `just console-tests` starts one.

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const gateway = process.env.GATEWAY;
const pictures = process.env.PICTURES ?? "../../target/console";
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
mkdirSync(pictures, { recursive: true });

const executablePath = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));
assert(executablePath, "no Chromium is there: install one, or name it in CHROMIUM");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const complaints = [];

/** Opens the console in a browser of its own. */
async function open(options = {}) {
  // axe is put into the page, which its policy would refuse. A page of its own shows that the policy holds.
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => request.url().startsWith(gateway) || complaints.push(`a request to ${request.url()}`));
  await page.goto(`${gateway}/console`);
  return page;
}

const phone = (page, name) => page.getByRole("article", { name: `${name}'s phone`, exact: true });

/** Dials on a phone. Without a number it is the one in its newest text message. */
async function dial(page, name, number) {
  const of = phone(page, name);
  if (number) await of.getByRole("textbox", { name: /Number to dial/ }).fill(number);
  else await of.getByRole("button", { name: /^Put .* on the display/ }).first().click();
  await of.getByRole("button", { name: `Call from ${name}'s phone` }).click();
}

const heard = (page, name, words) => phone(page, name).getByText(words).first().waitFor();
/** Hangs up, unless what was said is over already. */
const leave = (page, name) => phone(page, name).getByRole("button", { name: `Hang up ${name}'s phone` }).click({ timeout: 3000 }).catch(() => undefined);
const isIdle = (page, name) => phone(page, name).getByRole("button", { name: `Call from ${name}'s phone` }).waitFor();

/** The elements that are wider than their place: the window, a box or a button. Innermost first. */
function tooWide() {
  const boxes = [...document.querySelectorAll(".stop-box, .phone, .panel, button:not(.message)")];
  const overflown = boxes.filter(({ scrollWidth, clientWidth }) => clientWidth && scrollWidth > clientWidth);
  if (overflown.length) return overflown.map(({ className, textContent }) => `${className} ${textContent.slice(0, 40)}`);
  if (document.documentElement.scrollWidth <= innerWidth) return [];
  const wide = [...document.querySelectorAll("body *")].filter((element) => element.getBoundingClientRect().right > innerWidth && !element.closest(".scroll *, .drawing *, pre *"));
  return wide.reverse().slice(0, 4).map(({ tagName, className, textContent }) => `${tagName}.${className} ${textContent.slice(0, 40)}`);
}

async function step(name, work) {
  const start = Date.now();
  await work();
  console.log(`ok  ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
}

const page = await open();
let other;

await step("a newcomer rents numbers and pairs two phones", async () => {
  await page.getByText("Nothing has happened yet").waitFor();
  await page.getByRole("button", { name: "Rent two numbers and pair the phones" }).click();
  await page.locator(".conversation.active").waitFor();
  await heard(page, "Rider", /To reach your driver, call/);
  await heard(page, "Driver", /To reach your rider, call/);
  await page.getByText("What a backend sends").click();
  await page.getByText(/^curl "http/).waitFor();
});

await step("the driver's phone rings and shows the mask", async () => {
  await dial(page, "Rider");
  await phone(page, "Driver").getByText("Incoming call").waitFor();
  const shown = await phone(page, "Driver").locator("[data-shows]").getAttribute("data-shows");
  assert.match(shown, /^\+?44745100000\d$/);
  await page.screenshot({ path: `${pictures}/ringing.png` });
});

await step("another browser sees the call and answers it", async () => {
  other = await open();
  await phone(other, "Driver").getByRole("button", { name: "Answer on Driver's phone" }).click();
  await phone(page, "Rider").getByText("Connected").waitFor();
  await phone(page, "Driver").getByText("Connected").waitFor();
});

await step("a reload in the middle of the call loses nothing", async () => {
  await page.reload();
  await phone(page, "Rider").getByText("Connected").waitFor();
  await page.getByRole("region", { name: "Sequence of Rider calls Driver" }).waitFor();
});

await step("each message of the sequence opens", async () => {
  const drawing = page.getByRole("region", { name: /^Sequence of/ });
  for (const [message, content] of [
    [/NCCO: talk, connect/, /"Connecting your call\."/],
    [/GetItem/, /"TableName"/],
    [/answer-webhook/, /"routeKey": "POST \/webhooks\/answer"/],
    [/POST \/webhooks\/answer/, /"authorization": "\(hidden\)"/],
  ]) {
    const button = drawing.getByRole("button", { name: message }).first();
    await button.click();
    await drawing.getByText(content).first().waitFor();
    await button.click();
  }
  await drawing.evaluate((element) => (element.scrollTop = 0));
  await page.screenshot({ path: `${pictures}/connected.png`, fullPage: true });
});

await step("one hangs up, and both phones are free", async () => {
  await phone(other, "Driver").getByRole("button", { name: "Hang up Driver's phone" }).click();
  await isIdle(page, "Rider");
  await isIdle(page, "Driver");
  await page.getByRole("region", { name: /^Sequence of/ }).getByText("hangs up").waitFor();
});

await step("a text is passed on, and its sequence is drawn", async () => {
  await phone(page, "Driver").getByRole("button", { name: /^Reply to/ }).click();
  await phone(page, "Driver").getByRole("textbox", { name: "Reply" }).fill("I am at the station.");
  await page.keyboard.press("Enter");
  await heard(page, "Rider", "I am at the station.");
  await page.getByRole("region", { name: "Sequence of Driver sends a text" }).waitFor();
});

await step("the backend calls both, one after the other", async () => {
  await page.getByRole("button", { name: "Call both" }).click();
  await phone(page, "Rider").getByRole("button", { name: "Answer on Rider's phone" }).click();
  await heard(page, "Rider", /To take it, press 1/);
  await phone(page, "Rider").getByRole("button", { name: "1", exact: true }).click();
  await phone(page, "Driver").getByRole("button", { name: "Answer on Driver's phone" }).click();
  await phone(page, "Rider").getByText("Connected").waitFor();
  await page.screenshot({ path: `${pictures}/both.png`, fullPage: true });
  await leave(page, "Rider");
  await isIdle(page, "Rider");
});

await step("by keyboard alone: dial, decline", async () => {
  const input = phone(page, "Driver").getByRole("textbox", { name: /Number to dial/ });
  const number = await phone(page, "Driver").getByRole("button", { name: /^Put/ }).first().innerText();
  await input.focus();
  await page.keyboard.type(number);
  await page.keyboard.press("Enter");
  await phone(page, "Rider").getByText("Incoming call").waitFor();
  const decline = phone(page, "Rider").getByRole("button", { name: "Decline on Rider's phone" });
  for (let tabs = 0; tabs < 200 && !(await decline.evaluate((button) => button === document.activeElement)); tabs += 1) {
    await page.keyboard.press("Shift+Tab");
  }
  await page.keyboard.press("Enter");
  await phone(page, "Rider").getByText("Call declined").waitFor();
  await isIdle(page, "Driver");
});

await step("a blocked side is not connected", async () => {
  await page.getByRole("button", { name: "Block Rider" }).click();
  await page.getByRole("button", { name: "Unblock Rider" }).waitFor();
  await dial(page, "Rider");
  await heard(page, "Rider", /not available/);
  await leave(page, "Rider");
  await isIdle(page, "Rider");
  await page.getByRole("button", { name: "Unblock Rider" }).click();
  await page.getByRole("button", { name: "Block Rider", exact: true }).waitFor();
});

await step("an outsider, a contact and a withheld number", async () => {
  const number = await phone(page, "Rider").getByRole("button", { name: /^Put/ }).first().innerText();
  for (const [button, name] of [
    ["Add an outsider", "Outsider"],
    ["Add a withheld number", "Withheld"],
  ]) {
    await page.getByRole("button", { name: button }).click();
    await dial(page, name, number);
    await phone(page, name).locator(".heard").first().waitFor();
    await leave(page, name);
    await isIdle(page, name);
  }
  await page.getByRole("button", { name: "Add a contact" }).click();
  await page.getByRole("combobox", { name: "Second", exact: true }).selectOption({ label: "Second driver" });
  await page.getByRole("button", { name: "Create conversation" }).click();
  await heard(page, "Second driver", /To reach your rider, call/);
});

await step("an ended conversation is in quarantine", async () => {
  const first = page.locator(".conversation").last();
  await first.getByRole("button", { name: "End" }).click();
  await first.getByText(/the quarantine/).waitFor();
  const number = await phone(page, "Driver").getByRole("button", { name: /^Put/ }).first().innerText();
  await dial(page, "Driver", number);
  await heard(page, "Driver", /ended/);
  await leave(page, "Driver");
  await isIdle(page, "Driver");
});

await step("a fault waits, strikes and goes", async () => {
  await page.getByRole("button", { name: "Inject: A slow table" }).click();
  await page.getByRole("list", { name: "Faults that wait" }).getByText("A slow table").waitFor();
  await page.getByRole("button", { name: "Remove all" }).click();
  await page.getByText("Everything works.").waitFor();
});

await step("the pool shows numbers, load and headroom", async () => {
  const country = page.getByRole("article", { name: "Numbers of GB" });
  await country.getByText("headroom").waitFor();
  assert.equal(await country.locator("tbody tr").count(), 2);
  // One conversation is active, and one in quarantine.
  const [active, quarantined] = await country.locator("tbody tr").first().locator("td.right").allInnerTexts();
  assert.deepEqual([active, quarantined], ["1", "1"]);
  await country.getByRole("button", { name: /^Take away/ }).last().click();
});

await step("a load draws the pool over time, in every browser and after a reload", async () => {
  const sample = (seconds, is_over, pool, refused) => ({
    run: "01234567-89ab-4cde-8f01-23456789abcd", seconds, is_over, created: seconds * 10, refused, failed_creations: 0, connected: seconds * 20, failed: 0, pool,
    latency: Object.fromEntries(["creations", "answers", "ends"].map((kind) => [kind, { count: 10, p50_ms: 1.25, p90_ms: 2, p99_ms: 3.5, most_ms: 4 }])),
  });
  const tell = async (...of) => {
    const answer = await fetch(`${gateway}/console/load`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(sample(...of)) });
    assert.equal(answer.status, 204);
  };
  const plot = (of) => of.getByRole("figure", { name: "Pool over time" });
  assert.equal(await plot(page).count(), 0);
  await tell(1, false, { ready: 20, in_use: 3 }, 0);
  await tell(2, false, null, 0);
  await plot(other).getByText("answers p50 1.3 ms, p99 3.5 ms").waitFor();
  await tell(3, true, { ready: 20, in_use: 20 }, 4);
  await plot(other).getByText("20 of 20 numbers in use · 30 created · 4 refused · 60 calls · 0 failed").waitFor();
  await page.reload();
  await plot(page).getByRole("img", { name: "Numbers of the pool over 3 seconds: 20 of 20 numbers in use" }).waitFor();
  const line = await plot(page).locator("polyline.in-use").getAttribute("points");
  assert.equal(line.split(" ").length, 2, "a sample without the pool has no point");
  assert.equal(await plot(page).locator("line.refused").count(), 1);
});

await other.context().close();

await step("axe finds nothing, and nothing is cut off, in all widths and colours", async () => {
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme, bypassCSP: true, storageState: await page.context().storageState() });
    const shown = await context.newPage();
    await shown.goto(`${gateway}/console`);
    await shown.locator(".conversation").first().waitFor();
    await shown.locator(".step .message").first().click();
    for (const width of [360, 768, 1100, 1280, 1600]) {
      await shown.setViewportSize({ width, height: 1000 });
      const overflow = await shown.evaluate(tooWide);
      if (overflow.length) found.push(`${width} px ${colorScheme}: too wide: ${overflow.join(" in ")}`);
      await shown.screenshot({ path: `${pictures}/${colorScheme}-${width}.png`, fullPage: true });
      if (![360, 1280].includes(width)) continue;
      await shown.addScriptTag({ path: axe });
      const { violations } = await shown.evaluate(() => axe.run());
      for (const { id, nodes } of violations) {
        found.push(`${width} px ${colorScheme}: ${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).slice(0, 3).join("\n  ")}`);
      }
    }
    await context.close();
  }
  assert.deepEqual(found, []);
});

await browser.close();
assert.deepEqual(complaints, [], "the console of the browser");
