"""The stable codes of diagnostics, each with the kebab-case name of its kind.

Law: a code never changes its meaning; a new kind takes a new code. `LANGUAGE.md` lists them all.
Groups: E01 syntax, E02 names, E03 types, E04 roles and contexts, E05 imports, consts and files,
E06 options of gen and select, E07 the model, E08 not supported yet, W01 warnings.
"""

CODES: dict[str, str] = {
    # syntax
    "E0101": "unexpected-token",
    "E0102": "missing-colon",
    "E0103": "bad-indentation",
    "E0104": "tab-indentation",
    "E0105": "missing-block",
    "E0106": "unclosed-bracket",
    "E0107": "unclosed-string",
    "E0108": "bad-interpolation",
    "E0109": "bad-escape",
    "E0110": "not-utf8",
    "E0111": "assignment-in-expression",
    "E0112": "foreign-spelling",
    "E0113": "string-prefix",
    "E0114": "adjacent-strings",
    "E0115": "misplaced-statement",
    "E0116": "missing-word",
    "E0117": "bad-number",
    "E0118": "call-form",
    "E0119": "nested-too-deeply",
    "E0120": "unexpected-character",
    "E0121": "unknown-statement",
    "E0122": "reserved-word",
}
