#!/bin/sh
# Lets a validator judge the committed document, and schemathesis ask every route of a server what its own document says it
# answers. Versions, the seed and the number of examples are fixed, so that a failure can be repeated. Needs python3 and PyPI.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
tools=.tools/openapi-1
if [ ! -x "$tools/bin/schemathesis" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check openapi-spec-validator==0.9.0
    "$tools/bin/pip" install --quiet --disable-pip-version-check schemathesis==4.32.5
fi
"$tools/bin/openapi-spec-validator" openapi/openapi.json openapi/operator.json
SCHEMATHESIS="$PWD/$tools/bin/schemathesis" cargo test --locked --test it schemathesis -- --ignored --nocapture
