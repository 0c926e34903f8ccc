"""What a trained decoder's answers stand for: the anchors of `SpokenLips`, set by `calibrate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.audio import AudioEncoder
from models.data.dataset import PreparedClip
from models.sync import Sync
from models.train.hearing import hear
from models.train.lips import LipError
from parlante.contract import CONTEXT, MEL_BANDS, MEL_PER_FRAME, SILENCE

SHUT_APERTURE = 0.03  # inner-lip opening over mouth width of lips that touch
PRESS = 0.03  # of the mouth's width that shut lips go beyond touching
ENOUGH_SHUT = 3  # frames of a clip
QUIET_BELOW = 5.0  # nepers of power under a clip's loud frames
GAINS = tuple(float(gain) for gain in np.linspace(1, 3, 41))


@dataclass
class Answer:
    """What lips do in a clip of N frames.

    ``made`` [N, 16], the decoder's answer; ``code`` [N, 16], the true one; ``opening`` [N], true,
    by landmarks, model units; which frames to keep, and which of them are loud.
    """

    made: Tensor
    code: Tensor
    opening: Tensor
    keep: Tensor
    loud: Tensor


def answer(module: Sync, encoder: AudioEncoder, error: LipError, clip: PreparedClip) -> Answer:
    """The decoder's answer to a whole clip."""
    assert clip.mel is not None
    device = module.lip_shut.device
    mel = torch.from_numpy(clip.mel).to(device)
    # With the silence before it that its first lips depend on.
    heard = hear(encoder, F.pad(mel, (0, 0, (CONTEXT - 1) * MEL_PER_FRAME, 0), value=SILENCE))
    made = module.decoder(module.embedding(heard[None]))[0]
    keep = torch.from_numpy(clip.keep).to(device)
    loudness = mel.exp().mean(1).clamp(min=1e-9).log().view(-1, MEL_PER_FRAME).mean(1)
    return Answer(
        made=made,
        code=error.code(torch.from_numpy(clip.expression).to(device)),
        opening=torch.from_numpy(clip.aperture).to(device) * error.mouth_width,
        keep=keep,
        loud=keep & (loudness > loudness.quantile(0.9) - QUIET_BELOW),
    )


@torch.no_grad()
def calibrate(
    module: Sync,
    encoder: AudioEncoder,
    error: LipError,
    clips: list[PreparedClip],
    held_out: list[PreparedClip],
) -> None:
    """Set the anchors of `SpokenLips`.

    From training clips: the mean code of shut lips, and the answer that stands for shut lips, such
    that in speech lips are on average as far open as people's. From people held out: how much
    answers are to be stretched, so that lips open and close as widely as true ones (standard
    deviations in a clip, what lies beyond shut counting as shut), for voices heard in training are
    followed more than others; and what tells how far a code is open. How far people's lips are open
    is measured on their landmarks: what the fit of a face calls an opening is off by a constant.
    """
    shut, opened, spoken, wanted = [], [], [], []
    for clip in clips:
        a = answer(module, encoder, error, clip)
        closed = a.keep & (a.opening < SHUT_APERTURE * error.mouth_width)
        shut.append(a.code[closed])
        if a.loud.any():
            spoken.append(a.made[a.loud].mean(0))
            wanted.append(a.opening[a.loud].mean())
            # Within a clip: what people's fitted lips have in common is not in the sound.
            if closed.sum() >= ENOUGH_SHUT:
                opened.append(a.code[a.loud].mean(0) - a.code[closed].mean(0))
    mean_shut, mean_spoken = torch.cat(shut).mean(0), torch.stack(spoken).mean(0)
    level, rest = torch.stack(wanted).mean(), error.aperture(mean_spoken)
    others = [answer(module, encoder, error, clip) for clip in held_out]
    made = [error.aperture(a.made[a.keep]) - rest for a in others]
    true_spread = torch.stack([a.opening[a.keep].std() for a in others]).mean()
    for gain in GAINS:
        spread = [(level + gain * opening).clamp(min=0).std() for opening in made]
        if torch.stack(spread).mean() >= true_spread:
            break
    # From shut to lips as far open as they should be, the way that people's lips open.
    way = torch.stack(opened).mean(0)
    way *= level / (error.aperture(mean_shut + way) - error.aperture(mean_shut))
    module.lip_shut.copy_(mean_shut)
    module.lip_gain.fill_(gain)
    # Rounded as they are stored: what follows from them is small beside them.
    module.lip_anchor.copy_((mean_spoken - way / gain).half())
    # How far a code is open, as a linear form of its change from shut, fitted where lips are.
    change = gain * torch.cat([a.made[a.keep] - module.lip_anchor for a in others])
    openings = error.aperture(mean_shut + change) - error.aperture(mean_shut)
    form = torch.linalg.lstsq(change, openings[:, None]).solution[:, 0]
    module.lip_opening.copy_(form.half())
    # From shut to the answer to silence; in float32, as it is shown.
    quiet = torch.full((1, CONTEXT * MEL_PER_FRAME, MEL_BANDS), SILENCE, device=way.device)
    quiet = encoder.hear(quiet)
    beyond = gain * (module.decoder(module.embedding(quiet))[0, 0] - module.lip_anchor)
    module.lip_way.copy_(beyond / (module.lip_opening @ beyond))
    module.lip_press.fill_(PRESS * error.mouth_width)
