"""Checkpoints: what is written comes back, what is damaged is found, what belongs elsewhere is refused."""

import pytest
import torch

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage import checkpoint
from grokkit.storage.identity import Run

RUN = Run(preset("smoke", "question", 1), 42, {"train": "0f"})


def some_tensors(value=1.0):
    return {"weights": torch.full((1, 50), value), "count": torch.tensor([3])}


def test_round_trip_and_only_two_kept(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, some_tensors(float(step)), RUN)
    assert checkpoint.saved_steps(tmp_path) == [2, 3]
    step, tensors, _ = checkpoint.load_newest(tmp_path)
    assert step == 3
    assert all(torch.equal(tensors[name], value) for name, value in some_tensors(3.0).items())
    assert not list(tmp_path.glob("*.tmp"))


def test_empty_folder_has_none(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_file_is_passed_over(tmp_path, damage):
    checkpoint.save(tmp_path, 1, some_tensors(), RUN)
    checkpoint.save(tmp_path, 2, some_tensors(), RUN)
    path = checkpoint.path_of(tmp_path, 2)
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5] ^= 1
    elif damage == "cut":
        content = content[:-7]
    path.write_bytes({"empty": b"", "text": b"hello"}.get(damage, bytes(content)))
    with pytest.raises(GrokkitError):
        checkpoint.load(path)
    with pytest.warns(UserWarning, match="the one before it is used"):
        step, _, _ = checkpoint.load_newest(tmp_path)
    assert step == 1


def test_texts_come_back_and_are_covered_by_the_digest(tmp_path):
    checkpoint.save(tmp_path, 1, some_tensors(), RUN, {"table": "a,b\n1,2\n"})
    path = checkpoint.path_of(tmp_path, 1)
    assert checkpoint.load(path)[1]["table"] == "a,b\n1,2\n"
    path.write_bytes(path.read_bytes().replace(b"1,2", b"1,3"))
    with pytest.raises(GrokkitError, match="fails its digest"):
        checkpoint.load(path)


def test_without_a_whole_checkpoint_nothing_begins_anew_in_silence(tmp_path):
    checkpoint.save(tmp_path, 1, some_tensors(), RUN)
    checkpoint.path_of(tmp_path, 1).write_bytes(b"")
    with pytest.raises(GrokkitError, match="no other whole checkpoint .* move the folder away"):
        checkpoint.load_newest(tmp_path)


def test_a_format_of_the_future_is_refused_by_name(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", "grokkit-checkpoint-9")
        checkpoint.save(tmp_path, 1, some_tensors(), RUN)
    with pytest.raises(GrokkitError, match="has format 'grokkit-checkpoint-9', this version reads"):
        checkpoint.load_newest(tmp_path)


def test_a_checkpoint_under_another_name_is_refused(tmp_path):
    checkpoint.save(tmp_path, 1, some_tensors(), RUN)
    checkpoint.path_of(tmp_path, 1).rename(checkpoint.path_of(tmp_path, 2))
    with pytest.raises(GrokkitError, match="holds step 1: give the file its own name back"):
        checkpoint.load_newest(tmp_path)
