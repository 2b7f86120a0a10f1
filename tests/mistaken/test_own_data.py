"""Kind 11: own data in one line: a TSV file is a task like the paper's, measured and drawn like them."""

import re
from pathlib import Path

import pandas as pd
import pytest
from mistaken.agreement import agreement, config_of, write
from mistaken.small import one_line, run_files, texts, train

import grokkit as gk

ROOT = Path(__file__).resolve().parents[2]


def test_a_file_is_a_task_with_its_own_words_and_sizes(path):
    task, table = gk.task_from_files(path), agreement()
    assert task.name == "agree" and gk.TASKS["agree"] is task
    assert set(task.vocab.words) >= {"schläft", "Öfchen", "Schloß", "auf'm", "geht's", "jetzt", "Bär"}
    assert dict(task.sizes) == table.split.value_counts().to_dict()
    corpus = gk.load_corpus(gk.preset("laptop", task))
    for split in ("train", "val", "gen"):
        mine = table[table.split == split]
        assert corpus[split].sources == mine.source.tolist() and corpus[split].targets == mine.target.tolist()
        assert corpus[split].lines == (mine.source + " jetzt " + mine.target).tolist()


def test_a_config_follows_from_its_data(path):
    task = gk.task_from_files(path)
    config = gk.preset("laptop", task, depth=4)
    sizes = agreement().split.value_counts()
    assert (config.train_size, config.val_size, config.gen_size) == tuple(sizes[["train", "val", "gen"]])
    assert config.vocabulary_size == task.vocab.size and config.depth == 4
    assert gk.preset("laptop", "agree", depth=4) == config
    assert config.data_source != "generated"


def test_a_task_has_its_trees_and_rules(path):
    task, table = gk.task_from_files(path), agreement()
    source = table.source[0]
    assert task.gold_tree(source) == gk.trees.read_tree(table.tree[0])
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


@pytest.fixture
def trained(path):
    return train(config_of(gk.task_from_files(path)), range(2))


def test_all_of_the_papers_measures_are_taken(trained):
    assert set(trained.task) == {"agree"} and set(trained.status) == {"ok"}
    for name in ("val_accuracy", "gen_accuracy", "weight_norm", "attention_sparsity", "t_score", "t_parseval"):
        assert trained[name].notna().all()
    assert trained.gen_nearest.between(0, 1).all()  # the share of the answers by the rival rule


def test_figures_are_of_the_tasks_in_the_table(trained):
    for figure in (gk.figures.grokking(trained), gk.figures.depth(trained), gk.figures.fig5(trained, ["agree"])):
        assert "agree" in texts(figure)
    other = trained.assign(task="zwei")
    both = texts(gk.figures.grokking(pd.concat([trained, other])))
    assert "agree" in both and "zwei" in both and "Dyck" not in both


def test_there_is_no_verdict_on_data_of_ones_own(trained):
    try:
        found = gk.verdict(trained, "fig2")
    except gk.GrokkitError as error:
        assert "agree" in one_line(error)
    else:
        assert set(found.verdict) <= {"NOT COMPARABLE"}


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


def test_charts_are_computed_as_for_the_papers_tasks(path):
    task = gk.task_from_files(path)
    charts = gk.trees.sci_charts(gk.TransformerStack(config_of(task), [1]), agreement().source[:3].tolist(), task.vocab)
    assert gk.trees.t_score(charts).shape == (1,)
    assert gk.trees.t_parseval(charts, [task.gold_tree(source) for source in agreement().source[:3]]).shape == (1,)


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
