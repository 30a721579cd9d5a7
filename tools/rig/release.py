"""`python release.py ARCHIVE SUMS MEMBER FOLDER`: get an official release, check it, take one program out of it.

ARCHIVE is the url of a .zip or .tar.gz, SUMS that of the list of sha256 sums it stands in; MEMBER is the name of a file
in it, which comes into FOLDER. Prints what it does, its last line is an error if there was one.
"""

import hashlib
import sys
import tarfile
import urllib.request
import zipfile
from pathlib import Path, PurePosixPath

LIMIT_S = 60.0
"""Seconds without a byte after which a server is given up."""

BLOCK = 1 << 20


def main(archive: str, sums: str, member: str, folder: str) -> None:
    """Have FOLDER/MEMBER, or end with an error line."""
    name = archive.rpartition("/")[2]
    with urllib.request.urlopen(sums, timeout=LIMIT_S) as answer:
        wanted = sum_of(name, answer.read().decode())
    whole = Path(folder, name)
    digest = hashlib.sha256()
    print(f"getting {archive}", flush=True)
    with urllib.request.urlopen(archive, timeout=LIMIT_S) as answer, whole.open("wb") as out:
        while block := answer.read(BLOCK):
            digest.update(block)
            out.write(block)
    if digest.hexdigest() != wanted:
        sys.exit("error: the downloaded files do not match the hashes")
    Path(folder, member).write_bytes(content_of(whole, member))
    whole.unlink()


def sum_of(name: str, text: str) -> str:
    """The sha256 of the file `name` in a list of `SUM  NAME` lines."""
    for line in text.splitlines():
        parts = line.split()
        if len(parts) == 2 and parts[1].lstrip("*") == name:
            return parts[0]
    sys.exit(f"error: no sum of {name} is listed")


def content_of(archive: Path, member: str) -> bytes:
    """The content of the file that is called `member`, in whichever folder of the archive."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for name in zipped.namelist():
                if PurePosixPath(name).name == member:
                    return zipped.read(name)
    else:
        with tarfile.open(archive) as tar:
            for info in tar:
                if info.isfile() and PurePosixPath(info.name).name == member and (content := tar.extractfile(info)):
                    return content.read()
    sys.exit(f"error: there is no {member} in {archive.name}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except OSError as error:
        sys.exit(f"error: {error}")
