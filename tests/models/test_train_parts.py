"""Parts that a training can leave out."""

from __future__ import annotations

import importlib
import re

import pytest

pytest.importorskip("torch", reason="evaluation needs the train extra")

from models.train import parts


@pytest.mark.parametrize("part", [p for p in parts.PARTS if p != parts.WHOLE])
def test_first_script_of_a_part_can_leave_it_out(
    part: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = importlib.import_module(f"models.train.{parts.PARTS[part][0]}")
    monkeypatch.setattr("sys.argv", ["train", "--help"])
    with pytest.raises(SystemExit):
        script.main()
    choices = re.search(r"--without {(.*?)}", capsys.readouterr().out)
    assert choices is not None
    assert part in choices[1].split(",")
    assert set(parts.PARTS[part]) <= set(parts.STEPS)
