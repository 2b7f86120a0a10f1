"""A run has one folder, whatever it was trained beside: stacks are split and joined, and go on together or apart."""

import pandas as pd
import pytest
import torch

from grokkit.config import preset
from grokkit.errors import GrokkitError
from grokkit.storage import checkpoint
from grokkit.storage.files import run_folder
from grokkit.storage.run_folder import RunFolder, read_table
from grokkit.storage.stack_folders import StandApart
from grokkit.training.flat_adamw import saved
from grokkit.training.trainer import Trainer, train

CONFIG = preset("smoke", "tense", 1)


def go(out, seeds, steps=20, config=CONFIG) -> Trainer:
    """Trains a stack up to a step, and saves there."""
    trainer = Trainer(config, seeds, out, "cpu")
    trainer.run(False, None) if steps == config.steps else _part(trainer, steps)
    return trainer


def _part(trainer: Trainer, steps: int) -> None:
    if not trainer.rows:
        trainer._evaluate()
    while trainer.step < steps:
        trainer._train_step()
        if trainer.step % trainer.config.eval_every == 0:
            trainer._evaluate()
    trainer._save()
    trainer.folders.close()


def state(out, seed, step) -> dict[str, torch.Tensor]:
    tensors = checkpoint.load(checkpoint.path_of(run_folder(out, seed), step))[0]
    return {name: tensor for name, tensor in tensors.items() if name != "seconds"}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_stack_is_split_and_joined_to_the_bit(tmp_path):
    """Three runs are trained 13 steps together and go on as 2 and 1."""
    go(tmp_path, [42, 52, 62], 13)
    before = {seed: state(tmp_path, seed, 13) for seed in (42, 52, 62)}
    assert all(tensor.shape[0] == 1 for tensors in before.values() for tensor in tensors.values())
    joined = Trainer(CONFIG, [62, 42], tmp_path, "cpu")
    assert joined.step == 13 and joined.stack.seeds == (62, 42)
    for r, seed in enumerate((62, 42)):
        assert torch.equal(joined.stack.flat[r : r + 1], before[seed]["weights"])
        assert torch.equal(
            saved(joined.stack, joined.update.adamw)["exp_avg_sq"][r : r + 1], before[seed]["exp_avg_sq"]
        )
    joined.run(False, None)
    assert same(state(tmp_path, 52, 13), before[52])  # nobody has touched it
    table = train(CONFIG, [42, 52, 62], tmp_path, "cpu", progress=False)
    assert table.groupby("seed").step.agg(list).to_dict() == {seed: [0, 10, 20] for seed in (42, 52, 62)}
    whole = go(tmp_path / "whole", [42, 52, 62])
    for r, seed in enumerate((42, 52, 62)):  # rounding of other sums, amplified by Adam: small against steps of 2e-3
        assert (state(tmp_path, seed, 20)["weights"] - whole.stack.flat[r]).abs().max() < 2e-4


def test_runs_at_different_steps_go_on_as_several_stacks(tmp_path):
    go(tmp_path, [42], 20), go(tmp_path, [52, 62], 7)
    weights = state(tmp_path, 42, 20)
    with pytest.raises(StandApart, match="seed 72 at 0, seed 42 at 20, seed 52 at 7, .* apart") as apart:
        Trainer(CONFIG, [72, 42, 52, 62], tmp_path, "cpu")
    assert apart.value.stacks == [[42], [52, 62], [72]] and "\n" not in str(apart.value)
    assert not run_folder(tmp_path, 72).joinpath("run.json").exists()
    seen = []
    table = train(CONFIG, [72, 42, 52, 62], tmp_path, "cpu", progress=lambda report: seen.append(report.step))
    assert table.seed.drop_duplicates().tolist() == [42, 52, 62, 72] and (table.groupby("seed").step.max() == 20).all()
    assert same(state(tmp_path, 42, 20), weights)  # a finished run is not trained again
    assert train(CONFIG, [72, 42], tmp_path, "cpu", progress=False).equals(
        table[table.seed.isin([42, 72])].reset_index(drop=True)
    )


@pytest.mark.parametrize("step", [0, 20])
def test_a_stack_killed_between_two_of_its_runs_goes_back_together(tmp_path, step, monkeypatch):
    """And comes to what an uninterrupted one comes to, to the bit."""
    whole = go(tmp_path / "whole", [42, 52])
    save = RunFolder.save

    def killed(folder, at, *given):
        if at == step and folder.run.seed == 52:
            raise SystemError("killed")
        save(folder, at, *given)

    monkeypatch.setattr(RunFolder, "save", killed)
    with pytest.raises(SystemError):
        go(tmp_path / "cell", [42, 52])
    monkeypatch.undo()
    assert checkpoint.saved_steps(run_folder(tmp_path / "cell", 42))[-1] == step
    assert step not in checkpoint.saved_steps(run_folder(tmp_path / "cell", 52))
    shown = read_table(run_folder(tmp_path / "cell", 42))[1]
    again = Trainer(CONFIG, [42, 52], tmp_path / "cell", "cpu")
    assert again.step == max(0, step - 10)
    assert read_table(run_folder(tmp_path / "cell", 42))[1] == shown  # no row that was there is taken back
    pd.testing.assert_frame_equal(again.run(False, None), whole.table(), check_dtype=False, check_exact=True)
    for seed in (42, 52):
        assert same(state(tmp_path / "cell", seed, 20), state(tmp_path / "whole", seed, 20))


def test_a_run_that_failed_alone_does_not_stop_the_others(tmp_path):
    trainer = Trainer(CONFIG, [42], tmp_path, "cpu")
    trainer._evaluate()
    with torch.no_grad():
        trainer.stack.weights["output.bias"].fill_(torch.inf)
    with pytest.warns(UserWarning), pytest.raises(GrokkitError, match="every run has failed"):
        trainer.run(False, None)
    table = train(CONFIG, [42, 52], tmp_path, "cpu", progress=False)
    assert table.groupby("seed").status.agg(list).to_dict() == {42: ["ok", "failed"], 52: ["ok"] * 3}
    for path in tmp_path.glob("seed-42/checkpoint-*"):
        path.unlink()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(GrokkitError, match="seed 42 are not finite at step 1"):
        patch.setattr(Trainer, "_train_step", None)  # would raise if called: it is not drawn a second time
        train(CONFIG, [42], tmp_path, "cpu", progress=False)


def test_other_processes_get_the_folders_of_a_refused_stack(tmp_path):
    go(tmp_path, [42], 7)
    train(CONFIG.replace(width=32), [52], tmp_path, "cpu", progress=False)
    with pytest.raises(GrokkitError, match="seed-52/run.json belongs to another config: width is 32 there, 16 here"):
        train(CONFIG, [42, 52], tmp_path, "cpu", progress=False)
    assert not list(tmp_path.glob("*/owner.json"))
    go(tmp_path, [42], 20)
