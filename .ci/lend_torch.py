"""Make torch, and what it requires, visible in another venv by links: a second download is minutes.

    python lend_torch.py VENV

Everything else that sglc needs must come with its wheel, so nothing more is lent.
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

IN_EVERY_VENV = {"pip", "setuptools"}


def required(name: str, found: dict[str, Distribution]) -> None:
    """Add the distribution `name`, and all that it requires here, to `found`."""
    try:
        dist = distribution(name)
    except PackageNotFoundError:  # of another platform
        return
    if name in found or name in IN_EVERY_VENV:
        return
    found[name] = dist
    for requirement in dist.requires or ():
        if "extra ==" not in requirement:
            required(re.split(r"[^\w.-]", requirement, maxsplit=1)[0], found)


def main() -> None:
    (site,) = Path(sys.argv[1]).glob("lib/python*/site-packages")
    found: dict[str, Distribution] = {}
    required("torch", found)
    for dist in found.values():
        tops = {file.parts[0] for file in dist.files or ()} - {"..", "__pycache__"}
        for top in tops:
            link, target = site / top, Path(str(dist.locate_file(top)))
            if target.exists() and not link.exists():
                link.symlink_to(target)


if __name__ == "__main__":
    main()
