// The one place that tells what was refused.

import { signal } from "@preact/signals";
import { Refusal } from "./api";

const notice = signal<string | undefined>(undefined);

/** Does something, and tells if it was refused. Returns true if it was done. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    notice.value = undefined;
    return true;
  } catch (error) {
    notice.value = error instanceof Refusal ? error.message : String(error);
    return false;
  }
}

export function Notice() {
  return (
    <div class="notice" role="status" aria-live="polite">
      {notice.value && (
        <p>
          {notice.value}
          <button type="button" class="link" onClick={() => (notice.value = undefined)}>
            Close
          </button>
        </p>
      )}
    </div>
  );
}
