"""Ways to break a file, by a seed: bytes, members of archives, what is packed, chunks of a PNG."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import zipfile
import zlib
from types import ModuleType

PACKERS: dict[str, ModuleType] = {"gz": gzip, "bz2": bz2, "xz": lzma}
INSERTED = [
    b'"', b"\n", b",", b"\0", b"\xff\xfe", b"\r", b"[[[", b";", b"\xef\xbb\xbf", b"\x1a", b"'", b"{", b"NaN",
    b"1e999", b"\xe2\x80\xa8", b"\xc3", b"A" * 5000, b'"' * 9, b"\\", b"<!--", b"&#x0;", b"PK\3\4", b"%!PS",
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0" * 9,
]  # fmt: skip


def mutated(content: bytes, rng: random.Random, least: int = 1) -> bytes:
    """Return content after up to five changes, half of them near its beginning."""
    found = bytearray(content)
    for _ in range(rng.randint(least, 5)):
        if not found:
            break
        place = rng.randrange(min(len(found), rng.choice([60, len(found)])))
        how = rng.choice(["flip", "bit", "cut", "insert", "twice", "overwrite", "end"])
        if how == "flip":
            found[place] = rng.randrange(256)
        elif how == "bit":
            found[place] ^= 1 << rng.randrange(8)
        elif how == "cut":
            del found[place : place + rng.randint(1, 60)]
        elif how == "insert":
            found[place:place] = rng.choice(INSERTED)
        elif how == "twice":
            found[place:place] = found[place : place + rng.randint(1, 80)]
        elif how == "overwrite":
            new = rng.choice(INSERTED)
            found[place : place + len(new)] = new
        elif rng.random() < 0.3:
            del found[place:]
    return bytes(found)


def mutated_inside(content: bytes, kind: str, rng: random.Random) -> bytes:
    """Return a packed file whose content is changed, so that its checksums still hold."""
    if kind in PACKERS:
        packer = PACKERS[kind]
        return bytes(packer.compress(mutated(packer.decompress(content), rng)))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as new:
        victim = rng.choice(archive.namelist())
        for name in archive.namelist():
            if name != victim:
                new.writestr(name, archive.read(name))
            elif rng.random() < 0.9:
                new.writestr(name, mutated(archive.read(name), rng))
    return out.getvalue()


def with_checksums(png: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of what they hold now."""
    found, place = png[:8], 8
    while place + 8 <= len(png):
        size = struct.unpack(">I", png[place : place + 4])[0]
        body = png[place + 4 : place + 8 + size]
        found += png[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + size
    return found
