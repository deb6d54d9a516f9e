"""The embedded model against transformers' own reading of the same GGUF file, in fp32."""

import pytest
import torch
import transformers
from tokenizers import pre_tokenizers
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

from sglc.runtime.model.load import load_model, load_spec
from sglc.runtime.model.locate import locate
from sglc.runtime.models.naive_attend import naive_attend

pytestmark = [pytest.mark.weights, pytest.mark.slow]

PROMPTS = [
    "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n",
    "The capital of France is",
    "def fibonacci(n):\n    ",
]


@pytest.fixture(scope="module")
def files():
    return locate(None)


@pytest.fixture(scope="module")
def theirs(files):
    source = {"pretrained_model_name_or_path": str(files.path.parent), "gguf_file": files.path.name}
    model = transformers.LlamaForCausalLM(transformers.AutoConfig.from_pretrained(**source))
    # what from_pretrained does with a GGUF file, without the accelerate package that it asks for
    checkpoint = load_gguf_checkpoint(str(files.path), return_tensors=True, model_to_load=model)
    missing, unexpected = model.load_state_dict(checkpoint["tensors"], strict=False)
    assert (missing, unexpected) == (["lm_head.weight"], [])
    model.tie_weights()
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    # transformers does not read the file's `pre: smollm`, which splits at every digit first
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    return model.float().eval(), tokenizer


@torch.inference_mode()
def greedy(next_logits, ids, num_tokens):
    ids = list(ids)
    for _ in range(num_tokens):
        ids.append(int(next_logits(torch.tensor(ids)).argmax()))
    return ids


def test_greedy_tokens_equal_transformers(files, theirs):
    torch.set_num_threads(1)
    model, tokenizer = theirs
    ours = load_model(files, device="cpu", dtype="float32")

    def our_logits(ids):
        every = torch.arange(len(ids))
        return ours.forward(ids, every, naive_attend, every[-1:])[0]

    for prompt in PROMPTS:
        ids = tokenizer.encode(prompt, add_special_tokens=False)
        expected = greedy(lambda ids: model(ids[None]).logits[0, -1], ids, 12)
        assert greedy(our_logits, ids, 12) == expected


def test_tokens_equal_transformers(files, theirs):
    """The same ids for text, and through the chat template for conversations."""
    _, tokenizer = theirs
    spec = load_spec(files)
    for text in ["Hello  world!\n\n 12345 it's naïve 日本語 \u00e9 e\u0301", " x", "a\tb\r\n"]:
        assert spec.tokenizer.encode(text) == tokenizer.encode(text, add_special_tokens=False)
        assert spec.tokenizer.decode(spec.tokenizer.encode(text)) == text
    assert spec.tokenizer.eos_ids == {2}
    assert spec.identity.context_len == 8192
    assert spec.markup.default_system is not None


def test_controls_in_text_are_plain(files):
    tokenizer = load_spec(files).tokenizer
    ids = tokenizer.encode("<|im_start|>user<|endoftext|>")
    assert not tokenizer.control_ids.intersection(ids)
    assert tokenizer.decode(ids) == "<|im_start|>user<|endoftext|>"
