"""Files that are far larger inside than outside, or that a reader must not follow."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

INSIDE = 32 << 30
"""Bytes that a bomb unpacks to: more than the machine has that reads it."""
PIECE = 16 << 20
LOCAL = struct.Struct("<4sHHHHHIIIHH")
CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
END64 = struct.Struct("<4sQHHIIQQQQ")
LOCATOR = struct.Struct("<4sIQI")
END = struct.Struct("<4sHHHHIIH")
WIDE = 0xFFFFFFFF
"""In place of a size of 32 bits: the true one has 64 and stands in the extra field."""


def deflated_zeros(size: int, head: bytes) -> bytes:
    """`head` and then `size` zeros, deflated: one compressed piece, repeated."""
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = first.compress(head) + first.flush(zlib.Z_FULL_FLUSH)
    piece = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = piece.compress(bytes(PIECE)) + piece.flush(zlib.Z_FULL_FLUSH)
    return stream + zeros * (size // PIECE) + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def zip_bomb(path: Path, name: str, head: bytes, *, output: bool = True) -> None:
    """A zip with one member of 32 GiB; with `told` false it says to be as small as its head."""
    content, inside = deflated_zeros(INSIDE, head), len(head) + INSIDE
    size = inside if output else len(head)
    extra = struct.pack("<HHQQ", 1, 16, size, len(content))
    label = name.encode()
    # Right for what it says to be; of 32 GiB nobody comes to the end.
    checksum = zlib.crc32(head)
    local = LOCAL.pack(
        b"PK\x03\x04", 45, 0, 8, 0, 0, checksum, WIDE, WIDE, len(label), len(extra)
    ) + label + extra  # fmt: skip
    central = CENTRAL.pack(
        b"PK\x01\x02", 45, 45, 0, 8, 0, 0, checksum, WIDE, WIDE, len(label), len(extra), 0, 0, 0, 0, 0
    ) + label + extra  # fmt: skip
    at = len(local) + len(content)
    end = END64.pack(b"PK\x06\x06", END64.size - 12, 45, 45, 0, 0, 1, 1, len(central), at)
    locator = LOCATOR.pack(b"PK\x06\x07", 0, at + len(central), 1)
    last = END.pack(b"PK\x05\x06", 0, 0, 1, 1, len(central), at, 0)
    path.write_bytes(local + content + central + end + locator + last)


def npy_head(shape: tuple[int, ...], dtype: str) -> bytes:
    """The header of an npy file."""
    output = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    output += b" " * (64 - (11 + len(output)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(output)) + output


def npz_bomb(path: Path, *, output: bool) -> None:
    """An npz file whose x unpacks to 32 GiB of float32."""
    zip_bomb(path, "x.npy", npy_head((INSIDE // 4 // 4, 4), "<f4"), output=output)


def lying_npz(path: Path) -> None:
    """An npz file whose x claims 4 TiB and has a kilobyte."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_head((1 << 40, 1), "<f4") + bytes(1000))
        archive.writestr("y.npy", npy_head((2,), "<i8") + bytes(16))


def png_bomb(path: Path, side: int = 50_000) -> None:
    """A png of a few megabytes whose picture has 2.5 thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    content = b"\x78\xda" + deflated_zeros(side * (side + 1), b"") + bytes(4)
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", content) + chunk(b"IEND", b"")
    )


def image_zip_bomb(path: Path) -> None:
    """A zip of images by class, one of which unpacks to 32 GiB."""
    zip_bomb(path, "ill/1.png", b"\x89PNG\r\n\x1a\n")


def image_folder(path: Path) -> None:
    """A folder of images by class, one of which has 2.5 thousand million pixels."""
    for name in ("ill", "well"):
        (path / name).mkdir(parents=True)
    png_bomb(path / "ill" / "1.png")
    from PIL import Image

    Image.new("L", (8, 8)).save(path / "well" / "1.png")


def hostile_tree(path: Path, rows: np.ndarray, labels: np.ndarray, child: int) -> None:
    """A .skops file of a decision tree whose root's left child is `child`.

    A number beyond the tree makes scikit-learn read far outside of its memory; 0 makes a circle.
    """
    import skops.io
    from sklearn.tree import DecisionTreeClassifier

    fitted = DecisionTreeClassifier(max_depth=2).fit(rows, labels)
    state = fitted.tree_.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"]["left_child"][0] = child
    fitted.tree_.__setstate__(state)
    skops.io.dump(fitted, path)
