"""Train the renderer: ``python -m models.train.renderer --preset cpu|gpu`` (after atlases).

Source and target are two frames of one clip, references others of it. The geometry of the target
moves the source's mesh; the network sees the warp, and the warped reference where there is one, and
must draw the target's mouth and eyes. All pictures are atlases on the training device, as uint8.
Sharp clips teach detail, the many small ones how people differ. Later on a critic learns beside it,
from sharp clips alone, what distinguishes the drawn from the true. (It is not part of checkpoints:
a run that is resumed begins with a new one.)

The paper trains on the truth at any timestep; here one input in four is such. The others are what
sampling meets at run time: the noised warp it starts from, and what it makes of the network's own
answers further down.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.attributes import Attributes
from models.data.atlases import DEFAULT_ATLASES, Held, load_atlases
from models.data.dataset import is_validation
from models.data.pairs import PairBatch, Pairs, mirror, mixed
from models.perceptual import Critic, Perceptual
from models.renderer import Renderer, diffusion_of, sample
from models.train.loop import Settings, arguments, load_weights, train
from models.warp import pack
from parlante.contract import (
    ATLAS,
    BANDS,
    BLINK,
    CELL_PIXELS,
    COLOR_PLANES,
    DRAWN_PLANES,
    LIP,
    TILE,
    TILES,
    VERTICES,
    Float,
)
from parlante.face.patches import own_places, through
from parlante.render.lashes import clear_lid
from parlante.render.mouth import LIGHT
from parlante.render.tone import LUMA, balance


@dataclass(frozen=True)
class Hardware:
    """How a preset makes pairs.

    Loader processes, pairs held, pairs drawn for each new one.
    """

    workers: int
    held: int
    reuse: int


PRESETS = {
    "cpu": Settings(200_000, 16, 1e-3, minutes=75, save_minutes=5, muon=True),
    "gpu": Settings(200_000, 128, 1e-3, minutes=9, warmup=300, save_minutes=2, muon=True),
}
HARDWARE = {"cpu": Hardware(1, 2048, 3), "gpu": Hardware(15, 24_576, 2)}
SQUEEZENET = Path("../shared/assets/more/squeezenet1_1_imagenet.npz")
PAIRS = 16  # that a loader process hands over at once
SHARP_SHARE = 0.75  # of the pairs, from sharp clips
# Range of the changes of tint and of light of a pair, and of its reference once more.
TINT, CONTRAST, OTHER = 0.2, 0.6, 0.12
# Range of the logarithm of a pair's gamma, of its saturation; the share of black-and-white ones.
GAMMA, SATURATION, GREY_SHARE = 0.4, (0.4, 1.5), 0.08
SOFT_SHARE, SOFTNESS = 0.125, (2, 3)  # of the pairs, as if the photo had so many times fewer pixels
OPENING_WEIGHT = 3.0  # of what lies between lips or lids, more than of what is around
L2_WEIGHT, GRADIENT_WEIGHT, FEATURE_WEIGHT, TINT_WEIGHT = 0.5, 0.5, 0.8, 1.0
CRITIC_WEIGHT, CRITIC_FROM = 0.35, 0.05  # from this share of the training on
# Of the eyes of a batch, those whose lids move most: at run time eyes that stay open are not drawn.
EYES_SHARE = 0.5
SQUARE = 4  # pixels: skin and lips are compared by the means of such squares
# Of how much edge there is in squares of so many pixels: in small ones, edges are where they should
# be; in large ones, what is uncertain is not blurred.
DETAIL_WEIGHTS = {4: 6.0, 16: 32.0}
# Of a batch: noised warps, from which sampling starts; answers of the network to those, further
# down. The rest is truth.
START_SHARE, OWN_SHARE = 0.4, 0.35


@dataclass
class Frames:
    """All held frames.

    atlases uint8 [F, 3, 256, 128]; lashless uint8 [F, 3, 128, 128]: the eyes without the lashes
    before their upper lids, which falling lids must not show; balances float32 [F, 3].
    """

    atlases: Tensor
    lashless: Tensor
    balances: Tensor

    @classmethod
    def of(cls, held: list[Held], device: torch.device, threads: int) -> Frames:
        count = sum(len(h) for h in held)
        out = cls(
            torch.empty((count, 3, *ATLAS), dtype=torch.uint8, device=device),
            torch.empty((count, 3, TILE, TILE), dtype=torch.uint8, device=device),
            torch.empty((count, 3), device=device),
        )
        first = 0
        with ThreadPoolExecutor(threads) as pool:
            decoded = zip(held, pool.map(_read, held), strict=True)
            for clip, read in tqdm(decoded, total=len(held), desc="frames", mininterval=5):
                rows = slice(first, first := first + len(clip))
                for all_, own in zip(vars(out).values(), read, strict=True):
                    all_[rows] = torch.from_numpy(own).to(device)
        return out

    def __len__(self) -> int:
        return len(self.atlases)


def _read(clip: Held) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Float]:
    atlases = clip.read()
    lashless = atlases[:, TILE:].copy()
    for k, landmarks in enumerate(clip.landmarks[:, :VERTICES, :2]):
        for eye, (first, last) in enumerate(BANDS[1:]):
            points = through(clip.to_atlas[k, 1 + eye][None], landmarks)[0] - (0, first)
            own = lashless[k, first - TILE : last - TILE]
            own[:] = clear_lid(own, points, eye)[0]
    balances = np.stack([balance(own) for own in atlases])
    return *(v.transpose(0, 3, 1, 2) for v in (atlases, lashless)), balances


@dataclass
class Inputs:
    """N tiles on the device, everything in [−1, 1] or [0, 1]."""

    planes: Tensor  # [N, 144, 32, 32]
    target: Tensor  # [N, 3, 128, 128]
    attributes: Tensor  # [N, 38]
    sharp: Tensor  # [N]: 1 of sharp clips, else 0

    def __getitem__(self, rows: Tensor | slice) -> Inputs:
        return Inputs(*(v[rows] for v in vars(self).values()))

    @property
    def warp(self) -> Tensor:
        return self.planes[:, :COLOR_PLANES]

    @property
    def drawn(self) -> Tensor:
        """How far each pixel may be drawn: [N, 1, 128, 128]."""
        return F.pixel_shuffle(self.planes[:, DRAWN_PLANES], 4)

    @property
    def opening(self) -> Tensor:
        """What lies between lips or lids: [N, 1, 128, 128]."""
        return F.pixel_shuffle(self.planes[:, 4 * CELL_PIXELS : 5 * CELL_PIXELS], 4)


Light = Callable[[Tensor], Tensor]


def other_light(n: int, device: torch.device, tint: float, light: float) -> Light:
    """A change of tint and light for each of N pairs, to be done to pictures [N, 3, H, W]."""
    colour = 1 + tint * (torch.rand(n, 3, 1, 1, device=device) - 0.5)
    contrast = 1 + light * (torch.rand(n, 1, 1, 1, device=device) - 0.5)
    shift = 127.5 * (1 + light * (torch.rand(n, 1, 1, 1, device=device) - 0.5))
    return lambda image: ((image.float() - 127.5) * contrast * colour + shift).clamp(0, 255)


def other_style(n: int, device: torch.device) -> Light:
    """Gamma and saturation of each of N pairs, as photographs and paintings have them."""
    gamma = (GAMMA * (2 * torch.rand(n, 1, 1, 1, device=device) - 1)).exp()
    least, most = SATURATION
    chroma = least + (most - least) * torch.rand(n, 1, 1, 1, device=device)

    def changed(image: Tensor) -> Tensor:
        bent = 255 * (image / 255).pow(gamma)
        return (luma_of(bent) + chroma * (bent - luma_of(bent))).clamp(0, 255)

    return changed


def some_grey(n: int, device: torch.device) -> Light:
    """Some of N pairs black and white."""
    grey = (torch.rand(n, 1, 1, 1, device=device) < GREY_SHARE).float()
    return lambda image: image + grey * (luma_of(image) - image)


def luma_of(image: Tensor) -> Tensor:
    """Of pictures [N, 3, H, W], [N, 1, H, W]."""
    luma = torch.from_numpy(LUMA).to(image.device)[None, :, None, None]
    return (image * luma).sum(1, keepdim=True)


def softened(n: int) -> Light:
    """The first of N pairs as photos of fewer pixels have them."""
    each = round(n * SOFT_SHARE / len(SOFTNESS))

    def changed(image: Tensor) -> Tensor:
        parts = list(image.split([*[each] * len(SOFTNESS), n - each * len(SOFTNESS)]))
        for k, side in enumerate(SOFTNESS):
            small = F.interpolate(parts[k], scale_factor=1 / side, mode="area")
            parts[k] = F.interpolate(small, image.shape[-2:], mode="bilinear")
        return torch.cat(parts)

    return changed


def references(batch: PairBatch, images: Tensor) -> Tensor:
    """The reference of each patch, RGB and 255 where there is one: [N, 4, 256, 128]."""
    out = torch.zeros(len(batch.source), 4, *ATLAS, device=images.device)
    for patch, (first, last) in enumerate(BANDS):
        index = batch.reference[:, patch]
        there = index >= 0
        # The right eye of a mirrored picture is the left one of the picture.
        whole = mirror(images[index[there]], batch.mirrored[there])
        out[there, :3, first:last] = whole[:, :, first:last].float()
        out[there, 3, first:last] = 255
    return out


def insides(source: Tensor, made: Tensor) -> Tensor:
    """Colours of insides of mouths that were made, [N, 3, 256, 128] over `LIGHT`, in [−1, 1].

    In the light of the source's mouth, [N, 3, 256, 128]; as `parlante.render.warp`.
    """
    light = luma_of(source[:, :, slice(*BANDS[0])].mean((2, 3), keepdim=True)) / 255
    return (2 * LIGHT * light * made).clamp(max=2) - 1


def tiled(atlas: Tensor) -> Tensor:
    """The tiles of atlases [N, C, H, W], all mouths first: [2 N, C, H / 2, W]."""
    return torch.cat(atlas.chunk(TILES, -2))


def assemble(
    batch: PairBatch,
    frames: Frames,
    sharp: int,
    attributes: Attributes,
    *,
    training: bool = False,
) -> Inputs:
    """Look the pictures up and warp them: the mouths of all pairs, then their eyes.

    The first ``sharp`` frames are those of sharp clips. In training the light changes, the order is
    random, and eyes that stay open are left out.
    """
    device, n = frames.atlases.device, len(batch.source)
    balances = frames.balances[batch.source][:, :, None, None]

    def balanced(images: Tensor) -> Tensor:
        return (images * balances).clamp(0, 255)

    # Light, style and all else change lashes and what is without them alike.
    shown = torch.cat([frames.atlases[batch.source, :, :TILE], frames.lashless[batch.source]], 2)
    source, target = (
        balanced(mirror(atlases, batch.mirrored))
        for atlases in (shown, frames.atlases[batch.target])
    )
    reference = references(batch, frames.atlases)
    other = balanced(reference[:, :3])
    if training:
        light, style = other_light(n, device, TINT, CONTRAST), other_style(n, device)
        grey, soft = some_grey(n, device), softened(n)
        source, target = (soft(grey(style(light(v)))) for v in (source, target))
        other = soft(grey(style(light(other_light(n, device, OTHER, OTHER)(other)))))
    reference = torch.cat([other, reference[:, 3:]], 1)
    own = torch.from_numpy(np.tile(own_places(), 2)).to(device)
    places, maps = batch.moved.float() + own, batch.maps.float().movedim(1, -1) / 255
    opening, drawn, edges, hidden, *_, held = maps.split(1, -1)
    flow = torch.cat([places[..., :2], opening, drawn * (1 - held), places[..., 2:]], -1)
    opaque = source.new_full((n, 1, *ATLAS), 255)
    inside = insides(source, maps[..., 4:7].movedim(-1, 1))
    if training:
        inside = grey(inside)
    inside = torch.cat([inside, hidden.movedim(-1, 1)], 1)
    planes = pack(
        torch.cat([source, opaque], 1), reference, flow, inside, (edges * drawn).movedim(-1, 1)
    )
    # The change of the codes: absolute ones would tell the training people from one another.
    codes = torch.cat(attributes.encoder(batch.expression), 1)
    codes = codes - torch.cat(attributes.encoder(batch.own), 1)
    told = torch.cat([codes, batch.pose], 1).repeat(TILES, 1)
    tile = torch.eye(TILES, device=device).repeat_interleave(n, 0)
    tiles = Inputs(
        tiled(planes),
        tiled(target / 127.5 - 1),
        torch.cat([told, tile], 1),
        (batch.target < sharp).float().repeat(TILES),
    )
    if not training:
        return tiles
    lids = codes[:, LIP : LIP + BLINK].abs().sum(1)
    eyes = n + lids.argsort(descending=True)[: round(n * EYES_SHARE)]
    chosen = torch.cat([torch.arange(n, device=device), eyes])
    return tiles[chosen[torch.randperm(len(chosen), device=device)]]


def edges(image: Tensor) -> Tensor:
    """Horizontal and vertical differences, stacked on channels, same size."""
    across = F.pad(image[..., :, 1:] - image[..., :, :-1], (0, 1))
    down = F.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([across, down], 1)


def pooled_sum(weights: Tensor, side: int = SQUARE) -> Tensor:
    """Sums over squares of so many pixels."""
    return F.avg_pool2d(weights, side, divisor_override=1)


def diffusion_inputs(
    net: nn.Module,
    warp: Tensor,
    target: Tensor,
    maps: tuple[Tensor, Tensor, Tensor],
    levels: Tensor,
) -> tuple[Tensor, Tensor]:
    """x_t [N, 48, h, w] and timesteps [N] to train the denoiser at.

    ``levels`` [3, T] as `Diffusion` has them.
    """
    n, device, last = len(warp), warp.device, levels.shape[1] - 1
    started = round(n * START_SHARE)
    own = slice(started, started + round(n * OWN_SHARE))
    t = (torch.rand(n, device=device) * (last + 1)).long()
    t[:started] = last

    def at(t: Tensor, clean: Tensor, warp: Tensor) -> Tensor:
        of_clean, of_warp, of_noise = levels[:, t, None, None, None]
        return of_clean * clean + of_warp * warp + of_noise * torch.randn_like(clean)

    clean = target.clone()
    clean[:started] = warp[:started]
    with torch.no_grad():
        start = torch.full((own.stop - own.start,), last, device=device)
        x_t = at(start, warp[own], warp[own])
        own_maps = (m[own] for m in maps)
        clean[own] = warp[own] + net.denoiser(x_t, *own_maps, start.float()).float()
    return at(t, clean, warp), t.float()


@dataclass
class Seen:
    """Features of what was drawn, of the truth and of the warp, and where they are judged."""

    made: list[Tensor]
    true: list[Tensor]
    warp: list[Tensor]
    weight: Tensor


def draw_loss(
    net: nn.Module,
    perceptual: Perceptual,
    critic: Critic | None,
    x: Inputs,
    levels: Tensor | None,
) -> tuple[dict[str, Tensor], Seen]:
    """Weighted L1 and L2 of x̂_0, L1 of its edges and of how much edge there is in each square.

    And of its tint, a perceptual distance, and what the critic says. Skin and lips are never where
    the truth has them to the pixel: of them the means of squares are compared, or they would blur.
    Without ``levels`` without diffusion.
    """
    warp = x.warp
    true, drawn, base = x.target, x.drawn, F.pixel_shuffle(warp, 4)
    # What the network may not draw is the warp's in the truth, too.
    true = base + drawn * (true - base)
    opening = F.avg_pool2d(x.opening, 5, 1, padding=2)
    weight = drawn * (1 + OPENING_WEIGHT * opening)
    # Without the cache: weights first cast where no gradient is wanted would be kept without one.
    with torch.autocast(warp.device.type, torch.bfloat16, cache_enabled=False):
        maps = net.condition(x.planes, x.attributes)
        x_t, t = warp, torch.zeros(len(warp), device=warp.device)
        if levels is not None:
            x_t, t = diffusion_inputs(net, warp, F.pixel_unshuffle(true, 4), maps, levels)
        residual = net.denoiser(x_t, *maps, t)
        made = F.pixel_shuffle(warp + residual.float(), 4)
        with torch.no_grad():
            of_true, of_warp = perceptual.features(true), perceptual.features(base)
        of_made = perceptual.features(made)
        features = perceptual.distance(of_made, of_true, weight)
        judged = weight * x.sharp[:, None, None, None]
        seems_drawn = None if critic is None else critic(of_made, of_warp, judged)
    share = weight / weight.sum() / 3
    inside, around = share * opening, pooled_sum(share * (1 - opening))
    miss = made - true
    coarse = F.avg_pool2d(miss, SQUARE)
    more = edges(made).abs() - edges(true).abs()
    detail = made.new_zeros(())
    for side, amount in DETAIL_WEIGHTS.items():
        own = F.avg_pool2d(more, side).abs() * pooled_sum(share, side)
        detail = detail + amount * own.sum() / 2
    off_grey = (coarse - coarse.mean(1, keepdim=True)).abs()
    losses = {
        "l1": (miss.abs() * inside).sum() + (coarse.abs() * around).sum(),
        "l2": L2_WEIGHT * ((miss.square() * inside).sum() + (coarse.square() * around).sum()),
        "edges": GRADIENT_WEIGHT * (edges(miss).abs() * inside).sum() / 2,
        "detail": detail,
        "tint": TINT_WEIGHT * (off_grey * pooled_sum(share)).sum(),
        "features": FEATURE_WEIGHT * features.float(),
    }
    if seems_drawn is not None:
        losses["critic"] = CRITIC_WEIGHT * seems_drawn.float()
    return losses, Seen([v.detach() for v in of_made], of_true, of_warp, judged)


def mouth_scores(made: Tensor, x: Inputs) -> dict[str, float]:
    """PSNR (dB, of 8-bit range) and sharpness of what was drawn: means over tiles.

    made [N, 3, 128, 128]; sharpness is how much edge there is, over the truth's.
    """
    area = (x.drawn > 0.5).float()
    pixels = area.sum((1, 2, 3))
    error = ((made - x.target).square().mean(1, keepdim=True) * area).sum((1, 2, 3))
    edge, true = (
        (edges(v.mean(1, keepdim=True)).norm(dim=1, keepdim=True) * area).sum((1, 2, 3))
        for v in (made, x.target)
    )
    psnr = -10 * (error / pixels / 4).clamp(min=1e-9).log10()
    return {"psnr": float(psnr.mean()), "sharpness": float((edge / true).mean())}


def clip_weights(held: list[Held]) -> list[float]:
    """Chance of each clip: long ones of one person must not crowd out short ones of others."""
    of_sharp = np.array([h.sharp for h in held])
    weights = np.sqrt([len(h) for h in held])
    for mine, share in ((of_sharp, SHARP_SHARE), (~of_sharp, 1 - SHARP_SHARE)):
        weights[mine] *= share / max(weights[mine].sum(), 1e-9)
    return weights.tolist()


def main() -> None:
    parsed, settings = arguments(
        __doc__,
        PRESETS,
        ("diffusion", "shift", "warp"),
        {
            "--atlases": (DEFAULT_ATLASES, "folder that models.data.atlases wrote"),
            "--squeezenet": (SQUEEZENET, "weights of the perceptual loss"),
        },
    )
    device = torch.device(parsed.device)
    hardware = HARDWARE[parsed.preset]
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    perceptual, critic = Perceptual(parsed.squeezenet).to(device), Critic().to(device)
    clips = load_atlases(parsed.atlases)
    held = [h for h in clips if not is_validation(h.person)]
    held_out = [h for h in clips if is_validation(h.person) and h.sharp]
    threads = max(2, hardware.workers)
    frames, fixed_frames = (Frames.of(some, device, threads) for some in (held, held_out))
    sharp = sum(len(h) for h in held if h.sharp)
    loader = DataLoader(
        Pairs(held, clip_weights(held), PAIRS, parsed.seed, mirror=True),
        batch_size=None,
        num_workers=hardware.workers,
        prefetch_factor=4,
        pin_memory=device.type == "cuda",
    )
    fresh = (batch.to(device) for batch in loader)
    batches = mixed(fresh, hardware.held, hardware.reuse, settings.batch)
    fixed = next(iter(Pairs(held_out, clip_weights(held_out), 128, 1, mirror=False))).to(device)
    module = Renderer().to(device, memory_format=torch.channels_last)
    diffusion = diffusion_of(parsed.without)
    levels = None if parsed.without == "diffusion" else diffusion.levels().to(device)

    def seen(batch: PairBatch) -> PairBatch:
        if parsed.without == "warp":
            return replace(batch, moved=torch.zeros_like(batch.moved))
        return batch

    def losses(progress: float) -> dict[str, Tensor]:
        inputs = assemble(seen(next(batches)), frames, sharp, attributes, training=True)
        judged_by = critic if progress >= CRITIC_FROM else None
        parts, judged = draw_loss(module, perceptual, judged_by, inputs, levels)
        # It learns before it is asked.
        if progress >= CRITIC_FROM / 2:
            parts["critic_errs"] = critic.learn(**vars(judged))
        return parts

    def validate(average: nn.Module) -> dict[str, float]:
        scores: dict[str, float] = {}
        referred = fixed.reference[:, 0] >= 0
        for name, rows in (("alone", ~referred), ("referred", referred)):
            batch = PairBatch(*(v[rows] for v in vars(fixed).values()))
            every = assemble(seen(batch), fixed_frames, len(fixed_frames), attributes)
            x = every[: len(batch.source)]  # mouths
            warp = mouth_scores(F.pixel_shuffle(x.warp, 4), x)
            scores |= {f"{name}_warp_{k}": v for k, v in warp.items()}
            maps = average.condition(x.planes, x.attributes)
            for k in (1,) if levels is None else (1, 2):
                generator = torch.Generator(device).manual_seed(0)
                made = sample(average.denoiser, x.warp, maps, diffusion.schedule(k), generator)
                own = mouth_scores(F.pixel_shuffle(made, 4), x)
                scores |= {f"{name}_k{k}_{measure}": v for measure, v in own.items()}
        return scores

    train("renderer", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
