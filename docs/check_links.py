"""Follows every link inside the built site: file and anchor must be there. `python docs/check_links.py docs/_build`."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# A page fetches nothing: these would be requests. Links to other sites are only followed by a reader's click.
FETCHES = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("object", "data"),
}
NOT_FETCHED = {"search", "index", "next", "prev", "author", "canonical"}  # rel= of a <link>


class Page(HTMLParser):
    """Anchors and references of one page."""

    def __init__(self, text):
        """Read it."""
        super().__init__()
        self.anchors, self.references, self.fetched = {"", "top"}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Collect what it names and what it refers to."""
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        for name in ("href", "src", "data"):
            target = found.get(name)
            if not target or (tag, name) not in FETCHES | {("a", "href")}:
                continue
            self.references.append(target)
            if (tag, name) in FETCHES and found.get("rel") not in NOT_FETCHED:
                self.fetched.append(target)


def faults_of(site):
    """What is wrong, a sentence each."""
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        here = path.relative_to(site)
        for target in page.fetched:
            if urlsplit(target).netloc:
                yield f"{here}: {target} would be fetched from the network"
        for target in page.references:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if file.is_dir():
                file /= "index.html"
            if not file.exists():
                yield f"{here}: {target} is not in the site"
            elif file in pages and unquote(parts.fragment) not in pages[file].anchors:
                yield f"{here}: {target} names an anchor that {file.name} does not have"


def main():
    """Print the faults; the exit status."""
    site = Path(sys.argv[1]).resolve()
    faults = list(faults_of(site))
    print(
        "\n".join(faults) or f"links: every one inside {site.name} leads somewhere, nothing is fetched from elsewhere"
    )
    return 1 if faults or not (site / "index.html").exists() else 0


if __name__ == "__main__":
    sys.exit(main())
