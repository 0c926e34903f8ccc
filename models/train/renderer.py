"""Train the renderer: ``python -m models.train.renderer --preset cpu|gpu`` (after sync).

Source and target are two frames of one clip. The target's 3DMM coefficients move the source's mesh; the
network sees the warp and must draw the target. All frames live on the training device as uint8.

Half of the diffusion inputs are the noised truth at any timestep, as in the paper; half are what the
truncated schedule meets at run time, a noised blend of warp and truth at the timesteps it visits.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from models.attributes import Attributes
from models.data.dataset import SIZE, PreparedClip, load, read_frames
from models.data.pairs import PairBatch, Pairs
from models.renderer import FRAME, Renderer, sample
from models.sync import EMBEDDING, Sync
from models.train.loop import Settings, arguments, load_weights, train
from models.warp import pack, sample_features
from parlante.plate import background_plate
from parlante.schedule import cosine_alphas_cumprod

PRESETS = {
    "cpu": Settings(steps=20_000, batch=8, learning_rate=3e-4, save_minutes=10),
    "gpu": Settings(
        steps=200_000, batch=64, learning_rate=6e-4, minutes=15, warmup=500, save_minutes=3
    ),
}
WORKERS = {"cpu": 1, "gpu": 15}
DEAF_SHARE = 0.2  # audio embedding left out, so that one network serves silent clips and guidance
MOUTH_WEIGHT, EYE_WEIGHT = 6.0, 3.0
GRADIENT_WEIGHT = 0.5


@dataclass
class Frames:
    """Pictures of all clips on the training device, uint8, and where each clip begins."""

    images: Tensor  # [frames, 3, 256, 256]
    first: Tensor  # [clips]
    mattes: Tensor  # [sources, 1, 256, 256]
    plates: Tensor  # [sources, 3, 256, 256]
    first_source: Tensor  # [clips]
    source_image: Tensor  # [sources] index into images
    audio: Tensor  # [frames, 128], zero where there is none


def gather(clips: list[PreparedClip], sync: Sync, device: torch.device, threads: int) -> Frames:
    """Decode every clip, with plates of its source frames and audio embeddings of its frames."""

    def read(clip: PreparedClip) -> tuple[Tensor, Tensor]:
        images = read_frames(clip.path)[: len(clip)]
        plates = [
            background_plate(images[f], m)
            for f, m in zip(clip.source_frames, clip.source_mattes, strict=True)
        ]
        return (
            torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
            torch.from_numpy(np.stack(plates)).permute(0, 3, 1, 2).contiguous(),
        )

    lengths = np.array([len(c) for c in clips])
    first = np.r_[0, np.cumsum(lengths)[:-1]]
    counts = np.array([len(c.source_frames) for c in clips])
    first_source = np.r_[0, np.cumsum(counts)[:-1]]
    images = torch.empty((int(lengths.sum()), 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    plates = torch.empty((int(counts.sum()), 3, SIZE, SIZE), dtype=torch.uint8, device=device)
    audio = torch.zeros((int(lengths.sum()), EMBEDDING), device=device)
    with ThreadPoolExecutor(threads) as pool:
        for i, (own, filled) in enumerate(
            tqdm(pool.map(read, clips), total=len(clips), desc="frames", mininterval=5)
        ):
            images[first[i] : first[i] + len(own)] = own.to(device)
            plates[first_source[i] : first_source[i] + counts[i]] = filled.to(device)
    with torch.no_grad():
        for i, clip in enumerate(clips):
            if clip.mel is not None:
                n = min(len(clip), len(clip.mel) // 4)
                audio[first[i] : first[i] + n] = sync.embed(
                    torch.from_numpy(clip.mel).to(device)[None], n
                )[0]
    return Frames(
        images,
        torch.from_numpy(first).to(device),
        torch.from_numpy(np.concatenate([c.source_mattes for c in clips]))[:, None].to(device),
        plates,
        torch.from_numpy(first_source).to(device),
        torch.from_numpy(
            np.concatenate([f + c.source_frames for f, c in zip(first, clips, strict=True)])
        ).to(device),
        audio,
    )


@dataclass
class Inputs:
    """One batch on the device, everything in [−1, 1] or [0, 1]: see `assemble`."""

    source: Tensor  # [N, 3, 256, 256]
    target: Tensor  # [N, 48, 64, 64]
    planes: Tensor  # [N, 128, 64, 64]
    displacement: Tensor
    attributes: Tensor  # [N, 164]
    weight: Tensor  # [N, 1, 256, 256]
    boxes: Tensor


def assemble(batch: PairBatch, frames: Frames, attributes: Attributes, deaf: float) -> Inputs:
    """Look the pictures up, warp, and gather what the networks see."""
    device = frames.images.device
    batch = PairBatch(*(v.to(device, non_blocking=True) for v in vars(batch).values()))
    n = len(batch.clip)
    source_index = frames.first_source[batch.clip] + batch.slot
    target_index = frames.first[batch.clip] + batch.frame
    source = frames.images[frames.source_image[source_index]].float()
    matte, plate = frames.mattes[source_index].float(), frames.plates[source_index].float()
    planes = pack(
        torch.cat([source, matte], 1),
        plate,
        batch.displacement,
        batch.mouth / 255.0,
        batch.interior / 255.0,
    )
    codes = torch.cat(attributes.encoder(batch.expression), 1)
    audio = frames.audio[target_index] * (torch.rand(n, 1, device=device) >= deaf)
    grid = torch.arange(SIZE, device=device)
    weight = torch.ones(n, 1, SIZE, SIZE, device=device)
    for k, extra in enumerate((MOUTH_WEIGHT, EYE_WEIGHT, EYE_WEIGHT)):
        x0, y0, x1, y1 = batch.boxes[:, k].T[..., None]
        inside = ((grid >= y0) & (grid <= y1))[:, :, None] & ((grid >= x0) & (grid <= x1))[:, None]
        weight += extra * inside[:, None]
    target = frames.images[target_index].float() / 127.5 - 1
    return Inputs(
        source / 127.5 - 1, F.pixel_unshuffle(target, 4), planes, batch.displacement,
        torch.cat([codes, batch.pose, audio], 1), weight, batch.boxes,
    )  # fmt: skip


def condition_maps(net: nn.Module, x: Inputs) -> tuple[Tensor, Tensor, Tensor]:
    features, style = net.source(x.source)
    condition = torch.cat(
        [x.planes, sample_features(features, x.displacement).to(x.planes.dtype)], 1
    )
    return net.condition(condition, x.attributes, style)


def edges(image: Tensor) -> Tensor:
    """Horizontal and vertical differences, stacked on channels, same size."""
    across = F.pad(image[..., :, 1:] - image[..., :, :-1], (0, 1))
    down = F.pad(image[..., 1:, :] - image[..., :-1, :], (0, 0, 0, 1))
    return torch.cat([across, down], 1)


def draw_loss(net: nn.Module, x: Inputs, cumulative: Tensor) -> dict[str, Tensor]:
    """Weighted L1 of x̂_0 and of its edges."""
    n, device = len(x.target), x.target.device
    warp = x.planes[:, :FRAME]
    truncated = torch.rand(n, device=device) < 0.6
    t = torch.where(
        truncated, torch.rand(n, device=device) * 500, torch.rand(n, device=device) * 1000
    ).long()
    level = cumulative[t].float()[:, None, None, None]
    blend = (torch.rand(n, device=device) * truncated)[:, None, None, None]
    start = x.target + blend * (warp - x.target)
    x_t = level.sqrt() * start + (1 - level).sqrt() * torch.randn_like(start)
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        context1, context2, gate = condition_maps(net, x)
        residual = net.denoiser(x_t, context1, context2, gate, t.float())
    made = F.pixel_shuffle(warp + residual.float(), 4)
    true = F.pixel_shuffle(x.target, 4)
    total = x.weight.sum()
    return {
        "l1": ((made - true).abs().mean(1, keepdim=True) * x.weight).sum() / total,
        "edges": GRADIENT_WEIGHT
        * ((edges(made) - edges(true)).abs().mean(1, keepdim=True) * x.weight).sum()
        / total,
    }


def mouth_psnr(image: Tensor, true: Tensor, boxes: Tensor) -> float:
    """Mean over pictures [N, 3, 256, 256] in [−1, 1] of the PSNR (dB, of 8-bit range) in the mouth box."""
    scores = []
    for made, real, box in zip(
        image, true, boxes[:, 0].round().long().clamp(0, SIZE - 1), strict=True
    ):
        x0, y0, x1, y1 = box.tolist()
        error = (made - real)[:, y0 : y1 + 1, x0 : x1 + 1].square().mean() / 4
        scores.append(float(-10 * error.clamp(min=1e-9).log10()))
    return float(np.mean(scores))


def main() -> None:
    parsed, settings = arguments(__doc__, PRESETS)
    device = torch.device(parsed.device)
    sync = load_weights(Sync(), "sync", parsed.weights).to(device).requires_grad_(False)
    attributes = (
        load_weights(Attributes(), "attributes", parsed.weights).to(device).requires_grad_(False)
    )
    clips = {v: load(parsed.prepared, parsed.data, "train", validation=v) for v in (False, True)}
    workers = WORKERS[parsed.preset]
    frames = {v: gather(c, sync, device, max(2, workers)) for v, c in clips.items()}
    loader = DataLoader(
        Pairs(clips[False], settings.batch, parsed.seed), batch_size=None, num_workers=workers, prefetch_factor=4,
        pin_memory=device.type == "cuda",
    )  # fmt: skip
    batches = iter(loader)
    fixed = next(iter(Pairs(clips[True], 96, 1)))
    module = Renderer().to(device)
    cumulative = torch.from_numpy(cosine_alphas_cumprod()).to(device)
    step_loss = torch.compile(draw_loss) if device.type == "cuda" else draw_loss
    if device.type == "cuda":
        module = module.to(memory_format=torch.channels_last)

    def losses(step: int) -> dict[str, Tensor]:
        return step_loss(
            module, assemble(next(batches), frames[False], attributes, DEAF_SHARE), cumulative
        )

    def validate(average: nn.Module) -> dict[str, float]:
        x = assemble(fixed, frames[True], attributes, 0.0)
        true = F.pixel_shuffle(x.target, 4)
        warp = F.pixel_shuffle(x.planes[:, :FRAME], 4)
        scores = {"warp": mouth_psnr(warp, true, x.boxes)}
        maps = condition_maps(average, x)
        for k in (1, 2, 8):
            made = sample(
                average.denoiser,
                x.planes[:, :FRAME],
                maps,
                k,
                torch.Generator(device).manual_seed(0),
            )
            scores[f"mouth_k{k}"] = mouth_psnr(F.pixel_shuffle(made, 4), true, x.boxes)
        return scores

    train("renderer", module, losses, settings, parsed, validate)


if __name__ == "__main__":
    main()
