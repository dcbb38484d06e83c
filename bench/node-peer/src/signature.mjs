// Vonage's signature on its webhooks: a JWT (HS256) in `Authorization: Bearer`, its claim `payload_hash` the hex SHA-256
// of the raw body. Source: Vonage, "Signed webhooks".

import { createHmac, createSecretKey, hash, timingSafeEqual } from "node:crypto";

import { required, wholeNumber } from "./config.mjs";

const secrets = [required("VONAGE_SIGNATURE_SECRET"), process.env.VONAGE_SIGNATURE_SECRET_2]
  .filter(Boolean)
  .map((secret) => createSecretKey(secret, "utf8"));
const maxAgeSeconds = wholeNumber("VONAGE_SIGNATURE_MAX_AGE_SECONDS", 300);
const apiKey = required("VONAGE_API_KEY");
const applicationId = required("VONAGE_APPLICATION_ID");

/** The refusal of a webhook without any signature, which Vonage sends again with one after a 5xx. */
export const NOT_SIGNED = "the webhook is not signed";

/**
 * Why a webhook with this `Authorization` header is not known to come from Vonage; nothing if it is. `body` holds the
 * bytes of a POST, and is undefined for a GET. `now` is in seconds since 1970.
 */
export function refusal(authorization, body, now) {
  const credentials = (authorization ?? "").trim();
  if (credentials === "" || /^Bearer$/i.test(credentials)) return NOT_SIGNED;
  const token = /^Bearer +(\S+)$/i.exec(credentials)?.[1];
  if (token === undefined) return "the webhook's authorization is no bearer token";
  const claims = claimsOf(token);
  if (claims === undefined) return "the webhook's signature is not valid";
  const covers =
    typeof claims.payload_hash === "string"
      ? equal(claims.payload_hash.toLowerCase(), hash("sha256", body ?? "", "hex"))
      : body === undefined;
  if (!covers) return "the webhook's body is not the one that was signed";
  if (!equal(claims.api_key, apiKey)) return "the webhook was signed for another Vonage account";
  if (typeof claims.application_id !== "string" || !equal(claims.application_id, applicationId)) {
    return "the webhook was signed for another Vonage application";
  }
  const age = Math.abs(Math.floor(now) - claims.iat);
  if (age > maxAgeSeconds) return `the webhook was signed ${age} s from now, which is too far`;
  return undefined;
}

/** The claims of a token that Vonage made and signed with one of the secrets. */
function claimsOf(token) {
  const [header, payload, signature, ...more] = token.split(".");
  if (signature === undefined || more.length > 0) return undefined;
  if (objectIn(header)?.alg !== "HS256") return undefined;
  const signed = Buffer.from(signature, "base64url");
  const signs = (secret) => {
    const expected = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
    return signed.length === expected.length && timingSafeEqual(signed, expected);
  };
  if (!secrets.some(signs)) return undefined;
  const claims = objectIn(payload);
  const isVonages = claims?.iss === "Vonage" && Number.isInteger(claims.iat) && typeof claims.api_key === "string";
  return isVonages ? claims : undefined;
}

function objectIn(base64url) {
  try {
    return JSON.parse(Buffer.from(base64url, "base64url").toString());
  } catch {
    return undefined;
  }
}

/** Whether two texts are equal, found out in a time that tells nothing of where they differ. */
function equal(a, b) {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
