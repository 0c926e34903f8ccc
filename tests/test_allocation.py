"""After warm-up the path of a frame allocates no memory but the picture's.

What is between open lips is worked out anew for each frame, in arrays of a tile.
"""

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
quiet = samples.demo_speech()[:16_000] * 0
seen = {}
for name, sound, least in (("shut", quiet, 60_000), ("speaking", samples.demo_speech(), 150_000)):
    motions = iter(MotionStream(bundle).push(sound))
    seen[name] = count(lambda: renderer.render(next(motions)), least)
print(json.dumps(seen))
"""


def test_a_frame_allocates_its_picture_only(tmp_path: Path) -> None:
    for calls, largest in counted(FRAMES, tmp_path).values():
        assert largest == 256 * 256 * 3
        assert calls == 10
