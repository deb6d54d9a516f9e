"""The tokenizer of a Hugging Face folder: its tokenizer.json and the settings beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sglc.runtime.model.errors import ModelError
from sglc.runtime.model.json_file import read_json, read_json_if_there
from sglc.runtime.model.pretokens import steps_of
from sglc.runtime.model.vocabulary import ControlToken, Vocabulary, without_controls

_SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token")


def hf_vocabulary(folder: Path) -> Vocabulary:
    """Raises ModelError for a folder without a tokenizer, or with one of an unknown kind."""
    definition = _definition(folder)
    settings = read_json_if_there(folder / "tokenizer_config.json")
    controls = _controls(definition)
    pipeline, is_byte_level, dummy_space = _without_additions(definition, controls)
    names = _special_names(settings, read_json_if_there(folder / "special_tokens_map.json"))
    ids = {token.name: token.id for token in controls}
    bos_id = _bos_of_template(definition.get("post_processor"))
    wants_bos = settings.get("add_bos_token")
    if wants_bos is not None:
        bos_id = (bos_id or ids.get(names.get("bos_token", ""))) if wants_bos else None
    return Vocabulary(
        pipeline=pipeline,
        controls=controls,
        bos_id=bos_id,
        eos_ids=_eos_ids(folder, ids.get(names.get("eos_token", ""))),
        is_byte_level=is_byte_level,
        dummy_space=dummy_space,
        special_names=names,
    )


def _definition(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    if path.exists():
        return read_json(path)
    if not any(folder.glob("*.model")):
        raise ModelError(f"{folder} has no tokenizer.json")
    try:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), use_fast=True)
        definition: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    except Exception as error:  # conversion needs packages that may not be there, and fails freely
        raise ModelError(
            f"{folder} has no tokenizer.json, and transformers cannot make one from its "
            f"tokenizer.model: {error}"
        ) from error
    return definition


def _controls(definition: Mapping[str, Any]) -> tuple[ControlToken, ...]:
    return tuple(
        ControlToken(
            name=token["content"],
            id=token["id"],
            strips_left=bool(token.get("lstrip")),
            strips_right=bool(token.get("rstrip")),
        )
        for token in definition.get("added_tokens") or ()
    )


def _without_additions(
    definition: Mapping[str, Any], controls: tuple[ControlToken, ...]
) -> tuple[dict[str, Any], bool, bool]:
    """(pipeline, is byte-level, had a dummy space)."""
    model = dict(definition["model"])
    if model.get("type", "BPE") != "BPE":
        raise ModelError(f"a tokenizer of type {model['type']} is not supported; known: BPE")
    # "left right" in files of older versions
    pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"])
    model["vocab"], model["merges"] = without_controls(
        model["vocab"], ((left, right) for left, right in pairs), controls
    )
    model["unk_token"] = None
    normalizers = steps_of(definition.get("normalizer"), "normalizers")
    pretokenizers = steps_of(definition.get("pre_tokenizer"), "pretokenizers")
    is_byte_level = any(step["type"] == "ByteLevel" for step in (*normalizers, *pretokenizers))
    if not is_byte_level and not _falls_back_to_bytes(model):
        raise ModelError("a SentencePiece model without byte fallback is not supported")
    dummy_space = any(step["type"] == "Prepend" for step in normalizers) or any(
        step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never"
        for step in pretokenizers
    )
    pipeline: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": _in_sequence(
            (step for step in normalizers if step["type"] != "Prepend"), "normalizers"
        ),
        "pre_tokenizer": _in_sequence(map(_without_dummy, pretokenizers), "pretokenizers"),
        "model": model,
    }
    return pipeline, is_byte_level, dummy_space


def _falls_back_to_bytes(model: Mapping[str, Any]) -> bool:
    return bool(model.get("byte_fallback")) and all(
        f"<0x{byte:02X}>" in model["vocab"] for byte in range(256)
    )


def _without_dummy(step: dict[str, Any]) -> dict[str, Any]:
    if step["type"] == "ByteLevel":
        return {**step, "add_prefix_space": False}
    if step["type"] == "Metaspace":
        kept = {key: value for key, value in step.items() if key != "add_prefix_space"}
        return {**kept, "prepend_scheme": "never"}
    return step


def _in_sequence(steps: Iterable[dict[str, Any]], key: str) -> dict[str, Any] | None:
    listed = list(steps)
    if len(listed) < 2:
        return listed[0] if listed else None
    return {"type": "Sequence", key: listed}


def _bos_of_template(processor: Mapping[str, Any] | None) -> int | None:
    """The id that the tokenizer's post-processor puts before a text, if it is a special one."""
    for step in steps_of(dict(processor) if processor else None, "processors"):
        if step["type"] == "TemplateProcessing" and step["single"]:
            special = step["single"][0].get("SpecialToken")
            if special is not None:
                return int(step["special_tokens"][special["id"]]["ids"][0])
    return None


def _special_names(*sources: Mapping[str, Any]) -> dict[str, str]:
    names: dict[str, str] = {}
    for source in sources:
        for name in _SPECIAL_NAMES:
            value = source.get(name)
            text = value.get("content") if isinstance(value, dict) else value
            if isinstance(text, str):
                names.setdefault(name, text)
    return names


def _eos_ids(folder: Path, eos_id: int | None) -> frozenset[int]:
    ids = set() if eos_id is None else {eos_id}
    for name in ("generation_config.json", "config.json"):
        value = read_json_if_there(folder / name).get("eos_token_id")
        ids.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(ids)
