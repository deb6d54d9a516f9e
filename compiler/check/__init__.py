"""The checker. Its one public function is `check`."""

from sglc.compiler.check.program import check as check
