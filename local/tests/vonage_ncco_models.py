"""Vonage's own models of an NCCO against all NCCOs that the tests have made.

    pip install vonage
    MASKLINE_NCCO_LOG=nccos cargo test --workspace
    python vonage_ncco_models.py nccos

A line of the file is an NCCO. Each action has to be valid for its model, and the model has to know each of its fields. Each kind
of action that the product can make has to be there.
"""

import json
import sys
from collections import Counter
from enum import Enum
from pathlib import Path

from pydantic import ValidationError
from vonage_voice.errors import VoiceError
from vonage_voice.models import Connect, Conversation, Input, Notify, Record, Stream, Talk, Wait

MODELS = {
    "connect": Connect,
    "conversation": Conversation,
    "input": Input,
    "notify": Notify,
    "record": Record,
    "stream": Stream,
    "talk": Talk,
    "wait": Wait,
}

# Fields that Vonage's documentation has and this library's model does not.
# Source: Vonage Voice API, NCCO reference, "Input": `mode` is `synchronous` or `asynchronous`.
UNKNOWN_TO_MODELS = {"input": {"mode"}}


def plain(value):
    """Returns the JSON of a model's fields."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def fault_of(action):
    """Returns what Vonage's model has against an action, or None."""
    name = action.get("action")
    model = MODELS.get(name)
    if model is None:
        return "there is no model of it"
    known = {field: value for field, value in action.items() if field not in UNKNOWN_TO_MODELS.get(name, set())}
    # The model takes `from` by the name that Python allows.
    arguments = {"from_" if field == "from" else field: value for field, value in known.items()}
    try:
        read = model(**arguments)
    except (ValidationError, VoiceError) as error:
        return str(error)
    # A model ignores fields that it does not know. What it gives back then lacks them.
    back = plain(read.model_dump(by_alias=True, exclude_none=True, exclude_unset=True))
    return None if back == known else f"the model makes {json.dumps(back)} of it"


def main(file):
    seen, faults = Counter(), {}
    lines = set(Path(file).read_text(encoding="utf-8").splitlines())
    for line in lines:
        for action in json.loads(line):
            name = action.get("action")
            seen[(name, action.get("mode") or ("endOnSilence" in action and "until silence") or None)] += 1
            fault = fault_of(action)
            if fault:
                faults.setdefault((name, fault), action)
    for (name, fault), action in faults.items():
        print(f"{name}: {fault}\n  {json.dumps(action)}", file=sys.stderr)
    expected = {(name, None) for name in ["connect", "conversation", "input", "notify", "record", "stream", "talk"]}
    expected |= {("input", "asynchronous"), ("record", "until silence")}
    missing = expected - set(seen)
    if missing:
        print(f"no test has made: {sorted(missing, key=str)}", file=sys.stderr)
    if faults or missing:
        sys.exit(1)
    kinds = ", ".join(f"{count} {name}{f' ({kind})' if kind else ''}" for (name, kind), count in sorted(seen.items(), key=str))
    print(f"Vonage's models accept {len(lines)} different NCCOs: {kinds}")


if __name__ == "__main__":
    main(sys.argv[1])
