# SPDX-License-Identifier: Apache-2.0
"""
The house rules as tests, one a rule; and a small sample for every rule that it must find, so that no rule sleeps.
"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import invariants  # noqa: E402
import rules  # noqa: E402
import tidy  # noqa: E402
from tree import Finding, Source, load  # noqa: E402

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n/*\n * Says the one job of this file, in a sentence.\n */\n"
PYTHON_HEAD = '# SPDX-License-Identifier: Apache-2.0\n"""\nSays its job.\n"""\n'


@pytest.fixture(scope="session")
def tree():
    return load(tidy.ROOT)


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule(rule, tree):
    findings = tidy.findings_of(rule, tree)
    assert not findings, "\n" + "\n".join(str(finding) for finding in findings)


def guarded(path, body):
    guard = "".join(letter if letter.isalnum() else "_" for letter in path.upper())
    return HEAD + "#ifndef %s\n#define %s\n\n%s\n#endif\n" % (guard, guard, body)


def function_of(lines):
    return HEAD + "int long_one(void)\n{\n%s}\n" % ("    step();\n" * (lines - 3))


# Rule -> (path, text) samples that it must find.
BAD = {
    "include_arrows": [("common/a.c", HEAD + '#include "broker/log/log.h"\n'),
                       ("coordinator/zk/a.c", HEAD + '#include "broker/server.h"\n'),
                       ("broker/log/a.c", HEAD + '#include "neighbour.h"\n'),
                       ("elsewhere/a.c", HEAD)],
    "library_doors": [("broker/api/a.c", HEAD + "#include <jansson.h>\n"),
                      ("broker/net/a.c", HEAD + "#include <event2/event.h>\n"),
                      ("broker/a.c", HEAD + "#include <zookeeper/zookeeper.h>\n")],
    "pure_cores": [("coordinator/controller/decide_leader.c", HEAD + "#include <unistd.h>\n"),
                   ("proto/records/batch.c", HEAD + '#include "common/loop.h"\n'),
                   ("broker/replica/partition_core.c", HEAD + "int a(void)\n{\n    return getenv(name) != NULL;\n}\n")],
    "banned_functions": [("common/a.c", HEAD + "void a(void)\n{\n    strcpy(a, b);\n}\n"),
                         ("broker/a.c", HEAD + "void a(void)\n{\n    now = time(NULL);\n}\n")],
    "file_sizes": [("common/a.c", HEAD + "int a;\n" * 700), ("tests/a.py", "a = 1\n" * 700)],
    "function_sizes": [("common/a.c", function_of(71)),
                       ("tests/a.py", "def a():\n" + "    b()\n" * 70)],
    "licence_line": [("common/a.c", "int a;\n"), ("deploy/start", "#!/bin/bash\necho\n")],
    "first_comment": [("common/a.c", "/* SPDX-License-Identifier: Apache-2.0 */\nint a;\n"),
                      ("tests/a.py", "# SPDX-License-Identifier: Apache-2.0\nimport os\n")],
    "header_guards": [("common/a.h", HEAD + "#pragma once\n")],
    "goto_only_out": [("common/a.c", HEAD + "int a(void)\n{\n    goto fail;\nfail:\n    return 1;\n}\n"),
                      ("common/a.c", HEAD + "int a(void)\n{\nout:\n    goto out;\n}\n")],
    "no_trailing_space": [("common/a.c", HEAD + "int a; \n"), ("common/a.c", HEAD + "\tint a;\n"),
                          ("common/a.c", HEAD + "int a;")],
    "finished_words": [("common/a.c", HEAD + "/* TO" + "DO: the rest */\n"),
                       ("docs/a.md", "This is a st" + "ub.\n"), ("docs/a.md", "Good enough for" + " now.\n")],
    "no_machine_paths": [("docs/a.md", "See /ho" + "me/someone/notes.\n")],
    "no_typedef_structs": [("common/a.h", HEAD + "typedef struct a a;\n")],
    "check_without_effects": [("common/a.c", HEAD + "void a(void)\n{\n    CHECK(i++ < 3);\n}\n"),
                              ("common/a.c", HEAD + "void a(void)\n{\n    CHECK((status = f()) == 0);\n}\n")],
    "documented_headers": [("common/a.h", guarded("common/a.h", "int a_height(void);\n"))],
    "full_words": [("common/a.h", guarded("common/a.h", "/* The length. */\nint a_buf_len(void);\n"))],
    "headers_compile_alone": [("common/a.h", guarded("common/a.h", "size_t a_count(void);\n"))],
    "clang_format_clean": [("common/a.c", HEAD + "int a (  void );\n")],
    "no_global_state": [("common/a.c", HEAD + "static int counter;\n"),
                        ("common/a.c", HEAD + "struct a *first = NULL;\n"),
                        ("common/a.c", HEAD + "static char *names[2] = {0};\n"),
                        ("common/a.c", HEAD + "static _Thread_local int depth;\n")],
    "invariants_have_tests": [("docs/invariants-tests.md", "| I1 |  |  |\n"),
                              ("docs/invariants-tests.md", "| I1 | `a_test.c::i1_a_test_that_is_gone` |  |\n")],
}

# Text that no rule may find.
GOOD = [
    ("common/a.c", HEAD + '#include "common/a.h"\n\n#include <errno.h>\n\nstatic const int limits[] = {1, 2};\n\n'
     "int a_count(void)\n{\n    int status = 0;\n    if (limits[0])\n        goto out;\n    status = -EIO;\nout:\n"
     "    return status;\n}\n"),
    ("common/a.h", guarded("common/a.h", "/* How many there are. */\nint a_count(void);\n")),
    ("tests/a.py", PYTHON_HEAD + "import os\n"),
]


def write_tree(folder, samples):
    """A tree of sample files, for the rules that call a program on them."""
    for path, text in samples:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / ".clang-format").write_text((tidy.ROOT / ".clang-format").read_text())
    return [Source(path, text) for path, text in samples]


@pytest.mark.parametrize("rule,path,text", [(rule, *sample) for rule, samples in BAD.items() for sample in samples])
def test_rule_finds_its_sample(rule, path, text, tmp_path):
    assert list(getattr(rules, rule)(write_tree(tmp_path, [(path, text)]), tmp_path))


def test_every_rule_has_a_sample():
    with_objects = {"no_global_symbols"}
    assert {rule.__name__ for rule in rules.RULES} == set(BAD) | with_objects


@pytest.mark.parametrize("rule", rules.RULES, ids=lambda rule: rule.__name__)
def test_rule_is_content_with_good_files(rule, tmp_path):
    found = list(rule(write_tree(tmp_path, GOOD), tmp_path))
    assert not found, [str(finding) for finding in found]


def test_comments_and_strings_are_not_code():
    source = Source("common/a.c", HEAD + '/* strcpy( */\nconst char *a = "strcpy(";\n')
    assert not list(rules.banned_functions([source], tidy.ROOT))


def test_ratchet_bears_an_old_offender_and_lets_it_only_shrink():
    ratchet = {("file_sizes", "a.c"): 700}
    assert not list(tidy.apply_ratchet("file_sizes", [Finding("a.c", 700, "")], ratchet))
    assert list(tidy.apply_ratchet("file_sizes", [Finding("a.c", 701, "")], ratchet))
    assert "tighten" in list(tidy.apply_ratchet("file_sizes", [Finding("a.c", 690, "")], ratchet))[0].text
    assert "tighten" in list(tidy.apply_ratchet("file_sizes", [], ratchet))[0].text
    assert list(tidy.apply_ratchet("file_sizes", [Finding("b.c", 651, "")], ratchet))


def test_the_table_of_invariants_is_compared_with_the_tests():
    tests = [Source("tests/unit/a/b_test.c", "static void i%d_holds(void **state)\n" % rule)
             for rule in invariants.RULES]
    rows = ["| I%d | `a/b_test.c::i%d_holds` |  |" % (rule, rule) for rule in invariants.RULES]
    table = Source(invariants.TABLE, "\n".join(rows))
    assert not list(invariants.findings(tests + [table]))
    assert list(invariants.findings(tests[1:] + [table]))
    assert list(invariants.findings(tests + [Source(invariants.TABLE, "\n".join(rows[1:]))]))
    more = Source("tests/cluster/test_c.py", "def test_i7_too(cluster):\n")
    assert [finding.line for finding in invariants.findings(tests + [more, table])] == [7]
