"""Data of one's own as a task: a TSV file, or a folder in the format of McCoy et al. (2020).

>>> print(task_from_files.__doc__.splitlines()[0])
The task that a TSV file or a folder of one's own holds, registered in gk.TASKS.
"""

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import cast

from grokkit.config import Config, a_config
from grokkit.data import TASKS
from grokkit.data.corpus import PADDING, Corpus, NoGoldTrees, Split, Task, Vocabulary, bare_words
from grokkit.data.file_lines import NEEDED, Line, files_in, pairs, plain, rows
from grokkit.data.tree import Tree, leaves, read_tree
from grokkit.errors import GrokkitError
from grokkit.places import place, read_bytes
from grokkit.values import one_of


@dataclass(frozen=True)
class FileSplit(Split):
    """A split of one's own data. `scored` has for each line the word that is scored, or is empty: then `score` says
    "whole" or "first". `rivals`: name of a rule -> its answer to each line."""

    score: str = "whole"
    scored: list[str] = field(default_factory=list)
    rivals: Mapping[str, list[str]] = field(default_factory=dict)

    def words_scored(self, n: int, answer: str) -> list[str]:
        """What of an answer to line n is scored: all, the first word, or what stands where the scored word should."""
        words = answer.split()
        if self.score in ("whole", "first"):
            return words[:1] if self.score == "first" else words
        places = [i for i, word in enumerate(self.targets[n].split()) if word == self.scored[n]]
        return [words[i] if i < len(words) else "" for i in places]

    def tells_apart(self, n: int, answer: str) -> bool:
        """Whether an answer to line n differs from the target in what is scored."""
        return self.words_scored(n, answer) != self.words_scored(n, self.targets[n])


@dataclass(frozen=True, repr=False)
class FileTask(Task):
    """A task that was read from files; `config_fields` are those by which a Config finds the same data again."""

    config_fields: Mapping[str, str] = field(default_factory=dict)


def task_from_files(path: str | Path, name: str | None = None, score: str = "whole") -> FileTask:
    """The task that a TSV file or a folder of one's own holds, registered in gk.TASKS.

    path: a TSV file whose first line names its columns, `split` (train, val or dev, gen), `source`, `label` (one
    word), `target`; and if wanted `tree`, the source's tree in brackets, and a column for each rival rule, with its
    whole answers. A column that has one word in each line holds words to score. Or a folder with NAME.train,
    NAME.val or .dev, NAME.gen (or several .gen_<kind>), lines of `source label<TAB>target`.
    name: of the task; by default the file's, or NAME. Of several NAMEs in a folder it says which.
    score: what must be right: the "whole" answer, its "first" word, or the word that the column of this name holds,
    at each of its places in the target. The same is taken of the rivals' answers.

    Raises GrokkitError, with file and line, for what cannot be read. Warns where train tells the rules apart or gen
    does not, and of words that train never shows.
    """
    task = _read(place(path, "path").resolve(), name, score)
    if task.name in TASKS and not isinstance(TASKS[task.name], FileTask):
        raise GrokkitError(f"{task.name} is the name of another task: give these files one of their own with name=")
    TASKS[task.name] = task
    for said in _doubts(task.generate()):
        warnings.warn(f"{task.name}: {said}", stacklevel=2)
    return task


def task_of(config: Config) -> Task:
    """The task of a config: of files, those that it was made from, read again where this process has not yet.

    Raises GrokkitError where they are not there any more, or others.
    """
    task = TASKS.get(a_config(config).task)
    wanted = {name: getattr(config, name) for name in ("data_files", "score")}
    if isinstance(task, FileTask) and all(task.config_fields[name] == value for name, value in wanted.items()):
        return task
    if (config.data_source == "files") != bool(config.data_files):
        raise GrokkitError(f"data_source = {config.data_source!r}: own files go with gk.preset(name, task) alone")
    if not config.data_files:
        if task is None or isinstance(task, FileTask):
            raise GrokkitError(
                f"{config.task} is no task of gk.TASKS, or one of files: build the config with gk.preset"
            )
        return task
    try:
        task = _read(Path(config.data_path), config.task, config.score)
    except GrokkitError as error:
        raise GrokkitError(
            f"{config.task} was made from {config.data_path}, which cannot be read as it was ({error}): put it back, or"
            " name its new place in gk.task_from_files, or --data"
        ) from None
    if task.config_fields["data_files"] != config.data_files:
        raise GrokkitError(
            f"{config.data_path} is not what the {config.task} config was made from: put the file back as it was, or"
            " read it anew with gk.task_from_files and train in another folder"
        )
    TASKS.setdefault(task.name, task)
    return task


# -- the task ---------------------------------------------------------------------------------------------


def _read(where: Path, name: str | None, score: str) -> FileTask:
    name, files = files_in(where, name) if where.is_dir() else (name or where.stem, {"": [where]})
    if not isinstance(name, str) or not re.fullmatch(r"[\w+-][\w.+-]*", name):
        raise GrokkitError(f"{name!r} can be no name of a folder in runs/: give the task one with name=")
    texts = {file: read_bytes(file) for split in files for file in files[split]}
    if where.is_dir():
        lines = [line for split in files for file in files[split] for line in pairs(file, texts[file], split)]
    else:
        lines = list(rows(where, texts[where]))
    corpus = _corpus(name, str(where), lines, score)
    digests = " ".join(sha256(data).hexdigest()[:16] for data in texts.values())
    return FileTask(
        name=name,
        vocab=corpus.vocab,
        sizes={split: len(there) for split, there in corpus.items()},
        generate=lambda seed=0, sizes=None: _of_sizes(corpus, sizes or {}),
        gold_tree=_gold_tree(name, lines),
        rules={rule: _rule(rule, lines) for rule in ("hierarchical", *cast(FileSplit, corpus["gen"]).rivals)},
        labels=tuple(dict.fromkeys([*corpus["gen"].labels, *corpus["train"].labels])),
        config_fields={"data_source": "files", "data_files": digests, "data_path": str(where), "score": score},
    )


def _corpus(name: str, where: str, lines: Sequence[Line], score: str) -> Corpus:
    """The splits of these lines. Raises GrokkitError for a score that they do not have, and for an empty split."""
    others = [column for column in (lines[0].cells if lines else ()) if column not in (*NEEDED, "tree")]
    one_of("score", score, ("whole", "first", *others))
    several = any(" " in line.cells["target"] for line in lines)  # words in a target: one in each line is no answer
    rivals = [
        column
        for column in others
        if column != score and not (several and all(" " not in line.cells[column] for line in lines))
    ]
    words = {word for line in lines for name in (*NEEDED[1:], *rivals) for word in line.cells[name].split()}
    if PADDING in words:
        raise GrokkitError(f"{lines[0].where.rsplit(', ', 1)[0]} has the word {PADDING}, which stands for padding here")
    splits: dict[str, Split] = {}
    for split in ("train", "val", "gen", "test"):
        there = [line.cells for line in lines if line.cells["split"] == split]
        if not there and split != "test":
            raise GrokkitError(f"{where} has no line of split {split}: train, val (or dev) and gen are needed")
        splits[split] = FileSplit(
            **vars(Split.of_pairs([(row["source"], row["label"], row["target"]) for row in there])),
            score=score,
            scored=[row[score] for row in there] if score in others else [],
            rivals={rule: [row[rule] for row in there] for rule in rivals},
        )
    for line in lines:
        if score in others and line.cells[score] not in line.cells["target"].split():
            raise GrokkitError(f"{line.where}: {score} is {line.cells[score]!r}, which is no word of the target")
    return Corpus(name, Vocabulary(words), "files", {name: split for name, split in splits.items() if split.lines})


def _of_sizes(corpus: Corpus, sizes: Mapping[str, int]) -> Corpus:
    """The corpus, whose sizes are what they are. Raises GrokkitError for others."""
    for split, size in sizes.items():
        if size != len(corpus[split]):
            raise GrokkitError(
                f"{split}_size = {size}, but {corpus.task} has {len(corpus[split])} lines there: the sizes of one's own"
                " data follow from its files, so change the files"
            )
    return corpus


def _words(source: str) -> tuple[str, ...]:
    """The words of a source without final punctuation, which trees leave out."""
    return tuple(bare_words(source, ())[0])


def _gold_tree(task: str, lines: Sequence[Line]) -> Callable[[str], Tree]:
    """source -> its gold tree."""
    trees: dict[tuple[str, ...], Tree] = {}
    for where, cells in lines:
        if "tree" not in cells:
            continue
        words = _words(cells["source"])
        try:
            tree = read_tree(cells["tree"], labels=False)
            if tuple(leaves(tree)) != words:  # the source tells labels from words
                tree = read_tree(cells["tree"], labels=True)
        except GrokkitError as error:
            raise GrokkitError(f"{where}: tree: {error}") from None
        if tuple(leaves(tree)) != words:
            raise GrokkitError(
                f"{where}: the words of the tree {cells['tree']} are not those of the source {' '.join(words)!r}"
                " (trees leave out a final . or ?)"
            )
        if trees.setdefault(words, tree) != tree:
            raise GrokkitError(f"{where}: this source has another tree in an earlier line")

    def gold_tree(source: str) -> Tree:
        if not trees:
            raise NoGoldTrees(f"{task} has no column tree: t_parseval is not defined for it")
        if (words := _words(plain(source))) not in trees:
            raise GrokkitError(f"{task} has no tree for {source!r}")
        return trees[words]

    return gold_tree


def _rule(rule: str, lines: Sequence[Line]) -> Callable[[str], str]:
    """source, or source and label -> the answer by a rule; "hierarchical" gives the target."""
    answers: dict[str, set[str]] = {}
    for _, cells in lines:
        for text in (cells["source"], f"{cells['source']} {cells['label']}"):
            answers.setdefault(text, set()).add(cells["target" if rule == "hierarchical" else rule])

    def answer(source: str) -> str:
        found = answers.get(plain(source), set())
        if len(found) != 1:
            why = f"has {len(found)} answers, so give its label too" if found else "is no source of this task"
            raise GrokkitError(f"{source!r} {why}: rule {rule} is known on the lines of the files only")
        return next(iter(found))

    return answer


# -- what the data do not show ------------------------------------------------------------------------------


def _doubts(corpus: Corpus) -> Iterator[str]:
    """What would make results on this corpus mean something else than they seem to."""
    train, gen = (cast(FileSplit, corpus[split]) for split in ("train", "gen"))
    for rule, answers in train.rivals.items():
        told = [n for n, (answer, target) in enumerate(zip(answers, train.targets)) if answer != target]
        if told:
            yield (
                f"train tells rule {rule} from the target in {len(told)} of {len(train)} lines, as in"
                f" {train.lines[told[0]]!r}: it is not ambiguous"
            )
    for rule, answers in gen.rivals.items():
        same = [n for n in range(len(gen)) if not gen.tells_apart(n, answers[n])]
        if same:
            yield (
                f"gen does not tell rule {rule} from the target in {len(same)} of {len(gen)} lines, as in"
                f" {gen.lines[same[0]]!r}; gen_{rule} leaves them out"
            )
    shown = {word for line in train.lines for word in line.split()}
    new = sorted({word for split in ("val", "gen") for line in corpus[split].lines for word in line.split()} - shown)
    if new:
        more = f" and {len(new) - 5} more" if len(new) > 5 else ""
        yield f"train never shows the words {', '.join(new[:5])}{more}: nothing can be learned about them"
