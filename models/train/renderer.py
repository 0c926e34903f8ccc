"""Train the renderer: ``python -m models.train.renderer --preset cpu|gpu`` (after attributes).

Source and target are two frames of one clip. The target's 3DMM coefficients move the source's mesh;
the network sees the warp and must draw the target. All pictures live on the training device as
uint8. The cpu preset trains on patches, most of them on the mouth: the networks are convolutional,
patches cost less.

The paper trains on the truth at any timestep; here one input in four is such. The others are what
sampling meets at run time: the noised warp it starts from, and what it makes of the network's own
answers further down.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.attributes import Attributes
from models.data.dataset import SIZE, PreparedClip, load, read_frames
from models.data.pairs import PairBatch, Pairs, held_frames, mirror_images, mixed
from models.renderer import TEETH_PLANES, Renderer, diffusion_of, sample
from models.train.loop import Settings, arguments, load_weights, train
from models.warp import pack, sample_features
from parlante.contract import COLOR_PLANES
from parlante.portrait.plate import background_plate


@dataclass(frozen=True)
class Hardware:
    """What a preset holds and how.

    Loader processes, side of the training patches (pixels) at first and towards the end, target
    frames held of each clip, batches drawn for each new one.
    """

    workers: int
    patch: int
    late_patch: int
    frames: int
    reuse: int


PRESETS = {
    "cpu": Settings(200_000, 24, 1e-3, minutes=68, save_minutes=5, muon=True),
    "gpu": Settings(200_000, 64, 1e-3, minutes=15, warmup=500, save_minutes=3, muon=True),
}
HARDWARE = {"cpu": Hardware(1, 64, 96, 32, 3), "gpu": Hardware(15, SIZE, SIZE, 10_000, 1)}
LATE = 0.7  # progress from which patches are as large as they get
HELD_PAIRS = 4096
STYLE_SHARE = 0.5  # styles kept: what is left out cannot tell the training people from one another
LIGHT = 0.8  # range of the changes of contrast, colour and brightness
MOUTH_WEIGHT, EYE_WEIGHT = 6.0, 3.0
SQUARE_WEIGHT, GRADIENT_WEIGHT, DETAIL_WEIGHT = 0.5, 0.5, 5.0
# Of a batch: noised warps, from which sampling starts; answers of the network to those, further
# down. The rest is truth.
START_SHARE, OWN_SHARE = 0.4, 0.35
# Training patches: up to here on the mouth, up to here on an eye, the rest anywhere.
MOUTH_SHARE, EYE_SHARE = 0.6, 0.75
SOURCE_ROOM = 16  # pixels of the source photo that a patch sees around itself


@dataclass
class Frames:
    """Pictures of all clips on the training device, uint8, and where each clip begins."""

    images: Tensor  # held frames of all clips [frames, 3, 256, 256]
    first: Tensor  # of each clip within `images`
    mattes: Tensor  # [sources, 1, 256, 256]
    plates: Tensor  # [sources, 3, 256, 256]
    first_source: Tensor  # of each clip within `mattes` and `plates`
    source_image: Tensor  # [sources], position within `images`


def gather(
    clips: list[PreparedClip],
    held: list[NDArray[np.int64]],
    device: torch.device,
    threads: int,
) -> Frames:
    """Decode the held frames of every clip, with plates of its sources."""

    def read(job: tuple[PreparedClip, NDArray[np.int64]]) -> tuple[Tensor, Tensor]:
        clip, frames = job
        images = read_frames(clip.path, frames)
        sources = images[np.searchsorted(frames, clip.source_frames)]
        plates = np.stack(
            [background_plate(i, m) for i, m in zip(sources, clip.source_mattes, strict=True)]
        )
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(plates).permute(
            0, 3, 1, 2
        )

    counts, sources = [len(frames) for frames in held], [len(clip.source_frames) for clip in clips]
    first, first_source = np.cumsum([0, *counts])[:-1], np.cumsum([0, *sources])[:-1]
    images = torch.empty((sum(counts), 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    plates = torch.empty((sum(sources), 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    with ThreadPoolExecutor(threads) as pool:
        decoded = pool.map(read, zip(clips, held, strict=True))
        for i, (own, filled) in enumerate(
            tqdm(decoded, total=len(clips), desc="frames", mininterval=5)
        ):
            images[first[i] : first[i] + counts[i]] = own.to(device)
            plates[first_source[i] : first_source[i] + sources[i]] = filled.to(device)
    return Frames(
        images=images,
        first=torch.from_numpy(first).to(device),
        mattes=torch.from_numpy(np.concatenate([c.source_mattes for c in clips]))[:, None].to(
            device
        ),
        plates=plates,
        first_source=torch.from_numpy(first_source).to(device),
        source_image=torch.from_numpy(
            np.concatenate(
                [
                    start + np.searchsorted(f, c.source_frames)
                    for start, f, c in zip(first, held, clips, strict=True)
                ]
            )
        ).to(device),
    )


@dataclass
class Inputs:
    """One batch of square patches on the device, everything in [−1, 1] or [0, 1]."""

    whole: Tensor  # source photos [N, 3, 256, 256]
    source: Tensor  # the same, cut out around the patch [N, 3, S, S]
    target: Tensor  # [N, 48, P/4, P/4]
    planes: Tensor  # [N, 128, P/4, P/4]
    displacement: Tensor  # [N, P, P, 2], from the patch into `source`
    attributes: Tensor  # [N, 36]
    weight: Tensor  # [N, 1, P, P]
    boxes: Tensor  # [N, 3, 4], pixels of the patch
    styled: Tensor  # [N, 1]: 1, or 0 where the style is left out


def patch_corners(boxes: Tensor, side: int) -> Tensor:
    """Top left corners [N, 2] of training patches: on the mouth, an eye, or anywhere.

    x and y, multiples of 4.
    """
    n = len(boxes)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    choice = torch.rand(n)
    anywhere = torch.rand(n, 2) * SIZE
    eye = centre[torch.arange(n), 1 + torch.randint(2, (n,))]
    on = torch.where(
        (choice < MOUTH_SHARE)[:, None],
        centre[:, 0],
        torch.where((choice < EYE_SHARE)[:, None], eye, anywhere),
    )
    corner = on - side / 2 + (torch.rand(n, 2) - 0.5) * side / 3
    return ((corner / 4).round() * 4).clamp(0, SIZE - side).long()


def patches(images: Tensor, corner: Tensor, side: int) -> Tensor:
    """Squares [N, C, side, side] of images [N, C, H, W] at corners [N, 2] (x, y)."""
    pairs = zip(images, corner.tolist(), strict=True)
    return torch.stack([image[..., y : y + side, x : x + side] for image, (x, y) in pairs])


def other_light(n: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A change of light and colour for each of N pairs.

    To be done to all of its pictures [N, 3, H, W] (0–255) alike.
    """
    tint = 1 + LIGHT * (torch.rand(n, 3, 1, 1, device=device) - 0.5)
    contrast = 1 + LIGHT * (torch.rand(n, 1, 1, 1, device=device) - 0.5)
    shift = 127.5 * (1 + LIGHT * (torch.rand(n, 1, 1, 1, device=device) - 0.5))
    return lambda image: ((image.float() - 127.5) * contrast * tint + shift).clamp(0, 255)


def assemble(
    batch: PairBatch,
    frames: Frames,
    attributes: Attributes,
    side: int = SIZE,
    *,
    training: bool = False,
) -> Inputs:
    """Look the pictures up, warp, and cut patches of ``side`` pixels.

    `SIZE` takes whole pictures. In training the light changes, and some styles are left out.
    """
    device = frames.images.device
    n = len(batch.clip)
    corner = (
        patch_corners(batch.boxes, side) if side < SIZE else torch.zeros(n, 2, dtype=torch.long)
    )
    moved = batch.displacement.movedim(-1, 1)
    moved = (
        patches(moved, corner, side).to(device).float().movedim(1, -1)
        + corner.to(device)[:, None, None]
    )
    mouth = patches(batch.mouth, corner, side).to(device) / 255.0
    interior = patches(batch.interior, corner, side).to(device) / 255.0
    batch = PairBatch(*(v.to(device, non_blocking=True) for v in vars(batch).values()))
    source_index = frames.first_source[batch.clip] + batch.slot
    target_index = frames.first[batch.clip] + batch.frame
    light = other_light(n, device) if training else torch.Tensor.float
    whole = light(mirror_images(frames.images[frames.source_image[source_index]], batch.mirrored))
    matte = mirror_images(frames.mattes[source_index], batch.mirrored)
    rgba = torch.cat([whole, matte], 1)
    plate = mirror_images(frames.plates[source_index], batch.mirrored)
    plate = light(patches(plate, corner, side))
    planes = pack(rgba, plate, moved, mouth, interior)
    # The source's own patch: where the warp, on average, takes this one's pixels from.
    wide = min(SIZE, side + 2 * SOURCE_ROOM)
    middle = moved.mean((1, 2)) + (side - 1) / 2
    outer = (((middle - wide / 2) / 4).round() * 4).clamp(0, SIZE - wide).long()
    source = patches(whole, outer, wide) / 127.5 - 1
    # The change of the codes: absolute ones would tell the training people from one another.
    codes = torch.cat(attributes.encoder(batch.expression), 1)
    codes = codes - torch.cat(attributes.encoder(batch.own), 1)
    styled = torch.ones(n, 1, device=device)
    if training:
        styled = (torch.rand(n, 1, device=device) < STYLE_SHARE).float()
    boxes = batch.boxes - corner.repeat(1, 2)[:, None].to(device)
    grid = torch.arange(side, device=device)
    weight = torch.ones(n, 1, side, side, device=device)
    for k, extra in enumerate((MOUTH_WEIGHT, EYE_WEIGHT, EYE_WEIGHT)):
        x0, y0, x1, y1 = boxes[:, k].T[..., None]
        inside = ((grid >= y0) & (grid <= y1))[:, :, None] & ((grid >= x0) & (grid <= x1))[:, None]
        weight += extra * inside[:, None]
    target = mirror_images(frames.images[target_index], batch.mirrored)
    target = light(patches(target, corner, side)) / 127.5 - 1
    return Inputs(
        whole=whole / 127.5 - 1,
        source=source,
        target=F.pixel_unshuffle(target, 4),
        planes=planes,
        displacement=moved - outer[:, None, None],
        attributes=torch.cat([codes, batch.pose], 1),
        weight=weight,
        boxes=boxes,
        styled=styled,
    )


def condition_maps(net: nn.Module, x: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    features = sample_features(net.source(x.source), x.displacement)
    condition = torch.cat([x.planes, features.to(x.planes.dtype)], 1)
    return net.condition(condition, x.attributes, net.style(x.whole) * x.styled)


def edges(image: Tensor) -> Tensor:
    """Horizontal and vertical differences, stacked on channels, same size."""
    across = F.pad(image[..., :, 1:] - image[..., :, :-1], (0, 1))
    down = F.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([across, down], 1)


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


def draw_loss(net: nn.Module, x: Inputs, levels: Tensor | None) -> dict[str, Tensor]:
    """Weighted L1 and L2 of x̂_0, L1 of its edges and of how much edge there is in each cell.

    The latter wherever it lies: what is uncertain shall not be blurred. Without ``levels`` without
    diffusion.
    """
    warp = x.planes[:, :COLOR_PLANES]
    # Without the cache: weights first cast where no gradient is wanted would be kept without one.
    with torch.autocast(warp.device.type, torch.bfloat16, cache_enabled=False):
        maps = condition_maps(net, x)
        x_t, t = warp, torch.zeros(len(warp), device=warp.device)
        if levels is not None:
            x_t, t = diffusion_inputs(net, warp, x.target, maps, levels)
        residual = net.denoiser(x_t, *maps, t)
    made = F.pixel_shuffle(warp + residual.float(), 4)
    true = F.pixel_shuffle(x.target, 4)
    share = x.weight / x.weight.sum() / 3
    miss = made - true
    detail = F.avg_pool2d(edges(made).abs() - edges(true).abs(), 4)
    coarse = F.avg_pool2d(share, 4, divisor_override=1)
    return {
        "l1": (miss.abs() * share).sum(),
        "l2": SQUARE_WEIGHT * (miss.square() * share).sum(),
        "edges": GRADIENT_WEIGHT * (edges(miss).abs() * share).sum() / 2,
        "detail": DETAIL_WEIGHT * (detail.abs() * coarse).sum() / 2,
    }


def mouth_scores(image: Tensor, true: Tensor, boxes: Tensor) -> tuple[float, float]:
    """PSNR (dB, of 8-bit range) and sharpness in mouth boxes: means over pictures.

    Pictures [N, 3, 256, 256] in [−1, 1]; sharpness is how much edge there is, over the truth's.
    """
    scores = []
    for made, real, box in zip(
        image, true, boxes[:, 0].round().long().clamp(0, SIZE - 1), strict=True
    ):
        x0, y0, x1, y1 = box.tolist()
        mouth, real_mouth = (v[None, :, y0 : y1 + 1, x0 : x1 + 1] for v in (made, real))
        error = (mouth - real_mouth).square().mean() / 4
        edge, real_edge = (edges(v.mean(1, keepdim=True)).norm(dim=1) for v in (mouth, real_mouth))
        scores.append(
            (float(-10 * error.clamp(min=1e-9).log10()), float(edge.mean() / real_edge.mean()))
        )
    psnr, sharpness = np.mean(scores, 0)
    return float(psnr), float(sharpness)


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS, ("diffusion", "shift", "teeth", "warp"))
    device = torch.device(parsed.device)
    hardware = HARDWARE[parsed.preset]
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    clips = [load(parsed.prepared, parsed.data, "train", validation=v) for v in (False, True)]
    held = [[held_frames(clip, hardware.frames) for clip in part] for part in clips]
    threads = max(2, hardware.workers)
    frames = [gather(c, h, device, threads) for c, h in zip(clips, held, strict=True)]
    loader = DataLoader(
        Pairs(clips[0], held[0], settings.batch, parsed.seed, mirror=True),
        batch_size=None,
        num_workers=hardware.workers,
        prefetch_factor=4,
        pin_memory=device.type == "cuda",
    )
    batches = mixed(iter(loader), HELD_PAIRS, hardware.reuse)
    fixed = next(iter(Pairs(clips[1], held[1], 48, 1, mirror=False)))
    module = Renderer().to(device, memory_format=torch.channels_last)
    diffusion = diffusion_of(parsed.without)
    levels = None if parsed.without == "diffusion" else diffusion.levels().to(device)
    step_loss = torch.compile(draw_loss) if device.type == "cuda" else draw_loss

    if parsed.without == "teeth":
        # They stay at zero: what they see is zero, too.
        nn.init.zeros_(module.condition.stem.weight[:, TEETH_PLANES])

    def seen(batch: PairBatch) -> PairBatch:
        if parsed.without == "teeth":
            return replace(batch, interior=torch.zeros_like(batch.interior))
        if parsed.without == "warp":
            return replace(batch, displacement=torch.zeros_like(batch.displacement))
        return batch

    def losses(progress: float) -> dict[str, Tensor]:
        side = hardware.patch if progress < LATE else hardware.late_patch
        inputs = assemble(seen(next(batches)), frames[0], attributes, side, training=True)
        return step_loss(module, inputs, levels)

    def validate(average: nn.Module) -> dict[str, float]:
        x = assemble(seen(fixed), frames[1], attributes)
        true = F.pixel_shuffle(x.target, 4)
        warp = F.pixel_shuffle(x.planes[:, :COLOR_PLANES], 4)
        scores = {"warp": mouth_scores(warp, true, x.boxes)[0]}
        maps = condition_maps(average, x)
        for k in (1,) if levels is None else (1, 2):
            made = sample(
                average.denoiser,
                x.planes[:, :COLOR_PLANES],
                maps,
                diffusion.schedule(k),
                torch.Generator(device).manual_seed(0),
            )
            psnr, sharpness = mouth_scores(F.pixel_shuffle(made, 4), true, x.boxes)
            scores |= {f"mouth_k{k}": psnr, f"sharpness_k{k}": sharpness}
        return scores

    train("renderer", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
