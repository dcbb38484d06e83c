// What the table holds under (caller, dialled number).

import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

import { required, wholeNumber } from "./config.mjs";

const TableName = required("TABLE_NAME");
const timeLimitMs = wholeNumber("DYNAMODB_TIME_LIMIT_MS", 700);

// Everything that the client would otherwise look for in files is said here; what it is given, it does not load.
const client = new DynamoDBClient({
  region: required("AWS_REGION"),
  endpoint: process.env.AWS_ENDPOINT_URL_DYNAMODB || undefined,
  credentials: {
    accessKeyId: required("AWS_ACCESS_KEY_ID"),
    secretAccessKey: required("AWS_SECRET_ACCESS_KEY"),
    sessionToken: process.env.AWS_SESSION_TOKEN || undefined,
  },
  // Two attempts and the short wait between them are within the time limit of a read.
  maxAttempts: 2,
  retryMode: "standard",
  cacheMiddleware: true,
  defaultsMode: "standard",
  useDualstackEndpoint: false,
  useFipsEndpoint: false,
  accountIdEndpointMode: "disabled",
  endpointDiscoveryEnabled: false,
  disableClockSkewCorrection: false,
  authSchemePreference: async () => [],
  userAgentAppId: async () => undefined,
  requestHandler: {
    connectionTimeout: timeLimitMs * 0.3,
    requestTimeout: timeLimitMs * 0.4,
    throwOnRequestTimeout: true,
  },
});

/**
 * What leads, or led, from `caller` to somebody by `dialled`. A route that is live at `now` (in seconds since 1970) may be
 * read as any replica has it; that there is none has to be true everywhere, so it is looked up again.
 */
export async function holderOf(caller, dialled, now) {
  const seen = await read(caller, dialled, false);
  return seen !== undefined && isLive(seen, now) ? seen : read(caller, dialled, true);
}

/** Whether calls are connected at `now`. */
export function isLive(holder, now) {
  return holder.connectTo !== undefined && now < holder.expiresAt;
}

/** Makes the connection by a read that finds nothing, so that the first call does not wait for it. */
export async function connect() {
  await read("0", "0", false).catch(() => {});
}

async function read(caller, dialled, ConsistentRead) {
  const Key = { pk: { S: `CALLER#${caller}` }, sk: { S: `NUMBER#${dialled}` } };
  const { Item: item } = await client.send(new GetItemCommand({ TableName, Key, ConsistentRead }));
  if (item === undefined) return undefined;
  const times = { expiresAt: Number(item.expires_at.N), quarantinedUntil: Number(item.quarantined_until.N) };
  if (item.erased !== undefined) return { conversation: item.erased.S, ...times };
  const { max_call_seconds, ring_seconds } = item.limits.M;
  return {
    conversation: item.conversation.S,
    connectTo: item.connect_to.S,
    presentAs: item.present_as.S,
    maxCallSeconds: Number(max_call_seconds.N),
    ringSeconds: Number(ring_seconds.N),
    ...times,
  };
}
