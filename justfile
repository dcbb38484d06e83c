# The steps of building, testing and measuring Maskline. `just ci` runs what CI runs.

set shell := ["bash", "-euo", "pipefail", "-c"]

# Python programs that recipes need are installed here, each once.
tools := justfile_directory() / "target/tools"
export PATH := tools / "sam/bin" + ":" + env("PATH")
export SAM_CLI_TELEMETRY := "0"

# List the recipes
default:
    @just --list

# Tell the story of one conversation on a stack of its own, and check every step
demo:
    cargo run -- demo

# Run all tests
test:
    cargo test --workspace

# Check formatting, lints and documentation
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

# Check licences, sources and banned crates of all dependencies
deny:
    cargo deny --log-level error check bans licenses sources

# Check all dependencies against the RustSec advisory database; fetches it
advisories:
    cargo deny check advisories

# Run the README's flow by curl, and Vonage's own libraries for Python and Node, each against a fresh stack
flow: (venv "vonage" "vonage==4.9.1") node-sdk
    cargo build --quiet --bin maskline
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- python3 .ci/flow.py
    NUMBER_LOOKUP=identity-insights .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- python3 .ci/flow.py
    TEXTS_BY=messages-api .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- python3 .ci/flow.py
    TEXTS_BY=messages-api WHATSAPP_SENDER=447700900099 RCS_SENDER=Rides \
        .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      {{tools}}/vonage/bin/python local/tests/vonage_message_models.py
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      bash -c '{{tools}}/vonage/bin/python local/tests/vonage_python_sdk.py "$VONAGE" 1a2b3c4d laptop-api-secret 00000000-0000-4000-8000-000000000001'
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      bash -c 'cd {{tools}}/node-sdk && node "$OLDPWD/local/tests/vonage_node_sdk.mjs" "$VONAGE" 1a2b3c4d laptop-api-secret 00000000-0000-4000-8000-000000000001'

# Run the clients of Twilio and AWS against the façades of Twilio Proxy and of the Amazon Chime SDK
facade: (venv "facade" "twilio==9.13.0" "boto3==1.43.11")
    cargo build --quiet --bin maskline
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      bash -c '{{tools}}/facade/bin/python local/tests/twilio_client.py "$GATEWAY" "$VONAGE"'
    LIST_CONVERSATIONS=on .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      bash -c '{{tools}}/facade/bin/python local/tests/chime_client.py "$GATEWAY" "$VONAGE"'

# Check the description of the API, send random requests for all of it, and run the README's example by two generated clients
openapi: (venv "openapi" "schemathesis==4.32.5" "openapi-python-client==0.29.1") openapi-packages
    {{tools}}/openapi-node/node_modules/.bin/redocly lint --skip-rule operation-2xx-response docs/openapi.yaml
    rm -rf target/openapi && mkdir -p target/openapi
    cd target/openapi && {{tools}}/openapi/bin/openapi-python-client generate --path "$OLDPWD/docs/openapi.yaml" --meta none \
      --output-path maskline_client --config <(echo 'post_hooks: []') --fail-on-warning
    {{tools}}/openapi-node/node_modules/.bin/openapi-typescript docs/openapi.yaml --default-non-nullable=false --output target/openapi/api.ts
    cp local/tests/generated_client.ts target/openapi/ && cp {{tools}}/openapi-node/package.json target/openapi/
    ln -s {{tools}}/openapi-node/node_modules target/openapi/
    cd target/openapi && node_modules/.bin/tsc --strict --skipLibCheck --target es2022 --module nodenext --types node generated_client.ts
    cargo build --quiet --bin maskline
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- \
      env PYTHONPATH=target/openapi {{tools}}/openapi/bin/python local/tests/generated_client.py
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- node target/openapi/generated_client.js
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- bash -c \
      'cd target/openapi && {{tools}}/openapi/bin/schemathesis --config-file ../../.ci/schemathesis.toml run ../../docs/openapi.yaml --url "$GATEWAY"'

# Build the console that the binary serves
console: console-packages
    cd local/console && npm run --silent build

# Check that the console is built from its sources, and click through all of it in Chromium, which has to be there
console-tests: console-packages
    cd local/console && npx tsc && npx vite build --logLevel error --outDir "{{tools}}/console" --emptyOutDir
    diff -r local/console/dist {{tools}}/console
    cargo build --quiet --bin maskline
    .ci/with-stack --port 0 --dynamodb-port 0 --vonage-port 0 -- npm --prefix local/console test

# Take random steps through everything, and compare the table with a model after each
model steps="100000":
    MASKLINE_MODEL_STEPS={{steps}} cargo test --workspace --test model -- --nocapture

# Take random steps with new seeds, in an optimized build, until a part of 250,000 fails or all are done
soak parts="40":
    #!/usr/bin/env bash
    set -euo pipefail
    export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=3
    for part in $(seq {{parts}}); do
      echo "part $part"
      MASKLINE_MODEL_STEPS=250000 cargo test --quiet --release --target-dir target/soak --workspace --test model -- --nocapture
    done

# Run all tests, and compare what the functions ask of DynamoDB with their permissions in the template
permissions:
    rm -f target/accesses
    MASKLINE_ACCESS_LOG="$PWD/target/accesses" cargo test --workspace
    just compare-permissions

# Run all tests, and give all NCCOs that they have made to Vonage's own models
nccos:
    rm -f target/nccos
    MASKLINE_NCCO_LOG="$PWD/target/nccos" cargo test --workspace
    just compare-nccos

# Compare the log that the tests have written with the template
[private]
compare-permissions:
    MASKLINE_ACCESS_LOG="$PWD/target/accesses" cargo test --workspace --test permissions -- --ignored

# Give the NCCOs that the tests have logged to Vonage's models
[private]
compare-nccos: (venv "vonage" "vonage==4.9.1")
    {{tools}}/vonage/bin/python local/tests/vonage_ncco_models.py target/nccos

# Run this release and the one of another revision at the same time on one table, with a storm of requests and calls
releases revision:
    rm -rf target/other-release && git worktree prune
    git worktree add --force --detach target/other-release {{revision}}
    cd target/other-release && CARGO_TARGET_DIR="{{justfile_directory()}}/target" cargo build --workspace --bin maskline
    cp target/debug/maskline target/other-release/maskline
    MASKLINE_OTHER_RELEASE="$PWD/target/other-release/maskline" cargo test --workspace --test releases -- --ignored --nocapture
    git worktree remove --force target/other-release

# Run the whole flow under random mixtures of faults
faults mixtures="100":
    MASKLINE_FAULT_MIXTURES={{mixtures}} cargo test --workspace --test faults random_faults -- --nocapture

# Throw hostile input at each fuzz target, for some seconds each
fuzz seconds="10":
    .ci/fuzz {{seconds}}

# Run the tests of the store and of races, and a short model, on another DynamoDB, such as AWS's DynamoDB Local
dynamodb url:
    MASKLINE_TEST_DYNAMODB_URL={{url}} MASKLINE_MODEL_STEPS=600 cargo test --workspace --test store --test race --test model

# Check the template: SAM's validation, and the result of SAM's transform
template: sam-cli
    sam validate --lint
    python .ci/template.py

# Scan the template for insecure settings; what is skipped has its reason in the template
scan: (venv "checkov" "checkov==3.3.30")
    {{tools}}/checkov/bin/checkov --file template.yaml --framework cloudformation --skip-download --compact --quiet

# Build the functions as they are deployed, for x86_64, and check the binaries
build: sam-cli
    sam build --config-env laptop
    .ci/binaries

# Pack the functions into archives that `sam deploy` takes in place of a build, for arm64 or x86_64
archives architecture="arm64": sam-cli
    sam build --parameter-overrides Architecture={{architecture}}
    just pack

# Pack the functions that are built
[private]
pack:
    .ci/archives target/archives
    cd target/archives && sha256sum --quiet --check SHA256SUMS
    sam validate --lint --template target/archives/template.yaml

# List the crates in each function as CycloneDX, beside the archives
bills-of-materials architecture="arm64":
    command -v cargo-cyclonedx >/dev/null || cargo install --quiet --locked --debug cargo-cyclonedx@0.5.9
    .ci/bills-of-materials {{architecture}} target/archives

# Invoke the built functions in containers with every event, and compare them with the laptop stack; needs Docker
sam-events: build
    cargo build --quiet --bin maskline
    .ci/with-stack --listen 0.0.0.0 -- python3 .ci/sam_local.py

# Measure starts, scale and load of the built functions; `just bench --quick` for a quarter of the runs
bench *arguments: build
    cargo run --bin bench -- --functions .aws-sam/build {{arguments}}

# Compile the bench and its floor, with the dependencies that `just build` has compiled
[private]
build-bench: sam-cli
    cargo build --quiet --bin bench --bin pool
    cargo lambda build --quiet --release --package floor --package answer-webhook

# Count the numbers that a load needs
pool:
    cargo run --bin pool

# Compare the answers of the peer in Node, which the published figures are measured against
peer:
    cargo build --quiet --bin maskline
    cd bench/node-peer && npm ci --silent --no-audit --no-fund && npm run --silent build && MASKLINE="$PWD/../../target/debug/maskline" npm test

# Measure all published figures, with the peer in Node and the cost; takes about half an hour on a quiet machine
figures: build peer
    cargo run --bin bench -- --functions .aws-sam/build --peer starts scale features load cost

# Run everything that CI runs
ci:
    bash .ci/run

# Install SAM and cargo-lambda into target/tools
[private]
sam-cli: (venv "sam" "aws-sam-cli==1.170.0" "cargo-lambda==1.9.2")

# Install the packages of the console, once for each list of them
[private]
console-packages:
    @cmp -s local/console/package-lock.json {{tools}}/console-packages || { mkdir -p {{tools}} && cd local/console && npm ci --silent --no-audit --no-fund && cp package-lock.json {{tools}}/console-packages; }

# Install what checks and reads the description of the API into target/tools, once
[private]
openapi-packages:
    @[ -e "{{tools}}/openapi-node/ready" ] || { mkdir -p "{{tools}}/openapi-node" && cd "{{tools}}/openapi-node" && echo '{"private": true, "type": "module"}' >package.json && npm install --silent --no-audit --no-fund @redocly/cli@2.77.0 openapi-typescript@7.13.0 openapi-fetch@0.17.0 typescript@5.9.3 @types/node@24.10.1 && touch ready; }

# Install Vonage's library for Node into target/tools, once
[private]
node-sdk:
    @[ -e "{{tools}}/node-sdk/ready" ] || { mkdir -p "{{tools}}/node-sdk" && cd "{{tools}}/node-sdk" && echo '{"private": true}' >package.json && npm install --silent --no-audit --no-fund @vonage/server-sdk@3.30.1 && touch ready; }

# Make a Python environment in target/tools, once
[private]
venv name *packages:
    @[ -e "{{tools}}/{{name}}/ready" ] || { python3 -m venv "{{tools}}/{{name}}" && "{{tools}}/{{name}}/bin/pip" install --quiet --no-compile {{packages}} && touch "{{tools}}/{{name}}/ready"; }
