"""
Pages as a browser sees them: Chromium without a screen, and what it made of them.

What can go wrong: the browser needs a folder of its own for what it keeps; without one it would use
the user's, and two at a time would meet there.
"""

import html.parser
import subprocess


def dom_of(url, folder):
    """The page's elements as text, after its scripts (if it has any) have run."""
    done = subprocess.run(
        ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage",  # which is small in a container
         f"--user-data-dir={folder}", "--virtual-time-budget=1000", "--dump-dom", url],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Tree(html.parser.HTMLParser):
    """Elements by id, with their text, and all text in `all`; what has no end tag is one of the few that need none."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.tags, self.links, self.all = [], {}, [], [], []
        self.feed(page)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs).get("href"))
        if tag != "meta":
            self.open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, tag

    def handle_data(self, data):
        self.all.append(data)
        for _, name in self.open:
            if name:
                self.text[name] = self.text.get(name, "") + data
