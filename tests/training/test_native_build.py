"""How the native step is compiled, and what happens where it cannot be."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from trainings import trainer

from grokkit.errors import GrokkitError
from grokkit.presets import preset
from grokkit.training import cost
from grokkit.training.native import build

pytestmark = pytest.mark.skipif(bool(build.why_not()), reason=build.why_not())


@pytest.mark.parametrize(
    "variables, message",
    [
        ({"GROKKIT_NATIVE": "0"}, "switched off by GROKKIT_NATIVE=0"),
        ({"CXX": "no-such-c++"}, r"no C\+\+ compiler \(no-such-c\+\+\).*times as fast.*apt install g\+\+"),
        ({"CXX": "c++ --no-such-option"}, "does not compile the native step.*no-such-option"),
        ({"CXX": "c++ -Dfloat=nonsense"}, "does not compile the native step.*error"),
        ({"CXX": "c++ -DNDEBUG", "XDG_CACHE_HOME": f"{__file__}/cache"}, "cannot be kept or loaded: cannot write"),
    ],
)
def test_without_it_torch_is_used_and_one_line_says_why(monkeypatch, capsys, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert re.search(message, build.why_not()) and "\n" not in build.why_not()
    sizes = dict(train_size=200, val_size=10, gen_size=10, analysis_sentences=5, steps=12, horizon=12, eval_every=6)
    config = preset("laptop", "question", 2, width=32, heads=2, ffn_width=48, batch_size=6, **sizes)
    assert not trainer(config, [42]).update.native
    cost.announce([(config, [42], None)], torch.device("cpu"))
    assert re.search(message, capsys.readouterr().out)


def test_a_value_that_is_no_truth_is_refused(monkeypatch):
    monkeypatch.setenv("GROKKIT_NATIVE", "perhaps")
    with pytest.raises(GrokkitError, match="GROKKIT_NATIVE = 'perhaps'"):
        build.library()


def test_processes_that_compile_at_once_do_not_clash(monkeypatch, tmp_path):
    """Three at once, each with what no other has loaded yet; one file is left, and what it says is new is compiled."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "step.cpp"
    monkeypatch.setattr(build, "SOURCE", source)
    for answer in (1, 2):
        source.write_text(f'extern "C" int answer() {{ return {answer}; }}')
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(build._built.__wrapped__, ["c++"] * 3))
        assert [(library.answer(), why) for library, why in found] == [(answer, "")] * 3
        assert len(list((tmp_path / "grokkit").iterdir())) == answer
