"""`parlante batch`: all that can be made is made, once, whatever happens to a row or a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from threading import enumerate as threads
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from parlante.app import cli
from parlante.app.arguments import Coding
from parlante.app.batch import run
from parlante.app.jobs import Setting, jobs_of
from parlante.errors import ParlanteError
from parlante.options import RenderOptions
from parlante.runtime.compute import Compute
from tests.support.portrait_samples import PHOTO, demo_speech

SETTING = Setting(RenderOptions(size=128), Coding(), Compute(threads=1), None, None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "face.jpg").write_bytes(Path(PHOTO).read_bytes())
    soundfile.write(tmp_path / "short.wav", demo_speech()[:8_000], 16_000)
    soundfile.write(tmp_path / "long.wav", np.tile(demo_speech(), 4), 16_000)
    return tmp_path


def start(folder: Path, rows: str, *more: str) -> subprocess.Popen[str]:
    (folder / "work.csv").write_text(rows)
    command = [sys.executable, "-m", "parlante.app.cli", "batch", "work.csv", "-o", "out"]
    return subprocess.Popen(
        [*command, "--size", "128", "--steps", "1", "--workers", "2", *more],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, dict[int, dict[str, Any]]]:
    out, _ = process.communicate(timeout=300)
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == len({record["job"] for record in records})
    return process.returncode, {record["job"]: record for record in records}


def corner(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return np.asarray(picture[4, 4].astype(int))


def test_a_bad_row_stops_no_other_and_nothing_is_made_twice(folder: Path) -> None:
    rows = (
        "photo,audio,output,size,background,mood\n"
        "face.jpg,short.wav,one.mp4,,,\n"
        'face.jpg,short.wav,two.mp4,160,green,"friendly,0.5"\n'
        "nobody.jpg,short.wav,three.mp4,,,\n"
        "face.jpg,short.wav,one.mp4,,,\n"
        "face.jpg,short.wav,,huge,,\n"
        "face.jpg,,six.mp4,,,\n"
    )
    code, records = finished(start(folder, rows))
    assert code == 1
    assert [records[n]["state"] for n in range(1, 7)] == ["made", "made", *["failed"] * 4]
    assert "nobody.jpg does not exist" in records[3]["error"]
    assert "another row" in records[4]["error"] and "size='huge'" in records[5]["error"]
    assert "audio: nothing is given" in records[6]["error"]
    assert records[1]["frames"] == 13 and records[1]["seed"] > 0
    assert np.abs(corner(folder / "out/two.mp4") - [0, 177, 64]).max() < 12
    before = (folder / "out/one.mp4").stat().st_mtime_ns
    code, records = finished(start(folder, rows))
    assert [records[n]["state"] for n in (1, 2, 3)] == ["there", "there", "failed"]
    assert (folder / "out/one.mp4").stat().st_mtime_ns == before
    # Another sound: it is made anew.
    soundfile.write(folder / "short.wav", demo_speech()[:16_000], 16_000)
    _, records = finished(start(folder, rows))
    assert records[1]["state"] == "made" and records[1]["frames"] == 25


def children(process: subprocess.Popen[str]) -> list[int]:
    """Processes of the pool, once they draw: they have begun a file."""
    out = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in out if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.1)


def wait_for_files(folder: Path, count: int) -> None:
    out = folder / "out"
    wait_until(lambda: len(list(out.glob(".parlante-*.partial"))) >= count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_process_loses_nothing(folder: Path) -> None:
    rows = "photo,audio\n" + "face.jpg,long.wav\n" * 3
    process = start(folder, rows)
    wait_for_files(folder, 2)
    os.kill(children(process)[0], signal.SIGKILL)
    code, records = finished(process)
    assert code == 0 and [records[n]["state"] for n in (1, 2, 3)] == ["made"] * 3
    videos = sorted((folder / "out").glob("*.mp4"))
    assert [video.name for video in videos] == [f"{n:04d}-long.mp4" for n in (1, 2, 3)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_signal_ends_it_and_leaves_nothing_half_written(folder: Path) -> None:
    process = start(folder, "photo,audio\nface.jpg,long.wav\nface.jpg,long.wav\n")
    wait_for_files(folder, 2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert {path.name for path in (folder / "out").iterdir()} == {"batch.jsonl"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_processes_end_with_a_batch_that_was_killed(folder: Path) -> None:
    """One draws, the other has nothing to do; nothing half-written is left, either."""
    process = start(folder, "photo,audio\nface.jpg,long.wav\nface.jpg,short.wav\n")
    wait_for_files(folder, 1)
    wait_until(lambda: (folder / "out/0002-short.mp4").exists())
    pool = children(process)
    assert len(pool) == 2
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pool), seconds=5)
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"batch.jsonl", "0002-short.mp4"}


def test_captions_are_written_beside_the_video_and_again_where_they_are_missing(
    folder: Path,
) -> None:
    (folder / "said.txt").write_text("Hello there.")
    soundfile.write(folder / "said.wav", demo_speech(), 16_000)
    (folder / "work.csv").write_text(
        "photo,audio,output,transcript\n"
        "face.jpg,said.wav,one.mp4,said.txt\n"
        "face.jpg,short.wav,two.mp4,nothing.txt\n"
        "face.jpg,short.wav,pictures/%06d.png,said.txt\n"
        "face.jpg,short.wav,four.mp4,out/four.srt\n"
        "face.jpg,short.wav,one.webm,said.txt\n"
    )
    out = folder / "out"
    out.mkdir()
    (out / "four.srt").write_text("Mine.")
    for state in ("made", "there", "made"):
        jobs = jobs_of(folder / "work.csv", out, SETTING)
        records = sorted(run(jobs, out, 1), key=lambda record: int(record["job"]))
        one, two, three, four, five = records
        assert one["state"] == state
        assert two["state"] == "failed" and "nothing.txt cannot be read" in two["error"]
        assert three["state"] == "failed" and "beside a video file" in three["error"]
        assert four["state"] == "failed" and "is read here" in four["error"]
        assert five["state"] == "failed" and "is the output of another row" in five["error"]
        captions = [out / "one.srt", out / "one.vtt"]
        for path in captions:
            assert "Hello there." in path.read_text()
        if state == "there":
            captions[0].unlink()
    assert not (out / "two.mp4").exists()
    assert (out / "four.srt").read_text() == "Mine."


def test_pictures_are_made_in_folders_once_and_again_where_the_sound_changed(folder: Path) -> None:
    (folder / "work.csv").write_text(
        "photo,audio,output\nface.jpg,short.wav,seq/%04d.png\nface.jpg,short.wav,a/b/%d.png\n"
        "face.jpg,short.wav,seq/%05d.png\nface.jpg,short.wav,mine/%d.png\n"
    )
    out = folder / "out"
    (out / "mine").mkdir(parents=True)

    def records() -> list[dict[str, Any]]:
        made = run(jobs_of(folder / "work.csv", out, SETTING), out, 1)
        return sorted(made, key=lambda record: int(record["job"]))

    for state in ("made", "there"):
        one, two, three, four = records()
        assert one["state"] == two["state"] == state, one
        assert "seq is the output of another row" in three["error"]
        assert "mine is there" in four["error"]
    assert len(list((out / "seq").iterdir())) == 14 and (out / "a/b/sound.wav").exists()
    (out / "a/b/notes.txt").write_text("Mine.")
    soundfile.write(folder / "short.wav", demo_speech()[:4_000], 16_000)
    one, two, *_ = records()
    assert one["state"] == "made" and len(list((out / "seq").iterdir())) == 8
    assert "b is there" in two["error"]
    assert len(list((out / "a/b").iterdir())) == 15


def test_rows_have_codecs_bits_and_timecodes(folder: Path) -> None:
    rows = (
        "photo,audio,output,codec,bits,timecode\n"
        "face.jpg,short.wav,one.mov,,,10:00:00:00\n"
        "face.jpg,short.wav,two.mp4,h264,10,\n"
        "face.jpg,short.wav,three.mp4,,many,\n"
        "face.jpg,short.wav,four.mp4,mpeg2,,\n"
    )
    code, records = finished(start(folder, rows, "--codec", "hevc"))
    assert (
        code == 1 and [records[n]["state"] for n in (1, 2, 3, 4)] == ["made"] * 2 + ["failed"] * 2
    )
    assert "bits='many'; give a number" in records[3]["error"]
    assert "'mpeg2'" in records[4]["error"]
    with av.open(str(folder / "out/one.mov")) as one, av.open(str(folder / "out/two.mp4")) as two:
        assert [s.metadata.get("timecode") for s in one.streams.data] == ["10:00:00:00"]
        assert one.streams.video[0].codec_context.name == "hevc"
        coded = two.streams.video[0].codec_context
        assert (coded.name, coded.pix_fmt) == ("h264", "yuv420p10le")
    # Another codec for all rows: what has none of its own is made again, too.
    _, records = finished(start(folder, rows))
    assert [records[n]["state"] for n in (1, 2)] == ["made", "made"]


def test_what_was_cut_or_changed_is_made_again(folder: Path) -> None:
    (folder / "work.csv").write_text(
        "photo,audio,output\nface.jpg,short.wav,one.mp4\nface.jpg,short.wav,two/%d.png\n"
    )
    out = folder / "out"
    out.mkdir()
    one, two, log = out / "one.mp4", out / "two" / "3.png", out / "batch.jsonl"

    def logged() -> list[dict[str, Any]]:
        return [json.loads(line) for line in log.read_text().splitlines()]

    def states() -> list[str]:
        records = run(jobs_of(folder / "work.csv", out, SETTING), out, 1)
        return [r["state"] for r in sorted(records, key=lambda record: int(record["job"]))]

    assert states() == ["made", "made"]
    whole = {path: path.read_bytes() for path in (one, two)}
    sizes = {Path(r["output"]).parent.name: r["bytes"] for r in logged()}
    assert sizes["out"] == len(whole[one])
    assert sizes["two"] == sum(path.stat().st_size for path in two.parent.iterdir())
    one.write_bytes(whole[one][:-1])
    two.unlink()
    assert states() == ["made", "made"] and two.read_bytes() == whole[two]
    (two.parent / "notes.txt").write_text("Mine.")
    assert states() == ["there", "there"]
    # A log of a version that wrote no sizes.
    log.write_text(re.sub(r'"bytes": \d+, ', "", log.read_text()))
    one.write_bytes(whole[one][:-1])
    assert states() == ["there", "there"]


def test_nothing_is_written_outside_of_the_folder(folder: Path) -> None:
    (folder / "work.csv").write_text(
        "photo,audio,output\nface.jpg,short.wav,../evil.mp4\n"
        f"face.jpg,short.wav,{folder}/evil.mp4\nface.jpg,short.wav,new/../fine.mp4\n"
    )
    out = folder / "out"
    out.mkdir()
    made = run(jobs_of(folder / "work.csv", out, SETTING), out, 1)
    one, two, three = sorted(made, key=lambda record: int(record["job"]))
    assert "the output ../evil.mp4 is outside of" in one["error"]
    assert "evil.mp4 is outside of" in two["error"]
    assert three["state"] == "made" and (out / "fine.mp4").exists()
    assert not (folder / "evil.mp4").exists()


@pytest.mark.parametrize(
    ("text", "says"), [("a,b\n1,2\n", "no photo, audio"), ("photo,audio\n", "no row"), ("", "no")]
)
def test_tables_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    table = tmp_path / "work.csv"
    table.write_text(text)
    with pytest.raises(ParlanteError, match=says):
        jobs_of(table, tmp_path, SETTING)
    with pytest.raises(ParlanteError, match="cannot be read"):
        jobs_of(tmp_path / "none.csv", tmp_path, SETTING)


def test_only_records_are_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(*_: Any, **__: Any) -> Iterator[dict[str, Any]]:
        print("\033[36m(raylet) A worker died\033[0m")
        yield {"job": 1, "state": "made"}

    monkeypatch.setattr("parlante.app.batch.run", noisy)
    (folder / "work.csv").write_text("photo,audio\nface.jpg,short.wav\n")
    given = ["batch", str(folder / "work.csv"), "-o", str(folder / "out")]
    assert cli.main(given) == 0
    told = capsys.readouterr()
    assert json.loads(told.out) == {"job": 1, "state": "made"}
    assert "(raylet)" in told.err


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_cluster_makes_all_though_a_machine_is_lost(folder: Path) -> None:
    """Two machines of one core each; one of them goes while both draw."""
    pytest.importorskip("ray", reason="needs the extra [ray]")
    import ray
    from ray.cluster_utils import Cluster

    rows = "photo,audio\n" + "face.jpg,long.wav\n" * 3
    (folder / "work.csv").write_text(rows)
    (folder / "out").mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        ray.init(cluster.address, log_to_driver=False)
        jobs = jobs_of(folder / "work.csv", folder / "out", SETTING)
        records: list[dict[str, Any]] = []
        runner = Thread(target=lambda: records.extend(run(jobs, folder / "out", 1, ray="")))
        runner.start()
        wait_for_files(folder, 2)
        cluster.remove_node(lost, allow_graceful=False)
        runner.join(timeout=240)
        assert not runner.is_alive()
        assert "data-usage-metrics-poller" not in {thread.name for thread in threads()}
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert sorted(record["job"] for record in records) == [1, 2, 3]
    assert {record["state"] for record in records} == {"made"}
    videos = sorted(path.name for path in (folder / "out").glob("*.mp4"))
    assert videos == [f"{n:04d}-long.mp4" for n in (1, 2, 3)]
    assert [record["state"] for record in run(jobs, folder / "out", 1, ray="")] == ["there"] * 3
