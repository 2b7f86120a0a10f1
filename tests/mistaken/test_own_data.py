"""Kind 11: own data in one line: a TSV file or a folder of McCoy's format is a task like the paper's."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from mistaken.small import (
    TINY,
    begin,
    described,
    one_line,
    refused,
    run_files,
    shown,
    steps_of,
    texts,
    train,
    what_is_said,
)

import grokkit as gk

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["split", "source", "label", "target", "nearest", "tree", "verb"]
NOUNS = {"sg": ["der Bär", "der Käfer", "das Mädchen"], "pl": ["die Bären", "die Füchse", "die Vögel"]}
PLACES = {"sg": ["dem Schloß", "dem Öfchen"], "pl": ["den Häusern", "den Bäumen"]}
VERBS = {"schlief": ("schläft", "schlafen"), "ging's": ("geht's", "gehen's")}


def rows(agree: bool) -> list[dict]:
    """German agreement across a phrase whose noun has the same number as the subject, or the other one."""
    found = []
    for number, other in (("sg", "sg"), ("pl", "pl")) if agree else (("sg", "pl"), ("pl", "sg")):
        for noun, where, place, past in itertools.product(NOUNS[number], ("neben", "auf'm"), PLACES[other], VERBS):
            answers = {key: VERBS[past][key == "pl"] for key in ("sg", "pl")}
            (det, head), (article, last) = noun.split(), place.split()
            line = f"{noun} {where} {place}"
            found.append(
                {
                    "source": f"{line} {past}",
                    "label": "jetzt",
                    "target": f"{line} {answers[number]}",
                    "nearest": f"{line} {answers[other]}",
                    "tree": f"((({det} {head}) ({where} ({article} {last}))) {past})",
                    "verb": answers[number],
                }
            )
    return found


def agreement() -> pd.DataFrame:
    """In train and val both rules give the target; in gen only the hierarchical one does."""
    alike, apart = rows(True), rows(False)
    given = {"train": [row for n, row in enumerate(alike) if n % 3], "val": alike[::3], "gen": apart}
    return pd.DataFrame([{"split": split, **row} for split, lines in given.items() for row in lines])


def write(path: Path, table: pd.DataFrame | None = None, **options) -> Path:
    table = agreement() if table is None else table
    table.to_csv(path, sep="\t", index=False, **options)
    return path


@pytest.fixture
def path(tmp_path, own_tasks) -> Path:
    return write(tmp_path / "agree.tsv")


def tiny(task, **changes):
    given = {name: value for name, value in TINY.items() if not name.endswith("_size")}
    return gk.preset("smoke", task, 1, **given | changes)


# -- the task ------------------------------------------------------------------------------------------------


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


def test_a_task_may_be_named(path):
    task = gk.task_from_files(path, name="kongruenz", score="first")
    assert task.name == "kongruenz" and "agree" not in gk.TASKS


def test_the_papers_tasks_are_not_replaced(path):
    before = gk.TASKS["tense"]
    with pytest.raises(gk.GrokkitError, match="tense"):
        gk.task_from_files(path, name="tense")
    assert gk.TASKS["tense"] is before


def test_the_same_file_may_be_named_again(path):
    gk.task_from_files(path)
    assert gk.task_from_files(str(path)).name == "agree"


@pytest.mark.parametrize("options", [{"encoding": "utf-8-sig", "lineterminator": "\r\n"}, {"lineterminator": "\r"}])
def test_a_file_is_read_as_editors_leave_it(options, tmp_path, own_tasks):
    plain = gk.task_from_files(write(tmp_path / "plain.tsv"))
    other = gk.task_from_files(write(tmp_path / "other.tsv", **options))
    assert other.vocab == plain.vocab and dict(other.sizes) == dict(plain.sizes)


def test_optional_columns_may_be_absent_and_stand_in_any_order(tmp_path, own_tasks):
    least = agreement()[["target", "label", "source", "split"]]
    task = gk.task_from_files(write(tmp_path / "least.tsv", least))
    table = train(tiny(task), [1])
    assert table.t_parseval.isna().all() and table.t_score.notna().all()


def test_val_may_be_called_dev(tmp_path, own_tasks):
    """As in the released files."""
    table = agreement()
    task = gk.task_from_files(write(tmp_path / "dev.tsv", table.assign(split=table.split.replace("val", "dev"))))
    assert "val" in dict(task.sizes)


# -- what is wrong is said, with its line --------------------------------------------------------------------


def spoil(line: int, column: str, value: str) -> pd.DataFrame:
    table = agreement()
    table.loc[line - 2, column] = value  # line 1 is the head
    return table


@pytest.mark.parametrize(
    "column, value",
    [("split", "tests"), ("split", ""), ("source", ""), ("target", ""), ("label", ""), ("label", "zwei Worte"),
     ("tree", "((a b) c)"),
     ("tree", "((der Bär"), ("nearest", "")],
)  # fmt: skip
def test_an_error_names_its_line(column, value, tmp_path, own_tasks):
    with pytest.raises(gk.GrokkitError, match=r"line 9\b") as caught:
        gk.task_from_files(write(tmp_path / "wrong.tsv", spoil(9, column, value)))
    assert "wrong.tsv" in one_line(caught.value) and "wrong" not in gk.TASKS


@pytest.mark.parametrize("column", ["split", "source", "label", "target"])
def test_a_column_that_is_needed_is_named(column, tmp_path, own_tasks):
    with pytest.raises(gk.GrokkitError, match=column):
        gk.task_from_files(write(tmp_path / "wrong.tsv", agreement().drop(columns=column)))


@pytest.mark.parametrize("split", ["train", "val", "gen"])
def test_a_split_that_is_needed_is_named(split, tmp_path, own_tasks):
    table = agreement()
    with pytest.raises(gk.GrokkitError, match=rf"\b{split}\b"):
        gk.task_from_files(write(tmp_path / "wrong.tsv", table[table.split != split]))


def test_words_of_val_and_gen_that_train_never_shows_are_said(tmp_path, own_tasks):
    """They are in the vocabulary, but nothing can be learned about them."""
    table = spoil(len(agreement()) + 1, "source", "der Lindwurm schlief").drop(columns="tree")
    path = write(tmp_path / "words.tsv", table)
    assert "Lindwurm" in what_is_said(lambda: gk.task_from_files(path))


@pytest.mark.parametrize("given", ["no-such-file.tsv", "", None, 4])
def test_no_file_is_named(given, own_tasks):
    with pytest.raises(gk.GrokkitError):
        gk.task_from_files(given)


@pytest.mark.parametrize("score", ["last", None, "Verb"])
def test_an_unknown_score_is_refused_with_the_choices(score, path):
    with pytest.raises(gk.GrokkitError, match="whole") as caught:
        gk.task_from_files(path, score=score)
    assert "first" in str(caught.value) and "verb" in str(caught.value)


def test_it_is_said_where_train_separates_the_rules(tmp_path, own_tasks):
    table = agreement()
    apart = table[table.split == "gen"].assign(split="train")
    said = what_is_said(lambda: gk.task_from_files(write(tmp_path / "told.tsv", pd.concat([table, apart]))))
    assert "train" in said and "nearest" in said


def test_it_is_said_where_gen_does_not_separate_the_rules(tmp_path, own_tasks):
    table = agreement()
    alike = table[table.split == "val"].assign(split="gen")
    said = what_is_said(
        lambda: gk.task_from_files(write(tmp_path / "alike.tsv", pd.concat([table[table.split != "gen"], alike])))
    )
    assert "gen" in said and "nearest" in said


def test_nothing_is_said_where_train_is_ambiguous_and_gen_is_not(path):
    assert what_is_said(lambda: gk.task_from_files(path)) == ""


# -- training ------------------------------------------------------------------------------------------------


@pytest.fixture
def trained(path):
    return train(tiny(gk.task_from_files(path)), range(2))


def test_all_of_the_papers_measures_are_taken(trained):
    assert set(trained.task) == {"agree"} and set(trained.status) == {"ok"}
    for name in ("val_accuracy", "gen_accuracy", "weight_norm", "attention_sparsity", "t_score", "t_parseval"):
        assert trained[name].notna().all()
    assert trained.gen_nearest.between(0, 1).all()  # the share of the answers by the rival rule


def test_figures_are_of_the_tasks_in_the_table(trained):
    for figure in (gk.figures.grokking(trained), gk.figures.depth(trained), gk.figures.fig5(trained, ["agree"])):
        assert isinstance(figure, Figure) and "agree" in texts(figure)
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
    config = tiny(task)
    stack = gk.TransformerStack(config, [1])
    stack.weights["output.weight"].zero_()
    stack.weights["output.bias"].zero_()
    stack.weights["output.bias"][..., task.vocab.encode("der")[0]] = 1
    assert gk.evaluate(stack, gk.load_corpus(config), config)["val_accuracy"] == pytest.approx(right)


def test_charts_are_computed_as_for_the_papers_tasks(path):
    task = gk.task_from_files(path)
    charts = gk.trees.sci_charts(gk.TransformerStack(tiny(task), [1]), agreement().source[:3].tolist(), task.vocab)
    assert gk.trees.t_score(charts).shape == (1,)
    assert gk.trees.t_parseval(charts, [task.gold_tree(source) for source in agreement().source[:3]]).shape == (1,)


def test_the_code_of_the_chapter_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = re.findall("```python\n(.*?)```", (ROOT / "docs/own_data.md").read_text(), re.S)[0]
    exec(code.replace('"laptop"', '"smoke"'), {})
    assert len(run_files(tmp_path / "runs/agree")) == 3 and set(gk.results("smoke").depth) == {2, 4, 6}


# -- the data are part of the run ----------------------------------------------------------------------------


def test_a_run_goes_on_from_its_file(path, tmp_path):
    config = tiny(gk.task_from_files(path))
    begin(config, [1], tmp_path / "runs")
    assert steps_of(config, [1], tmp_path / "runs")[0] == 2


def test_a_moved_file_is_no_other_data(path, tmp_path):
    begin(tiny(gk.task_from_files(path)), [1], tmp_path / "runs")
    moved = path.rename(tmp_path / "moved.tsv")
    assert steps_of(tiny(gk.task_from_files(moved, name="agree")), [1], tmp_path / "runs")[0] == 2


@pytest.mark.parametrize("split", ["train", "val", "gen"])
def test_a_run_does_not_go_on_where_its_file_changed(split, path, tmp_path):
    begin(tiny(gk.task_from_files(path)), [1], tmp_path / "runs")
    table = agreement()
    line = table.index[table.split == split][0]
    other = table.index[table.split == split][-1]
    table.loc[line, "target"] = table.loc[other, "target"]
    with pytest.raises(gk.GrokkitError, match=rf"\b{split}\b|agree\.tsv"):
        train(tiny(gk.task_from_files(write(path, table))), [1], tmp_path / "runs")


def test_a_file_that_changes_after_it_was_read_is_not_trained_unnoticed(path):
    config = tiny(gk.task_from_files(path))
    write(path, agreement().iloc[::-1])
    try:
        assert gk.load_corpus(config)["val"].sources == agreement()[agreement().split == "val"].source.tolist()
    except gk.GrokkitError as error:
        assert "agree" in one_line(error)


def test_another_process_rebuilds_the_task_or_refuses_it(path, tmp_path):
    """A worker, or the next day: the run says where its data lie and what they were."""
    out = tmp_path / "runs"
    begin(tiny(gk.task_from_files(path)), [1], out)
    script = (
        "import json, sys, grokkit as gk\nfrom pathlib import Path\nfrom grokkit.config import Config\n"
        "described = json.loads(next(Path(sys.argv[1]).rglob('run.json')).read_text())\n"
        "table = gk.train(Config(**described['config']), [1], out=sys.argv[1], progress=False)\n"
        "print(table.step.tolist())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, str(out)]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    rebuilt = answer.stdout.strip() == "[0, 2, 4]"
    assert rebuilt or re.search("GrokkitError: .*agree", answer.stderr), answer.stderr[-500:]


def test_a_config_carries_the_digest_of_its_file(path, tmp_path):
    train(tiny(gk.task_from_files(path)), [1], tmp_path / "runs", minutes=0)
    data = path.read_bytes()
    ids = [hashlib.sha256(data).hexdigest(), hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()]
    assert any(digest[:12] in str(described(tmp_path / "runs")) for digest in ids)


# -- the other doors -----------------------------------------------------------------------------------------


def test_own_data_are_swept_listed_and_loaded(path):
    task = gk.task_from_files(path)
    gk.sweep.run("smoke", ["agree"], [1], [42], progress=False)
    assert (Path(os.environ["GROKKIT_RUNS"]) / "smoke/agree/L1").is_dir()
    assert set(gk.results("smoke", "agree").seed) == {42}
    assert set(gk.results("smoke", task.name, 1, 42).task) == {"agree"}
    assert gk.load_stack("smoke", "agree", 1, 42).config.task == "agree"


@pytest.fixture
def next_day(path):
    """Two runs were trained, one of which has only begun; the task is not registered any more."""
    gk.sweep.run("smoke", gk.task_from_files(path).name, 1, 42, progress=False)
    begin(gk.preset("smoke", "agree", 1), [52], Path(os.environ["GROKKIT_RUNS"]) / "smoke/agree/L1")
    del gk.TASKS["agree"]


def test_runs_on_own_data_are_known_by_their_folder(next_day, capsys):
    with pytest.warns(UserWarning, match="begun.*agree L1 seeds 52"):
        assert set(gk.results("smoke", "agree", 1).seed) == {42}
    said = shown(capsys, "status", "--preset", "smoke", "--tasks", "agree", "--depths", "1")
    assert said.splitlines()[-1].split() == ["agree", "1", "42", "-", "52", "to", "0", "-"]
    config = gk.load_stack("smoke", "agree", 1, 42).config
    assert gk.load_corpus(config)["val"].sources == agreement()[agreement().split == "val"].source.tolist()
    shown(capsys, "record", "--preset", "smoke", "--tasks", "agree", "--seeds", "42")
    assert set(gk.results("smoke", "agree", source="record").seed) == {42}


def test_what_only_the_data_can_tell_asks_for_them(next_day):
    for door in (lambda: gk.preset("smoke", "agree", 1), lambda: gk.sweep.run("smoke", "agree", progress=False),
                 lambda: gk.results("smoke", "agreement")):  # fmt: skip
        with pytest.raises(gk.GrokkitError, match="unknown task 'agree.*task_from_files.*--data"):
            door()


def test_runs_on_other_data_are_not_given_out(next_day, path):
    table = agreement()
    table.loc[0, "target"] = table.loc[1, "target"]
    gk.task_from_files(write(path, table))
    for door in (lambda: gk.results("smoke", "agree"), lambda: gk.load_stack("smoke", "agree", 1, 42)):
        with pytest.raises(gk.GrokkitError, match=r"the data in .*agree\.tsv are others"):
            door()


def test_own_data_are_no_change_of_the_preset_and_a_rate_is(path):
    task = gk.task_from_files(path)
    assert gk.preset("laptop", task, 4, steps=20, horizon=20).preset == "laptop"
    changed = [gk.preset("laptop", name, 4, learning_rate=0.5) for name in (task, "question", "tense")]
    assert len({config.preset for config in changed}) == 1 and changed[0].preset.startswith("laptop~")
    assert "learning_rate=0.5" in repr(changed[0]) and "train_size" not in repr(changed[0])


@pytest.mark.parametrize("folder", ["$x", "${HOME}", "$", "a$b"])
def test_signs_in_a_path_that_was_resolved_mean_nothing(folder, own_tasks, tmp_path, monkeypatch):
    """Of a folder in which one stands; they are read where a path is typed, and there alone."""
    (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / folder)
    monkeypatch.setenv("GROKKIT_RUNS", "runs")
    write(Path("agree.tsv"))
    gk.task_from_files("agree.tsv")
    begin(gk.preset("smoke", "agree", 1), [42], "runs/smoke/agree/L1")
    del gk.TASKS["agree"]
    gk.results("smoke", "agree", unfinished=True)
    assert steps_of(gk.Config(**described("runs")["config"]), [42], "runs/smoke/agree/L1")[0] == 2
    assert [found.parent.name for found in tmp_path.rglob("agree.tsv")] == [folder]
    assert run_files(tmp_path) == run_files(tmp_path / folder / "runs") != []


def test_the_command_line_takes_own_data(path, capsys):
    cell = ["--preset", "smoke", "--data", str(path)]
    shown(capsys, "train", *cell, "--depth", "1", "--seeds", "42")
    said = shown(capsys, "status", *cell, "--depths", "1", "--seeds", "42", "52")
    assert said.splitlines()[-1].split() == ["agree", "1", "42", "-", "-", "52"]
    shown(capsys, "sweep", *cell, "--depths", "1", "--seeds", "52")
    assert set(gk.results("smoke", "agree").seed) == {42, 52}
    shown(capsys, "record", *cell, "--seeds", "42")
    assert set(gk.results("smoke", "agree", source="record").seed) == {42}
    assert "notebooks" in refused(capsys, "reproduce", "fig2", "--data", str(path))


def test_a_mistake_in_own_data_is_one_line_on_the_command_line(tmp_path, own_tasks, capsys):
    path = write(tmp_path / "wrong.tsv", spoil(9, "split", "tests"))
    assert "line 9" in refused(capsys, "train", "--preset", "smoke", "--data", str(path), "--seeds", "1")


# -- McCoy's format ------------------------------------------------------------------------------------------

PASSIVE = [
    ("der Fuchs tröstete den Bären .", "passiv", "der Bär wurde von dem Fuchs getröstet ."),
    ("die Vögel nervten den Käfer , der lachte .", "decl", "die Vögel nervten den Käfer , der lachte ."),
    (
        "mein Orang-Utan neben dem Öfchen tröstete die Füchse .",
        "decl",
        "mein Orang-Utan neben dem Öfchen tröstete die Füchse .",
    ),
]


def folder_of(folder: Path, name: str, endings=("train", "dev", "test", "gen"), newline="\n", bom="") -> Path:
    folder.mkdir(exist_ok=True)
    for ending in endings:
        lines = [f"{source} {label}\t{target}" for source, label, target in PASSIVE]
        (folder / f"{name}.{ending}").write_bytes((bom + newline.join(lines) + newline).encode())
    return folder


@pytest.mark.parametrize(
    "name, endings",
    [("passiv_de_nps", ("train", "dev", "test", "gen")), ("question_have.de", ("train", "val", "gen", "gen_rc_o"))],
)
def test_a_folder_of_mccoys_format_is_a_task(name, endings, tmp_path, own_tasks):
    """German and passive ones too; beside them lie grammars, scripts, JSON copies and parts of gen."""
    folder = folder_of(tmp_path / "data", name, endings)
    for other in (f"{name}.gr", f"{name}.dev.json", "to_json.sh", "Readme.md"):
        (folder / other).write_text("something else")
    task = gk.task_from_files(folder, score="first")
    assert task.name == name
    corpus = gk.load_corpus(tiny(task))
    assert corpus["val"].sources == [source for source, _, _ in PASSIVE]
    assert corpus["gen"].targets == [target for _, _, target in PASSIVE]
    assert {"Öfchen", "Orang-Utan", ",", "passiv"} <= set(task.vocab.words)


@pytest.mark.parametrize("options", [{"newline": "\r"}, {"newline": "\r\n", "bom": "\ufeff"}])
def test_a_folder_is_read_as_editors_leave_it(options, tmp_path, own_tasks):
    task = gk.task_from_files(folder_of(tmp_path / "data", "passiv", **options))
    assert "der" in task.vocab.words and not [word for word in task.vocab.words if "\ufeff" in word or "\r" in word]


def test_parts_of_gen_are_gen_where_there_is_no_whole(tmp_path, own_tasks):
    folder = folder_of(tmp_path / "data", "passiv", ("train", "dev", "gen_rc_o", "gen_rc_s"))
    assert gk.task_from_files(folder).sizes["gen"] == 2 * len(PASSIVE)


def test_two_data_sets_in_a_folder_are_asked_for(tmp_path, own_tasks):
    """`name` says which."""
    folder = folder_of(folder_of(tmp_path / "data", "question_have"), "question_have.de")
    with pytest.raises(gk.GrokkitError, match="question_have.*question_have.de|question_have.de.*question_have"):
        gk.task_from_files(folder)
    assert gk.task_from_files(folder, name="question_have.de").name == "question_have.de"


def test_a_line_without_a_tab_is_named(tmp_path, own_tasks):
    folder = folder_of(tmp_path / "data", "passiv")
    with open(folder / "passiv.dev", "a") as handle:
        handle.write("no tab here .\n")
    with pytest.raises(gk.GrokkitError, match=r"passiv\.dev.*line 4\b"):
        gk.task_from_files(folder)


def test_a_folder_without_gen_is_told_so(tmp_path, own_tasks):
    with pytest.raises(gk.GrokkitError, match=r"\bgen\b"):
        gk.task_from_files(folder_of(tmp_path / "data", "passiv", ("train", "dev")))


def test_the_papers_own_files_can_be_own_data(tmp_path, own_tasks):
    """Trained on a part of them, say; the whole line scored."""
    folder = tmp_path / "data"
    folder.mkdir()
    for ending in ("train", "dev", "gen"):
        split = gk.TASKS["tense"].generate(0, {"train": 30, "val": 10, "gen": 10})[{"dev": "val"}.get(ending, ending)]
        (folder / f"part.{ending}").write_text(
            "".join(
                f"{source} {label}\t{target}\n"
                for source, label, target in zip(split.sources, split.labels, split.targets)
            )
        )
    assert len(train(tiny(gk.task_from_files(folder)), [1], minutes=0)) == 1
    assert not run_files(folder)
