// The call actions that Vonage is answered with. Source: Vonage Voice API, NCCO reference.

/** What is said to a caller before the other phone rings takes no longer, in seconds. */
const SAID_SECONDS = 5;

export function connecting({ connectTo, presentAs, maxCallSeconds, ringSeconds }) {
  return [
    talk("Connecting your call."),
    {
      action: "connect",
      from: presentAs,
      endpoint: [{ type: "phone", number: connectTo }],
      timeout: ringSeconds,
      limit: Math.max(0, maxCallSeconds - ringSeconds - SAID_SECONDS),
    },
  ];
}

export const ended = [
  talk("The conversation that this number was for has ended, so your call cannot be connected. Goodbye."),
];

export const nobody = [
  talk(
    "Sorry, this number cannot connect you. Please call from the phone that you gave us, with your caller ID shown. Goodbye.",
  ),
];

export const tryAgain = [talk("Sorry, we cannot connect your call right now. Please call again in a minute.")];

function talk(text) {
  return { action: "talk", text, language: "en-GB" };
}
