// Stands in for the SDK's search for credentials, which nobody asks here.

export function defaultProvider() {
  throw new Error("credentials come from the environment");
}
