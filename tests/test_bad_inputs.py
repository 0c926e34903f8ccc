"""Every kind of bad input ends in an error for people, and the page of the docs tells which."""

from __future__ import annotations

import pytest

pytest.importorskip("aiohttp")
from fuzz.bad_inputs.kind import NATIVE, USAGE
from fuzz.bad_inputs.table import GROUPS, PAGE, answers, cell

# Words of which one says what is expected, or what to do.
HINTS = ("; ", "give", "expected", "needs", "name ")
# What libraries say goes with their versions; these are our own words alone.
OWN = ("Options of the picture", "Live sessions")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("group", GROUPS)
def test_each_kind_is_told_in_one_line(group: str) -> None:
    page = PAGE.read_text("utf-8")
    for what, answer in answers(group):
        assert f"| {cell(what)} | {answer.error} | " in page, what
        assert answer.message, what
        if group in OWN:
            assert f"| {cell(answer.message)} |" in page, what
        if answer.error not in (*NATIVE, USAGE) and not answer.error.startswith("HTTP"):
            assert answer.message.isprintable(), what
            assert any(hint in answer.message for hint in HINTS), (what, answer.message)


def test_the_page_holds_hundreds() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) >= 200
