"""The pages are whole: links lead somewhere, options and pictures are as the program has them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))
    if path.read_text("utf-8").strip()
)
PICTURE = ROOT / "docs" / "assets" / "demo.jpg"


def text_of(path: Path) -> str:
    """A page without its code, where brackets are no links."""
    return re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", path.read_text("utf-8"))


def anchors(path: Path) -> set[str]:
    """The anchors that a code host makes of a page's headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", path.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_to_files(path: Path) -> None:
    text = text_of(path)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?m)^\[[^\]]+\]: (\S+)$", text)
    for target in targets:
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = path.parent / name if name else path
        assert there.exists(), f"{target} in {path.name}"
        if anchor:
            assert anchor in anchors(there), f"{target} in {path.name}"


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "command-line.md").read_text("utf-8")
    documented = set(re.findall(r"`(--[\w-]+)", page))
    offered = set()
    for command in re.findall(r"(?m)^\| `(\w+)` \|", page):
        shown = subprocess.run(
            [sys.executable, "-m", "parlante.app.cli", command, "--help"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        offered |= set(re.findall(r"(?m)^ +(?:-\w[^,\n]*, )?(--[\w-]+)", shown))
    assert len(offered) > 15
    assert documented - {"--help"} == offered - {"--help", "--output"}


def test_the_picture_is_what_the_demo_draws() -> None:
    script = load(ROOT / "docs" / "make_pictures.py")
    assert PICTURE.stat().st_size <= 150_000
    shown = np.asarray(Image.open(PICTURE).convert("RGB"), np.float32)
    drawn = np.asarray(script.strip(), np.float32)
    assert shown.shape == drawn.shape == (256, 5 * 256, 3)
    # JPEG at this quality is off by 1.7 levels on average, the next frame of each by 3.6.
    assert np.abs(shown - drawn).mean() < 3


def test_the_drawing_names_every_room() -> None:
    drawing = (ROOT / "docs" / "assets" / "architecture.svg").read_text("utf-8")
    named = set(re.findall(r'class="name"[^>]*>(\w+)<', drawing))
    package = ROOT / "python" / "parlante"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    assert named == rooms


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        pytest.skip('mkdocs is not installed; install "parlante[docs]"')
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    site = tmp_path / "site"
    page = (site / "reference" / "avatar.html").read_text("utf-8")
    assert "push_audio" in page and "utterance_end" in page
    assert (site / "assets" / "architecture.svg").exists()
    assert not list(site.rglob("*.py"))


def load(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
