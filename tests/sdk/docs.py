"""Runs the examples of the pages given as arguments, in their order, as a reader would who pastes them.

Python blocks of a page share one module, js blocks one file; each sh block is a script, and a json block after it is what it
prints. A block of any other kind is refused, so that none goes unchecked. Needs BASE, KEY, ADMIN, OPERATOR_BASE and OPERATOR,
wanserve on the path with WANSERVE_DATA_DIR naming the server's folder, and node with the openai package in the working
directory. Never changes an example.
"""

import json
import pathlib
import re
import subprocess
import sys


def run(page):
    """The number of its examples."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", pathlib.Path(page).read_text(), re.M | re.S)
    scope = {"__name__": "example"}
    printed = None
    for language, text in blocks:
        if language == "python":
            exec(compile(text, page, "exec"), scope)
        elif language == "sh":
            script = ["bash", "-euo", "pipefail", "-c", text]
            printed = subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True).stdout
            print(printed)
        elif language == "json":
            assert json.loads(printed) == json.loads(text), f"{page} says {text} where there is {printed}"
        elif language != "js":
            raise SystemExit(f"{page}: nobody runs an example in {language or 'no language'}: {text}")
    script = "\n".join(text for language, text in blocks if language == "js")
    if script:
        pathlib.Path("example.mjs").write_text(script)
        subprocess.run(["node", "example.mjs"], check=True)
    return len(blocks)


def main():
    for page in sys.argv[1:]:
        print(f"{page}: {run(page)} examples: ok")


if __name__ == "__main__":
    sys.exit(main())
