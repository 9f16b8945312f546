"""Matrices of float64 in .npy files, for tests that have no NumPy."""

import struct
from array import array


def write_npy(path, rows, columns, values, descr="<f8", fortran=False, truncate=0):
    header = repr({"descr": descr, "fortran_order": fortran, "shape": (rows, columns)})
    header += " " * (-(len(header) + 11) % 64) + "\n"
    data = array("d", values).tobytes()
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode())
        file.write(data[: len(data) - truncate])


def read_npy(path):
    with open(path, "rb") as file:
        content = file.read()
    (length,) = struct.unpack("<H", content[8:10])
    return tuple(array("d", content[10 + length :]))
