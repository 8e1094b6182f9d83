"""Runs the examples of the pages given as arguments, in their order, as a reader would who pastes them.

Python blocks of a page share one module, js blocks one file; each sh block is a script. Needs BASE, KEY and ADMIN, and node
with the openai package in the working directory. Never changes an example.
"""

import pathlib
import re
import subprocess
import sys


def main():
    for page in sys.argv[1:]:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```", pathlib.Path(page).read_text(), re.M | re.S)
        scope = {"__name__": "example"}
        for language, text in blocks:
            if language == "python":
                exec(compile(text, page, "exec"), scope)
            elif language == "sh":
                subprocess.run(["bash", "-euo", "pipefail", "-c", text], check=True)
        script = "\n".join(text for language, text in blocks if language == "js")
        if script:
            pathlib.Path("example.mjs").write_text(script)
            subprocess.run(["node", "example.mjs"], check=True)
        print(f"{page}: {len(blocks)} examples: ok")


if __name__ == "__main__":
    sys.exit(main())
