"""Follows every relative link of every page in the tree. Usage: check_links.py ROOT.
Prints each broken one; ends with 1 if there is one."""

import re
import sys
from pathlib import Path

LINK = re.compile(r"\[[^\]\[]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
LEFT_OUT = {"build", ".git", ".ccache"}


def pages(root):
    for path in sorted(root.rglob("*.md")):
        if not LEFT_OUT.intersection(path.relative_to(root).parts):
            yield path


def anchors(path):
    """The anchors that a page's headings make, as code hosting sites form them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for heading in HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower())
        yield words.replace(" ", "-")


def faults(root):
    for page in pages(root):
        text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page
            where = page.relative_to(root)
            if not path.exists():
                yield f"{where}: {target} leads nowhere"
            elif not path.is_relative_to(root.resolve()):
                yield f"{where}: {target} leads out of the tree"
            elif anchor and path.suffix == ".md" and anchor not in anchors(path):
                yield f"{where}: {target}: no such heading"


if __name__ == "__main__":
    found = list(faults(Path(sys.argv[1]).resolve()))
    print("\n".join(found))
    sys.exit(1 if found else 0)
