"""Who made a file, and with what: C2PA manifests, written into videos.

A manifest (C2PA 2.2, the standard of "content credentials") says that a video was made by a trained
model, by which program, and of which encoded face. It is signed, and bound to the file's bytes: a
file that was changed afterwards no longer agrees with it.

Whose signature it is: that of a certificate which is given, or of one that was made on this machine
and says so, which proves nothing about who it was.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from parlante import __version__
from parlante.checks import read_file
from parlante.errors import OutputError, ParlanteError, reason
from parlante.media.files import PartialFile

KINDS = {".mp4": "video/mp4", ".mov": "video/quicktime"}  # that hold a manifest
PRODUCT = "parlante"
FACT = "org.parlante.made"  # the assertion that is ours
# What IPTC calls it where all of a picture was made by a trained model.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
LASTS = timedelta(days=3650)  # the local certificate

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """Who signs: a certificate chain and the key of its first, ECDSA on P-256, both PEM."""

    chain: bytes
    key: bytes

    @classmethod
    def read(cls, chain: Path, key: Path) -> Credentials:
        """From files.

        Raises:
            ParlanteError: they cannot be read, or do not belong together.
        """
        try:
            made = cls(read_file(chain), read_file(key))
            made.signer()
        except Exception as error:  # c2pa and OSError
            raise ParlanteError(
                f"{chain} and {key} are no certificate chain and its key ({reason(error)}); give "
                "PEM files of a C2PA signing certificate (ECDSA, P-256)"
            ) from error
        return made

    @classmethod
    def local(cls) -> Credentials:
        """Of this machine: made once and kept in the user's folder of settings.

        Raises:
            ParlanteError: they cannot be kept there.
        """
        path = _settings() / "signing.pem"  # both, so that they belong together
        try:
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                made = _self_signed()
                partial = PartialFile(path)
                partial.path.chmod(0o600)
                partial.path.write_bytes(made.key + made.chain)
                partial.commit()
            key, begin, chain = read_file(path).partition(b"-----BEGIN CERTIFICATE")
        except (OSError, OutputError) as error:
            raise ParlanteError(
                f"{path}: there is no certificate and none can be kept ({reason(error)}); set "
                "XDG_CONFIG_HOME, give a certificate, or leave the manifest out with marks="
                "'watermark'"
            ) from error
        return cls(begin + chain, key)

    def signer(self) -> Any:
        """The signer of the library."""
        import c2pa

        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self.chain, self.key, None))


def seal_of(
    path: Path, marks: Collection[str], credentials: Credentials | None, face: str
) -> Callable[[Path], None] | None:
    """What gives a finished file, that is to be called ``path``, its manifest; None where nothing.

    credentials: None for those of this machine.

    Raises:
        ParlanteError: there are no credentials.
    """
    if "manifest" not in marks:
        _log.warning("%s carries no manifest: whoever shows it has to say that it was made", path)
        return None
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        _log.info("%s can hold no manifest; %s can", path, " and ".join(KINDS))
        return None
    own = credentials or Credentials.local()
    return lambda made: sign(made, kind, own, face)


def sign(path: Path, kind: str, credentials: Credentials, face: str) -> None:
    """Give the video file ``path``, of a media type ``kind``, a manifest; whole or not at all.

    face: key of the encoded face that it shows.

    Raises:
        OutputError: it cannot be signed; the file is as it was.
        OSError: nor can it be written.
    """
    import c2pa

    made = {
        "claim_generator_info": [{"name": PRODUCT, "version": __version__}],
        "format": kind,
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}]},
            },
            {"label": FACT, "data": {"face": face}},
        ],
    }
    signed = PartialFile(path)
    try:
        builder = c2pa.Builder(json.dumps(made))
        with path.open("rb") as source, signed.path.open("w+b") as target:
            builder.sign(credentials.signer(), kind, source, target)
        signed.commit()
    except c2pa.C2paError as error:
        raise OutputError(
            f"{path} cannot be signed ({reason(error)}); leave the manifest out with marks="
            "'watermark'"
        ) from error
    finally:
        signed.drop()


def _settings() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or os.environ.get("APPDATA")
    return (Path(base) if base else Path.home() / ".config") / "parlante"


def _self_signed() -> Credentials:
    """A root of this machine's own and a certificate by it, as the C2PA wants a chain to be."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(common: str) -> x509.Name:
        given = {NameOID.ORGANIZATION_NAME: f"{PRODUCT}, self-signed", NameOID.COMMON_NAME: common}
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in given.items()])

    def usage(*, signs: bool) -> x509.KeyUsage:
        rest = (False,) * 4
        return x509.KeyUsage(not signs, *rest, signs, signs, False, False)

    root, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    began = datetime.now(timezone.utc) - timedelta(days=1)

    def certificate(key: ec.EllipticCurvePrivateKey, common: str, *, signs: bool) -> Any:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(common))
            .issuer_name(name("root"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(began)
            .not_valid_after(began + LASTS)
            .add_extension(x509.BasicConstraints(signs, None), critical=True)
            .add_extension(usage(signs=signs), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False
            )
        )
        if not signs:
            purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purposes, critical=False)
        return builder.sign(root, hashes.SHA256()).public_bytes(Encoding.PEM)

    chain = certificate(own, "this machine", signs=False) + certificate(root, "root", signs=True)
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Credentials(chain, key)
