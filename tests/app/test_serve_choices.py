"""What visitors choose on the page of `parlante serve`: a face, a voice, the language of words."""

from __future__ import annotations

import io
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from parlante import Avatar, ParlanteError
from parlante.app import cli
from parlante.app.serve import application
from parlante.runtime.assets import asset
from tests.app.test_serve import Client, frames, in_a_browser, served
from tests.support.portrait_samples import PHOTO, avatar, demo_rgb

STILL: dict[str, Any] = {"pose": 0, "blink": 0, "brows": 0, "eyes": 0, "breath": 0}
WORDS: dict[str, dict[str, str]] = json.loads((asset("web") / "words.json").read_text("utf-8"))
SPOKEN = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="no espeak-ng")
VISIBLE = "[...document.querySelectorAll('#faces button')].map(e => e.getBoundingClientRect())"


@cache
def faces() -> dict[str, Avatar]:
    """The demo portrait, and it in a mirror."""
    mirrored = Avatar(np.ascontiguousarray(demo_rgb()[:, ::-1]), cache=False)
    return {"Ada": avatar(), "Ben & Co": mirrored}


def picture_of(data: bytes) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)


def apart(a: Any, b: Any) -> float:
    """Mean difference of two pictures, grey levels."""
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).mean())


def test_each_session_shows_the_face_that_it_asked_for() -> None:
    async def check(client: Client) -> None:
        choices = await (await client.get("/choices")).json()
        assert choices == {"faces": ["Ada", "Ben & Co"], "voices": []}
        small = [
            picture_of(await (await client.get(f"/faces/{name}/picture")).read())
            for name in ("Ada", "Ben %26 Co")
        ]
        assert small[0].shape == (192, 192, 3)
        assert 2 * apart(small[0], small[1][:, ::-1]) < apart(small[0], small[1])
        shown = []
        for query in ("", "?face=Ada", "?face=Ben+%26+Co"):
            async with client.ws_connect(f"/live{query}") as socket:
                shown.append((await frames(socket, 3))[-1][1])
                (state,) = await (await client.get("/sessions")).json()
                assert state["face"] == ("Ben & Co" if "Ben" in query else "Ada")
            while await (await client.get("/sessions")).json():
                pass
        first, named, other = shown
        assert apart(first, named) < 2
        assert 2 * apart(first, other[:, ::-1]) < apart(first, other)
        for path in ("/live?face=none", "/faces/none/picture"):
            answer = await client.get(path)
            assert answer.status == 404
            assert await answer.text() == "face='none'; there are Ada, Ben & Co"

    served(check, faces=faces(), **STILL)
    with pytest.raises(ParlanteError, match="no face"):
        application({})


@pytest.mark.parametrize("path", ["/", "/?kiosk"])
def test_a_face_is_chosen_on_the_page(path: str) -> None:
    """By a touch, though there is room for no other session; the address keeps it."""

    async def check(page: Any, client: Client) -> None:
        async def shown() -> str:
            states = await (await client.get("/sessions")).json()
            return ", ".join(state["face"] for state in states)

        await page.wait_for_selector("#faces button")
        await page.wait_for_function("session")
        assert await shown() == "Ada"
        assert await page.get_by_role("button", name="Ada", pressed=True).count() == 1
        for left, top, right, bottom in await page.evaluate(
            f"{VISIBLE}.map(r => [r.left, r.top, r.right, r.bottom])"
        ):
            assert 0 <= left < left + 80 <= right <= 390 and bottom - top >= 80 and top >= 0
        pictures = "[...document.images].every(image => image.naturalWidth === 192)"
        await page.wait_for_function(pictures)
        first = await page.evaluate("session")
        await page.get_by_role("button", name="Ben & Co").click()
        await page.wait_for_function(f"session && session !== '{first}'")
        assert await shown() == "Ben & Co"
        assert "again" not in await page.text_content("#status")  # no try failed
        await page.get_by_role("button", name="Ben & Co", pressed=True).wait_for()
        await page.reload()
        await page.get_by_role("button", name="Ben & Co", pressed=True).wait_for()
        await page.wait_for_function("session")
        assert await shown() == "Ben & Co"

    phone = {"viewport": {"width": 390, "height": 844}}
    in_a_browser(check, phone, path, faces=faces(), sessions=1)


def test_other_sessions_keep_their_face() -> None:
    async def check(page: Any, client: Client) -> None:
        await page.wait_for_function("session")
        async with client.ws_connect("/live?face=Ada") as other:
            await frames(other, 2)
            first = await page.evaluate("session")
            await page.get_by_role("button", name="Ada").click()
            await page.wait_for_function(f"session && session !== '{first}'")
            assert await frames(other, 10)
            states = await (await client.get("/sessions")).json()
            assert [state["face"] for state in states] == ["Ada", "Ada"]

    in_a_browser(check, path="/?face=Ben+%26+Co", faces=faces())


def test_a_face_that_is_not_there_is_told_and_another_can_be_chosen() -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("document.getElementById('error').textContent")
        assert "there are Ada, Ben & Co" in await page.inner_text("#error")
        await page.get_by_role("button", name="Ada").click()
        await page.wait_for_function("session")
        assert not await page.text_content("#error")

    in_a_browser(check, path="/?face=none", faces=faces())


def test_one_face_is_no_choice() -> None:
    async def check(page: Any, _: Client) -> None:
        await page.wait_for_function("session")
        await page.wait_for_function("canvas.ariaLabel")
        assert not await page.is_visible("#faces") and await page.query_selector("#voice") is None

    in_a_browser(check)


@SPOKEN
@pytest.mark.parametrize(
    ("path", "locale", "expected"),
    [
        ("/", "en-US", "en-gb"),
        ("/", "fr-FR", "fr"),
        ("/", "it-IT", "de"),
        ("/?voice=fr", "en-US", "fr"),
        ("/?kiosk&voice=fr", "en-US", "fr"),
    ],
)
def test_voices(path: str, locale: str, expected: str) -> None:
    """The one in the address, of the page's language, or the first; then what is chosen."""

    async def check(page: Any, client: Client) -> None:
        async def voice() -> Any:
            (state,) = await (await client.get("/sessions")).json()
            return state["voice"]

        await page.wait_for_function("session && voice")
        for _ in range(50):
            if await voice() == expected:
                break
        assert await voice() == expected
        if "kiosk" in path:
            return
        assert await page.input_value("#voice") == expected
        if locale == "en-US":
            options = await page.locator("#voice option").all_inner_texts()
            assert options == ["German", "British English", "French"]
        await page.select_option("#voice", "de")
        await page.fill("[name=text]", "Guten Tag")
        await page.keyboard.press("Enter")
        for _ in range(100):
            (state,) = await (await client.get("/sessions")).json()
            if state["speaking"]:
                break
            await page.wait_for_timeout(50)
        assert state["speaking"] and state["voice"] == "de"
        assert not await page.text_content("#error")

    in_a_browser(check, {"locale": locale}, path, voices=["de", "en-gb", "fr"])


@SPOKEN
def test_a_voice_that_is_not_offered() -> None:
    async def check(client: Client) -> None:
        async with client.ws_connect("/live") as socket:
            await frames(socket, 2)
            for voice in ("it", 7, None):
                await socket.send_json({"voice": voice})
            errors = 0
            while errors < 3:
                message = await socket.receive()
                errors += "there are de" in str(message.data)

    served(check, voices=["de"])
    with pytest.raises(ParlanteError, match="voice='none-such'"):
        application(avatar(), voices=["de", "none-such"])


@pytest.mark.parametrize(
    ("locale", "path", "expected"),
    [
        ("de-AT", "/", "de"),
        ("fr-CA", "/?kiosk", "fr"),
        ("it-IT", "/", "it"),
        ("es-MX", "/operator", "es"),
        ("pl-PL", "/", "en"),
        ("de-DE", "/?lang=fr-CH", "fr"),
        ("de-DE", "/?kiosk&lang=it", "it"),
        ("de-DE", "/operator?lang=constructor", "de"),
    ],
)
def test_the_pages_speak_the_language_of_who_looks(locale: str, path: str, expected: str) -> None:
    async def check(page: Any, _: Client) -> None:
        words = WORDS[expected]
        assert await page.get_attribute("html", "lang") == expected
        if "operator" in path:
            assert await page.inner_text("h1") == words["operator"]
            await page.wait_for_selector(f"text={words['nobody']}")
            return
        key = "touch_to_talk" if "kiosk" in path else "microphone"
        assert await page.inner_text("#microphone") == words[key]
        assert await page.text_content("#stop") == words["stop"]
        assert await page.get_attribute("[name=text]", "placeholder") == words["text"]
        await page.wait_for_function("session")  # which takes the place of what was told
        await page.click("#microphone")
        told = page.locator("#error:not(:empty)")
        start = words["no_microphone"].partition("{")[0]
        assert (await told.text_content()).startswith(start)
        assert await told.get_attribute("lang") == expected

    in_a_browser(check, {"locale": locale, "permissions": []}, path)


def test_the_words_are_whole() -> None:
    """Each language has each word that the pages name, with the same gaps, and no other."""
    sources = [path.read_text("utf-8") for path in asset("web").iterdir() if path.name[-1] != "n"]
    text = "\n".join(sources)
    named = set(re.findall(r'data-(?:word|label|inside)="(\w+)"|(?:word|tellState)\("(\w+)"', text))
    used = {a or b for a, b in named} | {
        "touch_to_talk",
        "let_go",
        "done",
        "microphone",
        "microphone_off",
    }
    assert set(WORDS) >= {"en", "de", "fr", "it", "es"}
    for language, words in WORDS.items():
        assert set(words) == used, language
        for key, said in words.items():
            assert said.strip() == said and said
            gaps = re.findall(r"\{\w+\}", said)
            assert sorted(gaps) == sorted(re.findall(r"\{\w+\}", WORDS["en"][key])), (language, key)


def test_faces_and_voices_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    avatar().save(tmp_path / "Ben.npz")
    shutil.copy(PHOTO, tmp_path / "Ada.jpg")
    shutil.copy(PHOTO, tmp_path / "Ben.jpg")
    given: list[Any] = []

    def keep(faces: Any, **options: Any) -> None:
        given.extend([list(faces), options["voices"]])

    monkeypatch.setattr("parlante.app.serve.serve", keep)
    photos = [str(tmp_path / name) for name in ("Ada.jpg", "Ben.npz")]
    assert cli.main(["serve", *photos, "--voice", "de,en-gb,fr"]) == 0
    assert given == [["Ada", "Ben"], ["de", "en-gb", "fr"]]
    assert cli.main(["serve", *photos, str(tmp_path / "Ben.jpg")]) == 1
    assert "have one name" in capsys.readouterr().err
