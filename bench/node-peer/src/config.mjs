// Configuration from the environment variables that the Rust function reads too.

/** The variable `name`, which has to be set and not empty. */
export function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`the environment variable ${name} is not set`);
  return value;
}

/** The whole number in the variable `name`, or `otherwise` where it is not set. */
export function wholeNumber(name, otherwise) {
  const value = process.env[name];
  if (!value) return otherwise;
  if (!/^\d{1,9}$/.test(value)) throw new Error(`the environment variable ${name} is malformed: must be a whole number`);
  return Number(value);
}
