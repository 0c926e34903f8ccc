"""After warm-up the path of a frame allocates no memory but the picture's."""

from pathlib import Path

from tests.support.allocation import counted

FRAMES = """
from parlante.runtime.bundle import Bundle
from parlante.speech.motion import MotionStream
from parlante.options import RenderOptions
from parlante.render.renderer import FrameRenderer
from tests.support import portrait_samples as samples

bundle = Bundle.default()
portrait = samples.avatar().portrait
renderer = FrameRenderer(bundle, samples.model(), portrait, RenderOptions(size=256))
motions = iter(MotionStream(bundle).push(samples.demo_speech()))
print(json.dumps({"frame": count(lambda: renderer.render(next(motions)), 60_000)}))
"""


def test_a_frame_allocates_its_picture_only(tmp_path: Path) -> None:
    calls, largest = counted(FRAMES, tmp_path)["frame"]
    assert largest == 256 * 256 * 3
    assert calls == 10
