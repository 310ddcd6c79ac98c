"""Makes answer.svg, a picture of the first query that `gearsql demo` runs: python docs/images/capture.py"""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

DEMO = [sys.executable, "-c", "from gearsql.cli import main; main(prog_name='gearsql')", "demo"]
WIDTH = 104
# Rich's own picture loads a font from elsewhere; the reader's monospaced one will do.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Run the demo and draw its screen up to the second query."""
    printed = subprocess.run(DEMO, capture_output=True, text=True, check=True).stdout
    screen = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False)
    screen.print(Text("$ gearsql demo", style="bold"))
    screen.print(Text(printed.partition("\n2. ")[0].rstrip()))
    svg = screen.export_svg(title="gearsql")
    (Path(__file__).parent / "answer.svg").write_text(FONT_FACE.sub("", svg).replace("Fira Code, ", ""))


if __name__ == "__main__":
    main()
