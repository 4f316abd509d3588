#!/usr/bin/env python3
"""Lowers the C library that ELF objects ask for: changes them in place.

Usage: glibc.py VERSION LIBC-FOLDER SHIM OBJECT...
  VERSION      the oldest glibc on which they are to load, such as 2.31
  LIBC-FOLDER  libc.so.6 and its family, which the objects were linked with
  SHIM         a library that is loaded before them, with what the old glibc does not have

A function that glibc gave a new version keeps its old one, so a reference to it is made to take any version: the loader
then takes the newest one that the host has. A function that is newer than VERSION must be one of SHIM's, and so must one
that was in another library of glibc then, unless SHIM loads that library. The demand for the new versions as such is
removed. An object that needs anything else is named, and none is changed.

Source: gabi's chapter on dynamic linking, and the Linux Standard Base's on symbol versioning.
"""

import struct
import sys
from pathlib import Path

LIBC = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2", "libutil.so.1"]
ANY_VERSION = 1  # VER_NDX_GLOBAL
# What moved into libc.so.6 has this version there. It came from libpthread and libdl, which SHIM loads, or from others.
MOVED = "GLIBC_2.34"
FROM_LOADED_LIBRARIES = ("pthread_", "__pthread_", "sem_", "dl")
SHT_DYNAMIC, SHT_DYNSYM, SHT_VERDEF, SHT_VERNEED, SHT_VERSYM = 6, 11, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
DT_VERNEEDNUM = 0x6FFFFFFF


def number(version):
    """GLIBC_2.31 as (2, 31); None for what is no version of glibc."""
    try:
        return tuple(int(part) for part in version.removeprefix("GLIBC_").split("."))
    except ValueError:
        return None


class Elf:
    """The tables of a 64-bit little-endian object that have to do with versions."""

    def __init__(self, path):
        self.path, self.data = path, bytearray(path.read_bytes())
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit ELF object")
        at, size, count = self.get("<Q", 0x28)[0], *self.get("<HH", 0x3A)
        # Each: type, file offset, bytes, linked section, info, and where its header is.
        self.sections = [(self.get("<I", header + 4)[0], *self.get("<QQII", header + 24), header)
                         for header in range(at, at + size * count, size)]

    def get(self, form, at):
        return struct.unpack_from(form, self.data, at)

    def put(self, form, at, *values):
        struct.pack_into(form, self.data, at, *values)

    def section(self, wanted):
        return next((section for section in self.sections if section[0] == wanted), None)

    def string(self, section, offset):
        start = self.sections[section[3]][1] + offset
        return self.data[start:self.data.index(0, start)].decode()

    def symbols(self):
        """Each dynamic symbol: name, whether it is defined here, and where its version index is."""
        symbols, versions = self.section(SHT_DYNSYM), self.section(SHT_VERSYM)
        for index in range(1, symbols[2] // 24):
            name, _, _, defined = self.get("<IBBH", symbols[1] + 24 * index)
            yield self.string(symbols, name), defined != 0, versions and versions[1] + 2 * index

    def records(self, section, size):
        """The offsets of a chain of records, whose last word is the distance to the next."""
        at = section[1]
        while True:
            yield at
            step = self.get("<I", at + size - 4)[0]
            if step == 0:
                return
            at += step

    def defined_versions(self):
        """Version index to name, of what this library defines."""
        section = self.section(SHT_VERDEF)
        if not section:
            return {}
        return {self.get("<H", at + 4)[0]: self.string(section, self.get("<I", at + self.get("<I", at + 12)[0])[0])
                for at in self.records(section, 20)}

    def demands(self):
        """Each version that is asked of another library: index, library, version."""
        section = self.section(SHT_VERNEED)
        if not section:
            return
        for at in self.records(section, 16):
            _, count, library, aux = self.get("<HHII", at)
            at += aux
            for _ in range(count):
                _, _, index, name, step = self.get("<IHHII", at)
                yield index & 0x7FFF, self.string(section, library), self.string(section, name)
                at += step

    def remove_demands(self, gone):
        """Takes the versions with these indices out of the chains; a chain without any goes too."""
        section = self.section(SHT_VERNEED)
        kept = []
        for at in list(self.records(section, 16)):
            _, count, _, aux = self.get("<HHII", at)
            chain, entry = [], at + aux
            for _ in range(count):
                _, _, index, _, step = self.get("<IHHII", entry)
                if index & 0x7FFF not in gone:
                    chain.append(entry)
                entry += step
            for entry, following in zip(chain, chain[1:] + [None]):
                self.put("<I", entry + 12, following - entry if following else 0)
            if chain:
                self.put("<H", at + 2, len(chain))
                self.put("<I", at + 8, chain[0] - at)
                kept.append(at)
        if not kept or kept[0] != section[1]:
            raise ValueError(f"{self.path}: the first library that it asks a version of would be left with none")
        for at, following in zip(kept, kept[1:] + [None]):
            self.put("<I", at + 12, following - at if following else 0)
        self.put("<I", section[5] + 44, len(kept))  # sh_info
        _, start, size, *_ = self.section(SHT_DYNAMIC)
        for at in range(start, start + size, 16):
            if self.get("<Q", at)[0] == DT_VERNEEDNUM:
                self.put("<Q", at + 8, len(kept))


def old_versions(folder, floor):
    """Of each function that an old glibc has: its versions up to that one."""
    found = {}
    for library in LIBC:
        elf = Elf(folder / library)
        names = elf.defined_versions()
        for name, defined, at in elf.symbols():
            version = number(names.get(elf.get("<H", at)[0] & 0x7FFF, "")) if defined and at else None
            if version and version <= floor:
                found.setdefault(name, set()).add(version)
    return found


def is_unambiguous(versions, oldest):
    """Whether a reference without a version means the same function everywhere. The loader takes the default one, but before
    that any one of the oldest version of all."""
    return len(versions) == 1 or (len(versions) > 1 and oldest not in versions)


def lower(elf, floor, old, shim):
    """Changes what the object asks for; the reasons why that is not enough."""
    oldest = min(version for versions in old.values() for version in versions)
    new = {index: version for index, library, version in elf.demands()
           if library in LIBC + ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"]
           and (number(version) is None or number(version) > floor)}
    if not new:
        return
    for name, defined, at in elf.symbols():
        version = new.get(elf.get("<H", at)[0] & 0x7FFF) if not defined else None
        if not version:
            continue
        if version == MOVED and name not in shim and not name.startswith(FROM_LOADED_LIBRARIES):
            yield f"{elf.path.name} needs {name}@{version}, which may have been in another library"
        if name not in shim and not is_unambiguous(old.get(name, ()), oldest):
            yield f"{elf.path.name} needs {name}@{version}" + (", which has several old versions" if name in old else "")
        elf.put("<H", at, ANY_VERSION)
    for version in new.values():
        if number(version) is None:  # such as GLIBC_ABI_DT_RELR: another format of the object itself
            yield f"{elf.path.name} needs {version}"
    elf.remove_demands(new)


def main():
    floor, folder, shim, *objects = sys.argv[1:]
    floor = number(floor)
    old = old_versions(Path(folder), floor)
    shim = {name for name, defined, _ in Elf(Path(shim)).symbols() if defined}
    objects = [Elf(Path(path)) for path in objects]
    missing = [reason for elf in objects for reason in lower(elf, floor, old, shim)]
    if missing:
        sys.exit("\n".join(missing + [f"glibc {'.'.join(map(str, floor))} has none of these: add them to assets/qemu/old_hosts.c"]))
    for elf in objects:
        elf.path.write_bytes(elf.data)


if __name__ == "__main__":
    main()
