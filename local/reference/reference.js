// The operations of the API, each with a form that sends it to this laptop stack.

const description = await (await fetch("/openapi.json")).json();
const main = document.querySelector("#operations");

/** Makes an element with text or further elements in it. */
function make(name, attributes = {}, ...contents) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...contents.filter((content) => content !== undefined));
  return element;
}

/** Returns what a `$ref` stands for, with what stands beside it. */
function resolve(value) {
  if (!value?.$ref) return value;
  const { $ref, ...beside } = value;
  const named = $ref.slice(2).split("/").reduce((at, name) => at[name], description);
  return { ...resolve(named), ...beside };
}

/** Returns the type of a schema in words, with its limits. */
function words(schema) {
  const { type, enum: allowed, items, oneOf, minimum, maximum, minLength, maxLength, minItems, maxItems, format } = resolve(schema);
  if (oneOf) return oneOf.map(words).join(" or ");
  if (allowed) return allowed.map(String).join(", ");
  const bounds = [minimum ?? minLength ?? minItems, maximum ?? maxLength ?? maxItems];
  const range = bounds.some((bound) => bound !== undefined) ? ` (${bounds.map((bound) => bound ?? "").join(" to ")})` : "";
  return `${[type ?? "anything"].flat().join(" or ")}${items ? ` of ${words(items)}` : ""}${format ? `, ${format}` : ""}${range}`;
}

/** Returns the members of a schema, also of those that it combines, as rows of name, type and meaning. */
function members(schema, path = "") {
  const { properties = {}, required = [], allOf = [], oneOf = [], items } = resolve(schema ?? {});
  const own = Object.entries(properties).flatMap(([name, member]) => {
    const at = path ? `${path}.${name}` : name;
    return [[at + (required.includes(name) ? " *" : ""), words(member), resolve(member).description ?? ""], ...members(member, at)];
  });
  const parts = [...allOf, ...oneOf].flatMap((part) => members(part, path));
  return [...own, ...parts, ...(items ? members(items, `${path}[]`) : [])];
}

function table(rows) {
  const cell = (text, nth) => make(nth ? "td" : "th", nth ? {} : { scope: "row" }, nth ? text : make("code", {}, text));
  return make("table", {}, make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell)))));
}

function fields(title, schema) {
  const rows = members(schema);
  if (!rows.length) return undefined;
  return make("details", {}, make("summary", {}, title), make("div", {}, make("p", { class: "soft" }, "* is always there."), table(rows)));
}

/** Shows the answer to a request in place of the one before. */
async function send(method, parameters, inputs, body, shown) {
  let path = parameters.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const [{ name, in: place }, input] of inputs) {
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value && place === "query") query.append(name, input.value);
    else if (input.value) headers[name] = input.value;
  }
  const url = query.size ? `${path}?${query}` : path;
  try {
    const answer = await fetch(url, { method, headers, body: body?.value, redirect: "manual" });
    const text = await answer.text();
    const head = [`${answer.status || "A redirect, which a page may not read"} ${method} ${url}`, ...[...answer.headers].map((header) => header.join(": "))];
    let pretty = text;
    try { pretty = JSON.stringify(JSON.parse(text), null, 1); } catch { /* It is no JSON. */ }
    shown.className = answer.status >= 400 ? "failed" : "";
    shown.replaceChildren(`${head.join("\n")}\n\n${pretty}`);
  } catch (error) {
    shown.className = "failed";
    shown.replaceChildren(`${method} ${url}\n\nThe stack does not answer: ${error.message}`);
  }
}

function operation(path, method, item) {
  const described = item[method];
  const id = described.operationId;
  const parameters = [...(item.parameters ?? []), ...(described.parameters ?? [])].map(resolve);
  const inputs = parameters.map((parameter) => {
    const value = parameter.required ? parameter.example ?? "" : "";
    return [parameter, make("input", { id: `${id}-${parameter.name}`, value, placeholder: words(parameter.schema) })];
  });
  const content = described.requestBody?.content["application/json"];
  const body = content && make("textarea", { id: `${id}-body`, rows: "8", spellcheck: "false" });
  if (body) body.value = JSON.stringify(content.example, null, 1);
  const shown = make("pre", { "aria-live": "polite", tabindex: "0", "aria-label": "Answer" }, "No answer yet");
  const form = make("form", {},
    ...inputs.flatMap(([{ name, required, description }, input]) => [
      make("label", { for: input.id }, make("code", {}, name), required ? " * " : " ", make("span", { class: "soft" }, description)), input]),
    ...(body ? [make("label", { for: body.id }, "Body"), body] : []),
    make("button", {}, "Send"), shown);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method.toUpperCase(), { path }, inputs, body, shown);
  });
  const answers = Object.entries(described.responses).map(([status, response]) => {
    const { description, content = {} } = resolve(response);
    const kinds = JSON.stringify(Object.values(content).map(({ schema }) => [schema, members(schema)])).match(/urn:maskline:problem:[a-z-]+/g);
    return [status, [description, ...new Set(kinds ?? [])].join("\n")];
  });
  const success = Object.entries(described.responses).find(([status]) => status < 300)?.[1];
  const details = make("details", { id }, make("summary", {}, make("span", { class: "method" }, method), make("code", {}, path), ` ${described.summary}`));
  // Only what is opened is made in full.
  details.addEventListener("toggle", () => {
    if (details.children.length > 1) return;
    details.append(make("div", {}, ...(described.description ? [make("p", {}, described.description)] : []), form,
      fields("Fields of the request", content?.schema), fields("Fields of the answer", resolve(success)?.content?.["application/json"]?.schema),
      make("h3", {}, "Answers"), table(answers)));
  });
  return details;
}

main.replaceChildren(...description.tags.flatMap(({ name, description: meaning }) => {
  const methods = Object.entries(description.paths).flatMap(([path, item]) =>
    ["post", "get", "patch", "put", "delete"].filter((method) => item[method]?.tags.includes(name)).map((method) => operation(path, method, item)));
  return [make("h2", {}, name), make("p", { class: "soft" }, meaning), ...methods];
}));
