# SPDX-License-Identifier: Apache-2.0
"""
What the tidy rules look at: the tracked files of the tree, and C sources with comments and strings taken out.
"""
import os
import re
import subprocess
from pathlib import Path

C_SUFFIXES = (".c", ".h")
SCRIPT_SUFFIXES = (".py", ".sh")
COMMENTED_SUFFIXES = C_SUFFIXES + SCRIPT_SUFFIXES + (".msg", ".proto", ".cmake")

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


class Finding:
    """One breach of a rule: where, and what to do."""

    def __init__(self, path, line, text):
        self.path = path
        self.line = line
        self.text = text

    def __str__(self):
        return "%s:%d: %s" % (self.path, self.line, self.text)


class Source:
    """One file: its path from the root, its text, and (for C) its code without comments and literals."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.room = os.path.dirname(path)
        self._code = None

    @property
    def is_c(self):
        return self.path.endswith(C_SUFFIXES)

    @property
    def is_header(self):
        return self.path.endswith(".h")

    @property
    def is_script(self):
        return self.path.endswith(SCRIPT_SUFFIXES) or self.text.startswith("#!")

    @property
    def code(self):
        """The text with comments and literals blanked, so that lines keep their numbers."""
        if self._code is None:
            self._code = _TOKEN.sub(_blank, self.text)
        return self._code

    def includes(self):
        """(line number, "quoted" or "system", name) of each #include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
            if match:
                yield number, "system" if match.group(1) == "<" else "quoted", match.group(2)

    def find(self, pattern, text=None):
        """(line number, match) of a pattern in the code."""
        text = self.code if text is None else text
        for match in re.finditer(pattern, text):
            yield text.count("\n", 0, match.start()) + 1, match

    def functions(self):
        """(line number, name, lines) of each function body: from its first line to the closing brace."""
        lines = self.code.split("\n")
        start = 0
        for number, line in enumerate(lines):
            if line.startswith("{"):
                start = _signature_start(lines, number)
                name = re.search(r"(\w+)\s*\(", " ".join(lines[start:number]))
            elif line.startswith("}") and start is not None and line.rstrip() == "}":
                if name:
                    yield start + 1, name.group(1), number - start + 1
                start, name = None, None


def _signature_start(lines, number):
    """The first line of the declaration that the brace at `number` opens."""
    start = number
    while start > 0 and lines[start - 1].strip() and not re.match(r"[}#]|.*;\s*$", lines[start - 1]):
        start -= 1
    return start


def _blank(match):
    token = match.group(0)
    if token[0] in "\"'":
        return token[0] + " " * (len(token) - 2) + token[0]
    return re.sub(r"[^\n]", " ", token)


def tracked_files(root):
    """The files that git knows or would add; without git, all that lie outside build folders."""
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True)
    if listing.returncode == 0:
        return sorted({name for name in listing.stdout.split("\n") if name and (root / name).is_file()})
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("build", ".git", "__pycache__")]
        found += [str((Path(folder) / name).relative_to(root)) for name in names]
    return sorted(found)


def load(root):
    """Every text file of the tree as a Source."""
    sources = []
    for name in tracked_files(root):
        try:
            sources.append(Source(name, (root / name).read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue
    return sources
