# SPDX-License-Identifier: Apache-2.0
"""
The house rules, one function each: rule(sources, root) gives Findings. Names of functions are names of tests.
"""
import ast
import concurrent.futures
import os
import re
import shutil
import subprocess

import invariants
from rooms import (ARROWS, DOORS, IMPURE_OWN_HEADERS, PURE, PURE_EXTRA_HEADERS, PURE_HEADERS, room_of)
from tree import COMMENTED_SUFFIXES, Finding

FILE_LINES = 650
FUNCTION_LINES = 70
PYTHON_COLUMNS = 120

_CALL = r"(?<![\w.>])(?:%s)\s*\("
BANNED = ("sprintf", "vsprintf", "strcpy", "strcat", "strncpy", "strncat", "strtok", "strtok_r", "rand", "srand",
          "random", "gets", "atoi", "atol", "atoll", "alloca", "tmpnam", "mktemp",
          "system", "popen")
CLOCKS = ("time", "gettimeofday", "clock_gettime", "clock", "ftime")
# What the headers that a pure file may include would still let it call.
WORLD = ("malloc", "calloc", "realloc", "strdup", "strndup", "getenv", "setenv", "atexit", "random", "pthread_\\w+",
         "event_\\w+", "zoo_\\w+", "zookeeper_\\w+") + CLOCKS
# Words of a sentence that say "unfinished", split here so that this file does not break its own rule.
UNFINISHED = (r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b"
              r"|(?i:\b(?:st" r"ub(?:bed|s)?|place" r"holder|not" r" implemented|un" r"implemented)\b)"
              r"|(?i:\bfor" r" now[.,;:)])")
MACHINE_PATHS = r"/wo" r"rk/|/ro" r"ot/\.|/ho" r"me/\w+|/tmp/te" r"am|\.\./sha" r"red"
PLAIN_VERBS = r"_(init|new|free|release|clear|count|add|status|encode|decode)$"
ABBREVIATIONS = {"ctl", "cfg", "conf", "msg", "buf", "len", "idx", "ptr", "cnt", "tmp", "mgr", "hdr", "pkt", "ctx",
                 "num", "str", "cb", "func", "fn", "req", "resp", "rsp", "conn", "addr", "sz", "val", "arr", "rec"}


def c_sources(sources, headers_only=False):
    return [source for source in sources if (source.is_header if headers_only else source.is_c)]


def house(sources):
    """C sources that lie in a room, without tests."""
    return [source for source in c_sources(sources) if room_of(source.path)]


def include_arrows(sources, root):
    """Includes go by path from the root, and one way: down."""
    for source in c_sources(sources):
        room = room_of(source.path)
        if room is None and not source.path.startswith("tests/"):
            yield Finding(source.path, 1, "C code in a folder that tests/tidy/rooms.py does not list")
            continue
        for line, kind, name in source.includes():
            if kind != "quoted" or room is None:
                continue
            target = room_of(name)
            if target is None and not name.endswith(".pb-c.h"):
                yield Finding(source.path, line, 'include "%s" by its path from the root' % name)
            elif target not in (None, room) + ARROWS[room]:
                yield Finding(source.path, line, "%s may not include from %s" % (room, target))


def library_doors(sources, root):
    """A library is included only by the room that wraps it."""
    for source in house(sources):
        for line, kind, name in source.includes():
            for header, allowed in DOORS.items():
                if kind == "system" and re.fullmatch(header, name) and not re.fullmatch(allowed, source.path):
                    yield Finding(source.path, line, "<%s> is included only by %s" % (name, allowed))


def pure_cores(sources, root):
    """What decides does not act: no system headers, clock, chance, threads or IO in a pure file."""
    world = _CALL % "|".join(WORLD)
    for source in house(sources):
        if not any(re.fullmatch(pattern, source.path) for pattern in PURE):
            continue
        allowed = PURE_HEADERS | PURE_EXTRA_HEADERS.get(source.path, set())
        for line, kind, name in source.includes():
            if kind == "system" and name not in allowed:
                yield Finding(source.path, line, "<%s> in a pure file" % name)
            if kind == "quoted" and name in IMPURE_OWN_HEADERS:
                yield Finding(source.path, line, '"%s" opens onto the world; a pure file cannot use it' % name)
        for line, match in source.find(world):
            yield Finding(source.path, line, "call of %s in a pure file" % match.group(0).strip(" ("))


def banned_functions(sources, root):
    """Functions with no bound, no thread safety or no error have a better sister; the clock has one caller."""
    for source in c_sources(sources):
        for line, match in source.find(_CALL % "|".join(BANNED)):
            yield Finding(source.path, line, "%s is banned" % match.group(0).strip(" ("))
        if source.path == "common/clock_posix.c" or source.path.startswith("tests/"):
            continue
        for line, match in source.find(_CALL % "|".join(CLOCKS)):
            yield Finding(source.path, line, "%s: only common/clock_posix.c asks the system for time"
                          % match.group(0).strip(" ("))


def file_sizes(sources, root):
    """A file is read in one sitting."""
    for source in sources:
        count = len(source.lines) - 1
        if (source.is_c or source.is_script) and count > FILE_LINES:
            yield Finding(source.path, count, "%d lines; a file has at most %d" % (count, FILE_LINES))


def function_sizes(sources, root):
    """A function is seen at one glance."""
    for source in sources:
        if source.is_c:
            functions = source.functions()
        elif source.path.endswith(".py"):
            functions = _python_functions(source)
        else:
            continue
        for line, name, count in functions:
            if count > FUNCTION_LINES:
                yield Finding(source.path + ":" + name, count,
                              "%d lines (from line %d); a function has at most %d" % (count, line, FUNCTION_LINES))


def _python_functions(source):
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, node.end_lineno - node.lineno + 1


def licence_line(sources, root):
    """Each source names the licence in its first three lines."""
    for source in sources:
        named = source.path.endswith(COMMENTED_SUFFIXES + ("CMakeLists.txt",)) or source.is_script
        if named and source.text and "SPDX-License-Identifier: Apache-2.0" not in "".join(source.lines[:3]):
            yield Finding(source.path, 1, "the first line names the licence: SPDX-License-Identifier: Apache-2.0")


def first_comment(sources, root):
    """Each source says its one job right after the licence."""
    c_start = re.compile(r"/\* SPDX[^\n]*\*/\n/\*.{20,}?\*/", re.DOTALL)
    script_start = re.compile(r'(#![^\n]*\n)?# SPDX[^\n]*\n(#\n# \S|# \S|\n*r?""")')
    for source in sources:
        if source.is_c and not c_start.match(source.text):
            yield Finding(source.path, 1, "after the licence comes a comment that says the file's one job")
        if source.is_script and len(source.lines) > 2 and not script_start.match(source.text):
            yield Finding(source.path, 1, "after the licence comes a comment or docstring that says the file's one job")


def header_guards(sources, root):
    """The guard of common/map.h is COMMON_MAP_H."""
    for source in c_sources(sources, headers_only=True):
        guard = re.sub(r"[^A-Z0-9]", "_", source.path.upper())
        start = re.search(r"^#ifndef (\w+)\n#define (\w+)\n", source.text, re.MULTILINE)
        if not start or start.group(1) != guard or start.group(2) != guard or not source.text.endswith("#endif\n"):
            yield Finding(source.path, 1, "the header guard is %s, from the first line of code to the last" % guard)


def goto_only_out(sources, root):
    """One label a function, `out:`, below all its gotos."""
    for source in c_sources(sources):
        labels = [line for line, _ in source.find(r"(?m)^\s*out:")]
        for line, match in source.find(r"\bgoto\s+(\w+)"):
            if match.group(1) != "out":
                yield Finding(source.path, line, "goto %s: the only label is out" % match.group(1))
            elif not any(label > line for label in labels):
                yield Finding(source.path, line, "goto goes forward only")


def no_trailing_space(sources, root):
    """No tabs, no spaces at the end of a line, a newline at the end of the file, lines that fit."""
    for source in sources:
        if source.path.startswith(("tests/golden/", "tests/fuzz/corpus/")):
            continue
        if source.path.endswith((".svg", ".json", ".bin")):
            continue
        for number, line in enumerate(source.lines, 1):
            if line != line.rstrip():
                yield Finding(source.path, number, "space at the end of the line")
            if "\t" in line and (source.is_c or source.is_script):
                yield Finding(source.path, number, "a tab")
            if len(line) > PYTHON_COLUMNS and source.is_script:
                yield Finding(source.path, number, "longer than %d columns" % PYTHON_COLUMNS)
        if source.text and not source.text.endswith("\n"):
            yield Finding(source.path, len(source.lines), "no newline at the end")


def finished_words(sources, root):
    """What is in the tree is done: no notes of unfinished work."""
    for source in sources:
        if source.path == "LICENSE":
            continue
        for line, match in source.find(UNFINISHED, source.text):
            yield Finding(source.path, line, "'%s' speaks of unfinished work" % match.group(0))


def no_machine_paths(sources, root):
    """Nothing names a folder of one particular machine."""
    for source in sources:
        for line, match in source.find(MACHINE_PATHS, source.text):
            yield Finding(source.path, line, "'%s' is a place on one machine" % match.group(0))


def no_typedef_structs(sources, root):
    """A struct is called struct."""
    for source in c_sources(sources):
        for line, match in source.find(r"\btypedef\s+(struct|enum|union)\b"):
            yield Finding(source.path, line, "typedef of a %s" % match.group(1))


def check_without_effects(sources, root):
    """CHECK states; it does nothing."""
    for source in c_sources(sources):
        for line, match in source.find(r"\bCHECK\(([^;]*)\);"):
            if re.search(r"\+\+|--|(?<![=!<>])=(?!=)", match.group(1)):
                yield Finding(source.path, line, "a CHECK with a side effect")


def _declarations(source):
    """(line number, name) of each function declared in a header, inline ones included."""
    pattern = r"(?m)^(?!typedef|static const|return|extern|#)(?:[A-Za-z_][\w ]*?[ *]+)(\w+)\((?!\*)"
    for line, match in source.find(pattern):
        yield line, match.group(1)


def documented_headers(sources, root):
    """A function of a header has a comment in its paragraph or the one above; plain verbs and inline ones need none."""
    for source in house(sources):
        if not source.is_header:
            continue
        for line, name in _declarations(source):
            plain = re.search(PLAIN_VERBS, name) or "inline" in source.lines[line - 1]
            if not plain and "*/" not in _paragraph(source, line):
                yield Finding(source.path, line, "%s has no comment" % name)


def _paragraph(source, line):
    """The lines around a line up to the next blank one, and the paragraph above them (not the file's head)."""
    first = last = line - 1
    blanks = 0
    while first > 0 and not re.match(r"#(ifndef|include)|#define \w+$", source.lines[first - 1]):
        blanks += not source.lines[first - 1].strip()
        if blanks == 2:
            break
        first -= 1
    while last + 1 < len(source.lines) and source.lines[last + 1].strip():
        last += 1
    return "\n".join(source.lines[first:last + 1])


def full_words(sources, root):
    """Functions of headers use the field's words in full."""
    for source in house(sources):
        if source.is_header:
            for line, name in _declarations(source):
                short = [word for word in name.lower().split("_") if word in ABBREVIATIONS]
                if short:
                    yield Finding(source.path, line, "%s: write '%s' in full" % (name, short[0]))


def headers_compile_alone(sources, root):
    """Each header brings what it needs."""
    generated = [word for path in sorted((root / "build").glob("*/generated")) for word in ("-I", str(path))]
    command = ["gcc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function",
               "-fsyntax-only", "-I", str(root), *generated, "-x", "c", "-"]

    def compile_alone(source):
        text = '#include "%s"\nint alone;\n' % source.path
        return source, subprocess.run(command, input=text, capture_output=True, text=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(compile_alone, (source for source in house(sources) if source.is_header)))
    for source, result in results:
        missing = re.search(r"fatal error: (\S+): No such file", result.stderr)
        if missing and not (root / missing.group(1)).exists():
            continue  # made by a build that has not run; the build itself would find it missing
        if result.returncode != 0:
            yield Finding(source.path, 1, "does not compile alone: " + result.stderr.strip().split("\n")[0])


def clang_format_clean(sources, root):
    """The formatter has nothing to change."""
    paths = [source.path for source in c_sources(sources)]
    if shutil.which("clang-format") is None or not paths:
        return
    command = ["clang-format", "--style=file", "--dry-run", "--ferror-limit=1", *paths]
    said = subprocess.run(command, cwd=root, capture_output=True, text=True).stderr
    for path, line in re.findall(r"(?m)^(\S+?):(\d+):\d+: (?:warning|error): code should be clang-formatted", said):
        yield Finding(path, int(line), "clang-format -i %s" % path)


def no_global_state(sources, root):
    """Nothing at file scope changes: it can then be made twice, and simulated."""
    pattern = r"(?m)^(?:static |extern |_Thread_local |__thread )*(?!typedef|return|struct \w+;|enum \w+;)" \
              r"((?:unsigned |signed |struct |enum |union )?[a-z_]\w*)[ *]+(\w+)(?:\[[^\]\n]*\])*\s*(=|;)"
    for source in house(sources):
        depth_zero = _file_scope(source.code)
        for line, match in source.find(pattern, depth_zero):
            if not re.search(r"\bconst\b|#", match.group(0)):
                yield Finding(source.path, line, "%s is global and can change" % match.group(2))


def _file_scope(code):
    """The code with everything inside braces blanked."""
    out, depth = [], 0
    for character in code:
        depth -= character == "}"
        out.append(character if depth == 0 or character == "\n" else " ")
        depth += character == "{"
    return "".join(out)


def no_global_symbols(sources, root):
    """The same, asked of the compiler: the release build's objects hold no writable data."""
    objects = sorted((root / "build" / "release").glob("**/*.o"))
    ours = [path for path in objects if "/tests/" not in str(path) and not path.name.endswith(".pb-c.c.o")]
    for path in ours:
        listing = subprocess.run(["nm", "--format=sysv", str(path)], capture_output=True, text=True).stdout
        for row in listing.split("\n"):
            fields = [field.strip() for field in row.split("|")]
            if len(fields) == 7 and re.match(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)|\*COM\*", fields[6]):
                if fields[3] not in ("SECTION", "FILE"):
                    name = path.relative_to(root / "build" / "release")
                    yield Finding(str(name), 1, "%s is global and can change" % fields[0])


def invariants_have_tests(sources, root):
    """Each invariant has a test that is named after its number, and the table of them is true."""
    yield from invariants.findings(sources)


RULES = (include_arrows, library_doors, pure_cores, banned_functions, file_sizes, function_sizes, licence_line,
         first_comment, header_guards, goto_only_out, no_trailing_space, finished_words, no_machine_paths,
         no_typedef_structs, check_without_effects, documented_headers, full_words, headers_compile_alone,
         clang_format_clean, no_global_state, no_global_symbols, invariants_have_tests)
