"""What the wheel is made of and what it needs, as a CycloneDX list: ``python -m export.sbom``.

Written to ``licenses/sbom.cdx.json``, which the wheel holds in ``.dist-info/sboms`` (PEP 770). Of
the model bundle's files it says hash, licence and training data; of packages their licence and
which versions are allowed. Licences are those that the packages installed here say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from export.bundle import OWN_LICENCE
from parlante import __version__
from parlante.runtime.bundle import Bundle

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PATH = ROOT / "licenses" / "sbom.cdx.json"
EXTRAS = ("serve", "camera", "adapters", "ray")  # of what runs the product
COMPILED_IN = {"pybind11": "BSD-3-Clause"}
DEMO = {"portrait.jpg": "public domain (NASA)", "speech.flac": "CC-BY-4.0"}
# In PyAV's wheels, as libraries of their own; see docs/reference/licences.md.
WITH_AV = {"FFmpeg": "LGPL-3.0-or-later", "x264": "GPL-2.0-or-later", "x265": "GPL-2.0-or-later"}


def components() -> Iterator[Component]:
    """All there is, in a fixed order."""
    for name, file in Bundle.default().manifest.files.items():
        yield Component(
            name=f"parlante/assets/networks/{name}",
            bom_ref=name,
            version=__version__,
            type=ComponentType.MACHINE_LEARNING_MODEL,
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
            licenses=[_licence(file["licence"])],
            properties=[Property(name="parlante:training_data", value=file["training_data"])],
        )
    for name, licence in DEMO.items():
        yield Component(
            name=f"parlante/assets/demo/{name}",
            bom_ref=name,
            type=ComponentType.DATA,
            licenses=[_licence(licence)],
        )
    for name, licence in (COMPILED_IN | WITH_AV).items():
        yield Component(
            name=name,
            bom_ref=name,
            type=ComponentType.LIBRARY,
            licenses=[_licence(licence)],
            properties=[
                Property(
                    name="parlante:part_of",
                    value="the extension" if name in COMPILED_IN else "the wheel of av",
                )
            ],
        )
    for name, (versions, scope) in sorted(requirements().items()):
        yield Component(
            name=name,
            bom_ref=f"pypi:{name}",
            type=ComponentType.LIBRARY,
            scope=scope,
            purl=PackageURL("pypi", name=name),
            licenses=[_licence(_said_by(name))],
            properties=[Property(name="parlante:versions", value=versions)],
        )


def requirements() -> dict[str, tuple[str, ComponentScope]]:
    """The packages that pyproject.toml names: which versions, and whether one does without."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = (line for extra in EXTRAS for line in project["optional-dependencies"][extra])
    found = {}
    for lines, scope in (
        (optional, ComponentScope.OPTIONAL),
        (project["dependencies"], ComponentScope.REQUIRED),
    ):
        for requirement in map(Requirement, lines):
            found[canonicalize_name(requirement.name)] = str(requirement.specifier), scope
    return found


def sbom() -> str:
    """The list as JSON; always the same of the same parts."""
    bom = Bom(components=components())
    bom.metadata.component = Component(
        name="parlante",
        bom_ref="parlante",
        version=__version__,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", name="parlante", version=__version__),
        licenses=[_licence(OWN_LICENCE)],
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    bom.serial_number = uuid5(NAMESPACE_URL, f"parlante {__version__}")
    bom.metadata.timestamp = None  # type: ignore[assignment]
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _licence(told: str) -> License:
    return LicenseFactory().make_from_string(told)


def _said_by(package: str) -> str:
    """The licence that a package's own metadata names; it has to be installed."""
    told = metadata(package)
    if "License-Expression" in told:
        return str(told["License-Expression"])
    named = [c.split(" :: ")[-1] for c in told.get_all("Classifier", []) if "License" in c]
    if not named and "License" in told:
        named = str(told["License"]).splitlines()[:1]
    return " / ".join(named) or "unknown"


def main() -> None:
    PATH.write_text(sbom(), "utf-8")
    print(f"wrote {PATH.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
