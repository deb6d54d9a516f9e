"""`python -m sglc` is `sglc`."""

from sglc.cli import command

if __name__ == "__main__":
    command()
