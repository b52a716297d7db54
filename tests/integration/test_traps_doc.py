# SPDX-License-Identifier: Apache-2.0
"""docs/protocol/traps.md says which tests hold what it claims: each of them is there, and each decision record."""

import re

import pytest

from harness.process import ROOT

PAGE = ROOT / "docs" / "protocol" / "traps.md"
FUNCTION = {".c": r"^(?:Parameterized)?Test\(\w+,\s*{0}\b", ".py": r"^\s*def {0}\("}


def rows(text):
    """The cells of each row, without the heads of the tables."""
    table = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [re.split(r"\s\|\s", line.strip("| ")) for line in table if not line.startswith("| trap ")]


def missing(cells):
    """What a row names that does not exist. In its last cell a file is followed by functions in it."""
    if len(cells) != 3:
        return [f"{len(cells)} cells"]
    wrong = [name for name in re.findall(r"`(docs/[^`]+)`", " ".join(cells)) if not (ROOT / name).is_file()]
    wrong += ["a refusal without its decision"] if "refused (" in cells[1] and "docs/decisions/" not in cells[1] else []
    file, functions = None, 0
    for name in re.findall(r"`([^`]+)`", cells[2]):
        if "/" in name:
            file = ROOT / "tests" / name
            wrong += [] if file.is_file() else [name]
            continue
        pattern = FUNCTION[file.suffix].format(re.escape(name)) if file and file.is_file() else r"(?!)"
        functions += 1
        text = file.read_text(encoding="utf-8") if file and file.is_file() else ""
        wrong += [] if re.search(pattern, text, re.MULTILINE) else [f"{file}: {name}"]
    return wrong + ([] if functions else ["no test"])


def test_everything_that_is_named_exists():
    found = rows(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 50
    assert {cells[0]: missing(cells) for cells in found if missing(cells)} == {}


def test_each_trap_has_one_row():
    names = [cells[0] for cells in rows(PAGE.read_text(encoding="utf-8"))]
    assert sorted(names) == sorted(set(names))


HERE = "`integration/test_traps_doc.py`"


@pytest.mark.parametrize("row", [
    "| trap A | done | |", f"| trap A | done | {HERE} |", f"| trap A | done | {HERE} `test_of_nothing` |",
    "| trap A | done | `integration/test_of_nothing.py` `test_x` |",
    "| trap A | done | `test_x` |", "| trap A | done |",
    f"| trap A | done (`docs/decisions/9999-none.md`) | {HERE} `test_each_trap_has_one_row` |",
    f"| trap A | refused (why not) | {HERE} `test_each_trap_has_one_row` |",
    "| trap A | done | `unit/test_response.c` `follows_a_pipe` |",
])
def test_finds_what_is_missing(row):
    (cells,) = rows(row.replace("trap A", "a trap"))
    assert missing(cells)


def test_finds_nothing_where_all_is_there():
    (cells,) = rows(f"| a trap | refused (`docs/protocol/traps.md`, docs/decisions/) | {HERE} `missing`; "
                    "`unit/test_response.c` `follows_a_pipeline` |")
    assert missing(cells) == []
