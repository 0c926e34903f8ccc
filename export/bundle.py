"""Build the bundle that ships in the wheel: ``python -m export.bundle --assets DIR``.

Converts the ready-made networks and the 3DMM (without ``--assets`` those of the built-in bundle
serve), exports our trained networks from ``models/weights`` with a check against PyTorch,
and writes ``manifest.json``. ``--int8`` adds the renderer's networks in 8 bits (precision="int8"),
``--fp16`` those in float16.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from export.face_model import correct_motion, reduce_face_model
from export.face_models import convert
from export.likeness import SFACE, convert_likeness
from export.manifest import Part, write_manifest
from export.networks import Network, export, networks
from export.quantize import quantize, quantize_matrices, record
from export.salience import U2NET, convert_salience
from models.data.dataset import DEFAULT_DATA, DEFAULT_PREPARED
from models.train.loop import WEIGHTS
from parlante.runtime.assets import networks_folder
from parlante.runtime.bundle import RENDERER, Bundle

READY_MADE = (
    "face_detector.onnx",
    "face_landmarks.onnx",
    "matte.onnx",
    "salience.onnx",
    "likeness.onnx",
    "voice_activity.onnx",
    "face_model.npz",
)
AUDIO = "audio_encode"
OWN_LICENCE = "Apache-2.0"
AUDIO_LICENCE = "Apache-2.0 AND MIT"  # it began as Whisper's first layers
TRAINING_DATA = (
    "see MODEL_CARD.md: talking-head clips of about 400 people; GRID corpus (CC BY 4.0) among them"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--assets",
        type=Path,
        help="folder with the MediaPipe, YuNet, ICT-FaceKit, U2-Net and SFace files",
    )
    parser.add_argument("--untrained", action="store_true", help="leave our own networks out")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("python/parlante/assets/networks"))
    parser.add_argument(
        "--int8", action="store_true", help="the renderer's networks in 8 bits, too"
    )
    parser.add_argument(
        "--fp16", action="store_true", help="the renderer's networks in float16, too; for GPUs"
    )
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="for --int8")
    parser.add_argument("--prepared", type=Path, default=DEFAULT_PREPARED, help="for --int8")
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    if arguments.assets is not None:
        for name, model in convert(arguments.assets).items():
            onnx.save(model, out / f"{name}.onnx")
        salience = convert_salience(onnx.load(arguments.assets / U2NET))
        onnx.save(salience, out / "salience.onnx")
        likeness = convert_likeness(onnx.load(arguments.assets / SFACE))
        onnx.save(likeness, out / "likeness.onnx")
        import silero_vad

        given = Path(silero_vad.__file__).parent / "data" / "silero_vad_openvino_16k.onnx"
        shutil.copy(given, out / "voice_activity.onnx")
        np.savez_compressed(out / "face_model.npz", **reduce_face_model(arguments.assets))  # type: ignore[arg-type]
    else:
        for name in READY_MADE:
            if not (out / name).exists():
                shutil.copy(networks_folder() / name, out)
    parts = {
        "face_detector": Part(
            "face_detector.onnx", "Apache-2.0", "WIDER FACE (YuNet, by its authors)"
        ),
        "face_landmarks": Part(
            "face_landmarks.onnx", "Apache-2.0", "MediaPipe Face Landmarker, by Google"
        ),
        "matte": Part("matte.onnx", "Apache-2.0", "MediaPipe Selfie Segmentation, by Google"),
        "salience": Part("salience.onnx", "Apache-2.0", "DUTS-TR (U2-Net, by its authors)"),
        "likeness": Part("likeness.onnx", "Apache-2.0", "SFace, by its authors and OpenCV's"),
        "voice_activity": Part(
            "voice_activity.onnx", "MIT", "Silero VAD 6.2.3, by the Silero Team"
        ),
        "face_model": Part("face_model.npz", "MIT", "USC ICT-FaceKit, at MediaPipe's vertices"),
    }
    if (arguments.weights / "modes.safetensors").exists():
        correct_motion(out / "face_model.npz", arguments.weights / "modes.safetensors")
    if arguments.untrained:
        print("face networks and 3DMM only: enough to prepare data and to train")
    for name, network in ({} if arguments.untrained else networks(arguments.weights)).items():
        _export(network, out / f"{name}.onnx")
        if name == AUDIO:
            quantize_matrices(out / f"{name}.onnx")
        licence = AUDIO_LICENCE if name == AUDIO else OWN_LICENCE
        parts[name] = Part(f"{name}.onnx", licence, TRAINING_DATA, network.extra)
        if arguments.fp16 and name in RENDERER:
            _export(network, out / f"{name}_float16.onnx", half=True)
            parts[f"{name}_float16"] = replace(parts[name], file=f"{name}_float16.onnx")
    write_manifest(out, parts)
    if arguments.int8:
        recorded = record(Bundle.open(out), arguments.data, arguments.prepared)
        for name, rows in recorded.items():
            written = quantize(out / f"{name}.onnx", out / f"{name}_int8.onnx", rows)
            part = parts[name]
            parts[f"{name}_int8"] = replace(
                part, file=f"{name}_int8.onnx", extra={**part.extra, **written}
            )
        write_manifest(out, parts)


def _export(network: Network, path: Path, *, half: bool = False) -> None:
    difference = export(network, path, half=half)
    size = path.stat().st_size / 1e6
    print(f"{path.stem:<18} {size:6.2f} MB  differs from PyTorch by {difference:.1e}")


if __name__ == "__main__":
    main()
