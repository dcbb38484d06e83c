// What is heard on phones, spoken by the browser.

import { effect, signal } from "@preact/signals";
import { calls } from "./live";

export const speaks = signal(false);

const spoken = new Map<string, number>();

/** Speaks what is heard from now on. What was heard while it was switched off stays unspoken. */
effect(() => {
  for (const [uuid, report] of calls.value) {
    const heard = [...report.phones.caller.heard, ...report.callees.flatMap((callee) => callee.heard)];
    const before = spoken.get(uuid) ?? 0;
    spoken.set(uuid, heard.length);
    if (speaks.value && "speechSynthesis" in window) {
      for (const text of heard.slice(before)) speechSynthesis.speak(new SpeechSynthesisUtterance(text));
    }
  }
});
