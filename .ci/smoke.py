"""What an installed sglc must do, in a folder without its checkout: compile, save, load and run."""

import sglc
from sglc import testing

SOURCE = """
program greet(name: str) -> str:
    user "Say hello to {name}."
    assistant:
        gen greeting(stop="\\n")
        " "
        select mood from ["glad", "sad"]
    return "{greeting} {mood}"
"""

model = testing.Model({"greeting": "Hello!\nnot this", "mood": "glad"})
sglc.compile(SOURCE, model=model).save("plan.bin")
program = sglc.Program.load("plan.bin", model=model)
results = list(program.run([{"name": "Ana"}, {"nam": "Bo"}]))
assert results[0].output == "Hello! glad", results[0]
assert results[1].error is not None and results[1].error.code == "missing_field", results[1]
assert "site-packages" in sglc.__file__, sglc.__file__
try:
    sglc.compile(SOURCE.replace("{name}", "{nmae}"), model=model)
except sglc.CompileError as error:
    assert "did you mean `name`?" in str(error), error
else:
    raise AssertionError("a wrong program was compiled")
print("the wheel works:", program.signature)
