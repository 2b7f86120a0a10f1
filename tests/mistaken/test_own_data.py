"""Kind 11: own data in one line: a TSV file is a task like the paper's, measured and drawn like them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from mistaken.agreement import agreement, config_of, write
from mistaken.small import run_files, texts, train

import grokkit as gk

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_a_task_with_its_own_words_sizes_trees_and_rules(path):
    task, table = gk.task_from_files(path), agreement()
    assert task.name == "agree" and gk.TASKS["agree"] is task
    assert set(task.vocab.words) >= {"schläft", "Öfchen", "Schloß", "auf'm", "geht's", "jetzt", "Bär"}
    assert dict(task.sizes) == table.split.value_counts().to_dict()
    config = gk.preset("laptop", task, depth=4)
    assert gk.preset("laptop", "agree", depth=4) == config and config.data_source != "generated"
    assert (config.train_size, config.val_size, config.gen_size) == tuple(dict(task.sizes).values())
    assert config.vocabulary_size == task.vocab.size and config.depth == 4
    for split, lines in gk.load_corpus(config).items():
        mine = table[table.split == split]
        assert lines.sources == mine.source.tolist() and lines.targets == mine.target.tolist()
        assert lines.lines == (mine.source + " jetzt " + mine.target).tolist()
    assert task.gold_tree(table.source[0]) == gk.trees.read_tree(table.tree[0])
    assert task.rules["nearest"](table.source.iloc[-1]) == table.nearest.iloc[-1]


def test_a_task_may_be_named_and_read_again(path):
    task = gk.task_from_files(path, name="kongruenz", score="first")
    assert task.name == "kongruenz" and "agree" not in gk.TASKS
    assert [gk.task_from_files(given).name for given in (path, str(path))] == ["agree", "agree"]


def test_the_papers_tasks_are_not_replaced(path):
    before = gk.TASKS["tense"]
    with pytest.raises(gk.GrokkitError, match="tense"):
        gk.task_from_files(path, name="tense")
    assert gk.TASKS["tense"] is before


def test_optional_columns_may_be_absent_and_stand_in_any_order(tmp_path, own_tasks):
    least = agreement()[["target", "label", "source", "split"]]
    task = gk.task_from_files(write(tmp_path / "least.tsv", least))
    table = train(config_of(task), [1])
    assert table.t_parseval.isna().all() and table.t_score.notna().all()


def test_all_of_the_papers_measures_are_taken_and_drawn_and_there_is_no_verdict(path):
    trained = train(config_of(gk.task_from_files(path)), range(2))
    assert set(trained.task) == {"agree"} and set(trained.status) == {"ok"}
    for name in ("val_accuracy", "gen_accuracy", "weight_norm", "attention_sparsity", "t_score", "t_parseval"):
        assert trained[name].notna().all()
    assert trained.gen_nearest.between(0, 1).all()  # the share of the answers by the rival rule
    for figure in (gk.figures.grokking(trained), gk.figures.depth(trained), gk.figures.fig5(trained, ["agree"])):
        assert "agree" in texts(figure)
    both = texts(gk.figures.grokking(pd.concat([trained, trained.assign(task="zwei")])))
    assert "agree" in both and "zwei" in both and "Dyck" not in both
    with pytest.raises(gk.GrokkitError, match="agree"):
        gk.verdict(trained, "fig2")


@pytest.mark.parametrize("score, right", [("whole", 0.0), ("first", 1.0), ("verb", 0.0)])
def test_what_is_scored(score, right, path):
    """A model that always says "der": never the whole line, and the first word of those lines that begin with it."""
    table = agreement()
    table = table[table.target.str.startswith("der")]
    task = gk.task_from_files(write(path, table), score=score)
    config = config_of(task)
    stack = gk.TransformerStack(config, [1])
    stack.weights["output.weight"].zero_()
    stack.weights["output.bias"].zero_()
    stack.weights["output.bias"][..., task.vocab.encode("der")[0]] = 1
    assert gk.evaluate(stack, gk.load_corpus(config), config)["val_accuracy"] == pytest.approx(right)


def test_own_data_are_no_change_of_the_preset_and_a_rate_is(path):
    task = gk.task_from_files(path)
    assert gk.preset("laptop", task, 4, steps=20, horizon=20).preset == "laptop"
    changed = [gk.preset("laptop", name, 4, learning_rate=0.5) for name in (task, "question", "tense")]
    assert len({config.preset for config in changed}) == 1 and changed[0].preset.startswith("laptop~")
    assert "learning_rate=0.5" in repr(changed[0]) and "train_size" not in repr(changed[0])


def test_the_code_of_the_chapter_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.findall("```python\n(.*?)```", (ROOT / "docs/own_data.md").read_text(), re.S)[0]
    exec(code.replace('"laptop"', '"smoke"'), {})
    assert len(run_files(tmp_path / "runs/agree")) == 3 and set(gk.results("smoke").depth) == {2, 4, 6}
