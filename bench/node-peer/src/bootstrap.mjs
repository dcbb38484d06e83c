// Lambda's Runtime API, spoken as plainly as it can be: ask for an event, answer it, ask for the next.
//
// Lambda's own Node runtime does more before and around a handler (it loads it by name, patches the console, keeps a
// context, streams), so what is measured here is kind to Node. Source: AWS Lambda Developer Guide, "Using the Lambda
// runtime API for custom runtimes".

import http from "node:http";

import { handle, start } from "./handler.mjs";

const { hostname, port } = new URL(`http://${process.env.AWS_LAMBDA_RUNTIME_API}`);
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

/** Sends one request to the Runtime API; resolves with the response's headers and its body as text. */
function ask(method, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const request = http.request({ agent, hostname, port, method, path: `/2018-06-01/runtime/${path}`, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("end", () => {
        if (response.statusCode < 300) resolve({ headers: response.headers, text });
        else reject(new Error(`the Runtime API answered ${response.statusCode} to ${method} ${path}`));
      });
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function run() {
  await start();
  for (;;) {
    const next = await ask("GET", "invocation/next");
    const requestId = next.headers["lambda-runtime-aws-request-id"];
    const answer = await handle(JSON.parse(next.text), requestId);
    await ask("POST", `invocation/${requestId}/response`, JSON.stringify(answer));
  }
}

// A failure ends the process, as Lambda expects.
run();
