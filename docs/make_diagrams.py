"""Draws the mermaid diagrams of the pages into docs/diagrams/, for the site; GitHub draws them by itself.

Usage: python docs/make_diagrams.py mermaid.min.js    (from the npm package mermaid, dist/; needs Chromium)
"""

import html
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from site_directives import HERE, digest

FENCE = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = """<!doctype html><meta charset="utf-8"><body><pre id="text" hidden>{text}</pre><div id="out"></div>
<script src="{script}"></script><script>
(async () => {{
  const out = document.getElementById("out");
  mermaid.initialize({{startOnLoad: false, theme: "neutral", htmlLabels: false, fontFamily: "sans-serif",
                       deterministicIds: true, flowchart: {{htmlLabels: false, wrappingWidth: 420}}}});
  const {{svg}} = await mermaid.render("diagram", document.getElementById("text").textContent);
  out.innerHTML = svg;
  out.textContent = new XMLSerializer().serializeToString(out.firstElementChild);
}})().catch(error => {{ document.getElementById("out").textContent = "failed: " + error; }});
</script>"""


def draw(text: str, script: Path) -> str:
    """The SVG of one diagram."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(PAGE.format(script=script.resolve().as_uri(), text=html.escape(text)), encoding="utf-8")
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom")
        command = [browser, *options, f"--user-data-dir={folder}/profile", page.as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = re.search(r'<div id="out">(&lt;svg.*?)</div>', shown, re.DOTALL)
    if found is None:
        message = re.search(r"failed: [^<]*", shown)
        sys.exit(f"mermaid drew nothing; {message[0] if message else shown[-2000:]}")
    return html.unescape(found[1])


def main() -> int:
    """Draws what has no drawing, deletes what no page has; returns the exit status."""
    texts = [text for page in sorted(HERE.glob("*.md")) for text in FENCE.findall(page.read_text(encoding="utf-8"))]
    wanted = {HERE / "diagrams" / f"{digest(text)}.svg": text for text in texts}
    for old in set((HERE / "diagrams").glob("*.svg")) - set(wanted):
        old.unlink()
    for path, text in wanted.items():
        if not path.exists():
            if len(sys.argv) != 2:
                sys.exit(__doc__)
            path.parent.mkdir(exist_ok=True)
            path.write_text(draw(text, Path(sys.argv[1])) + "\n", encoding="utf-8")
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
