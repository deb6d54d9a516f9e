"""What compiling needs of a model loads without torch, and quickly."""

import subprocess
import sys

CODE = """
import sys
from sglc.runtime.model.load import load_spec
from sglc.runtime.model.locate import locate
spec = load_spec(locate(sys.argv[1]))
assert spec.tokenizer.encode("the")
heavy = {"torch", "transformers", "gguf", "numpy", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""


def test_a_spec_needs_no_torch(train_byte_level, write_folder):
    folder = write_folder(train_byte_level("smollm"))
    subprocess.run([sys.executable, "-c", CODE, str(folder)], check=True)
