"""Ask a model about one sentence: its answer against both rules, where it looks for it, the tree it computes along."""

import contextlib
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pandas as pd
import torch
from PIL import Image

from grokkit.data import TASKS, Split, Task, question, tense
from grokkit.data.english import NOUN_NUMBER
from grokkit.data.tree import Tree
from grokkit.errors import GrokkitError
from grokkit.evaluation.decoding import greedy
from grokkit.figures.sentence import sentence as draw
from grokkit.figures.style import PaperFigure
from grokkit.model.transformer import TransformerStack
from grokkit.report.published import layers
from grokkit.trees import Parseval, parseval, project, sci_charts
from grokkit.values import one_of

DPI = 125


class _Drawn:
    """What draws itself in a notebook."""

    def figure(self) -> PaperFigure:
        """The answer, the attention, the chart and the trees as a figure."""
        return draw(self if isinstance(self, Looks) else {"answer": self})

    def _repr_png_(self) -> tuple[bytes, dict]:
        figure, drawn, small = self.figure(), io.BytesIO(), io.BytesIO()
        figure.savefig(drawn, format="png", dpi=DPI)
        Image.open(drawn).convert("RGB").quantize(256).save(small, "png", optimize=True)  # a third of the bytes
        return small.getvalue(), {"alt": repr(self), "width": round(100 * figure.get_figwidth())}


@dataclass(frozen=True, eq=False, repr=False)
class Asked:
    """A sentence, and what is known of it without a model.

    asked, words: the sentence as a model reads it; its n words without label and final punctuation.
    rules: the answers of the hierarchical rule and its rival, where they have one.
    place: which word of the answer (from 0) is asked for: the first where the two part.
    parts: what of the sentence attention is split into -> its places among the words.
    """

    asked: str
    words: list[str]
    rules: dict[str, str]
    place: int
    parts: dict[str, list[int]]
    gold: Tree | None


@dataclass(frozen=True, eq=False, repr=False)
class Look(Asked, _Drawn):
    """What one run makes of one sentence.

    attention: the attention with which the word at `place` is predicted, one row a layer and head (both from 1, the
    lowest layer first); the columns of the parts and `rest` sum to 1. A word and its copy in the answer count as one.
    chart: float32 [n, n], see `gk.trees.sci_charts`; tree: the induced (greedy) one.
    """

    model: str
    answer: str
    attention: pd.DataFrame
    chart: np.ndarray
    tree: Tree
    parseval: Parseval | None

    def __repr__(self) -> str:
        follows = [name for name, answer in self.rules.items() if answer == self.answer]
        kind = f"rule {' and '.join(follows)}" if follows else "no rule" if self.rules else "no rule to compare with"
        trees = f"; induced tree against gold tree: F1 {self.parseval.f1:.2f}" if self.parseval else ""
        return f"{self.asked} -> {self.answer} [{kind}]{trees}"


class Looks(dict[object, Look], _Drawn):
    """Several looks at one sentence, by step; where somebody sits at the notebook, with a slider over the steps."""

    def __repr__(self) -> str:
        return "\n".join(f"{step}: {look}" for step, look in self.items())

    def _repr_mimebundle_(self, **_) -> dict:
        with contextlib.suppress(ImportError):
            if _somebody_is_there():
                return self.slider()._repr_mimebundle_()
        return {}

    def slider(self):
        """The picture of one step, and a slider that chooses the step. Needs ipywidgets."""
        import ipywidgets  # late: it is no dependency

        picture = ipywidgets.Image(value=self[next(iter(self))]._repr_png_()[0])
        choose = ipywidgets.SelectionSlider(options=list(self), description="step", continuous_update=False)
        choose.observe(lambda change: setattr(picture, "value", self[change["new"]]._repr_png_()[0]), "value")
        return ipywidgets.VBox([choose, picture])


def _somebody_is_there() -> bool:
    """Whether somebody sits at the notebook: one that is only executed (nbclient, nbval) takes no input."""
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    return bool(getattr(getattr(shell, "kernel", None), "_allow_stdin", False))


def look(stack: TransformerStack | Mapping[object, TransformerStack], task: object, sentence: str) -> Look | Looks:
    """What a model answers to a sentence and how it comes to it; draws itself in a notebook.

    stack: of one run, or several of them by step. task: a name or a Task. sentence: with or without its label (by
    default the one that asks for another sentence) and final punctuation; for Dyck the brackets before a closing one.
    Of one that the grammar does not have, rules, parts and gold tree are not known; all else is shown.

    Raises GrokkitError for words that the task does not have, a stack of several runs, and one of another task.
    """
    if not isinstance(task, Task):
        task = TASKS[one_of("task", task, tuple(TASKS))]
    asked = _asked(task, sentence)
    if isinstance(stack, Mapping) and stack:
        return Looks({step: _look(one, task, asked) for step, one in stack.items()})
    return _look(stack, task, asked)


def wrong_answers(stack: TransformerStack, task: object, split: Split, count: int = 10) -> pd.DataFrame:
    """The first sentences of a split that a model answers wrongly: source, answer, kind; sorted by kind.

    kind: the rule that gives this very answer, else whether at least the word is right at which the rules part.
    """
    task = task if isinstance(task, Task) else TASKS[one_of("task", task, tuple(TASKS))]
    if not isinstance(split, Split):
        raise GrokkitError(f"{split!r:.60} is no split: give one of a corpus, as in gk.load_corpus(config)['gen']")
    rows: list[tuple[str, str, str]] = []
    for source, label, target in zip(split.sources, split.labels, split.targets):
        if len(rows) == count:
            break
        asked = _asked(task, f"{source} {label}")
        answer = " ".join(_words(task, _answer(stack, task, asked)))
        if answer != target:
            follows = [name for name, rule in task.rules.items() if _says(rule, f"{source} {label}") == answer]
            word, wanted = (text.split()[asked.place : asked.place + 1] for text in (answer, target))
            kind = f"{follows[0]} rule" if follows else "right word, other words wrong" if word == wanted else "no rule"
            rows.append((source, answer, kind))
    return pd.DataFrame(rows, columns=["source", "answer", "kind"]).sort_values("kind", ignore_index=True)


def _says(rule: Callable[[str], str], asked: str) -> str | None:
    with contextlib.suppress(GrokkitError, KeyError):  # no sentence of the grammar
        return rule(asked)
    return None


def _asked(task: Task, sentence: str) -> Asked:
    if not isinstance(sentence, str):
        raise GrokkitError(f"{sentence!r:.60} is no sentence: give one as a text")
    words, stop, label = sentence.split(), [], []
    if strange := [word for word in words if word not in task.vocab.words[1:]]:
        raise GrokkitError(
            f"{', '.join(strange)}: not among the {task.vocab.size - 1} words of {task.name}, which are"
            f" {' '.join(task.vocab.words[1:])}"
        )
    if task.labels:
        label = [words.pop()] if words and words[-1] in task.labels else [task.labels[0]]
        if words and words[-1] in (".", "?"):
            stop = [words.pop()]
        elif "." in task.vocab.index:
            stop = ["."]
    if not words:
        raise GrokkitError("the sentence has no words: give at least one")
    text = " ".join([*words, *stop, *label])
    rival = "linear" if "linear" in task.rules else next((name for name in task.rules if name != "hierarchical"), "")
    rules, gold, places = {}, None, {f"{i + 1} {word}": [i] for i, word in enumerate(words)}
    for name in ("hierarchical", rival):
        if name in task.rules and (answer := _says(task.rules[name], text)) is not None:
            rules[name] = answer
    with contextlib.suppress(GrokkitError):
        gold = task.gold_tree(" ".join(words))
    place = 0
    if task.name in _PARTS and "hierarchical" in rules:
        with contextlib.suppress(GrokkitError):  # a copy of what is no sentence
            places, place = _PARTS[task.name](words)
    answers = zip_longest(*(answer.split() for answer in rules.values()))
    place = next((i for i, both in enumerate(answers) if len(set(both)) > 1), place)
    return Asked(text, words, rules, place, {name: at for name, at in places.items() if at}, gold)


def _of_question(words: list[str]) -> tuple[dict[str, list[int]], int]:
    """The parts that tell the rules apart, and the word of the answer that is asked for where the rules agree."""
    main = question.main_auxiliary(" ".join(words))
    others = [i for i in question.auxiliary_positions(words) if i != main]
    return {"main auxiliary": [main], "other auxiliary": others}, 0


def _of_tense(words: list[str]) -> tuple[dict[str, list[int]], int]:
    verb = tense.main_verb(" ".join(words))
    subject, *others = [i for i in range(verb) if words[i] in NOUN_NUMBER]
    return {"subject": [subject], "distractor": others}, verb


def _of_dyck(words: list[str]) -> tuple[dict[str, list[int]], int]:
    opened, last = [], -1
    for i, word in enumerate(words):
        if word.startswith("("):
            opened.append(last := i)
        else:
            opened.pop()
    return {"open bracket": opened[-1:], "last opened": [last] * (last != opened[-1])}, 0


_PARTS = {"question": _of_question, "tense": _of_tense, "dyck": _of_dyck}


def _look(stack: object, task: Task, asked: Asked) -> Look:
    if not isinstance(stack, TransformerStack):
        raise GrokkitError(f"{stack!r:.60} is no stack: give one, or several of them by step, as {{250: stack}}")
    if stack.runs > 1:
        raise GrokkitError(f"this stack has {stack.runs} runs: choose one of them, as in stack.run(0)")
    if stack.config.vocabulary_size != task.vocab.size:
        raise GrokkitError(
            f"this stack was trained on {stack.config.task}, not on {task.name}: give a stack of the task"
        )
    answer = _answer(stack, task, asked)
    said = _words(task, answer)
    (chart,) = sci_charts(stack, [" ".join(asked.words)], task.vocab)
    tree = project(chart[0])
    return Look(
        **vars(asked),
        model=f"{stack.config.preset} {task.name}, {layers(stack.config.depth)}, seed {stack.seeds[0]}",
        answer=" ".join(said),
        attention=_attention(stack, _prompt(task, asked), answer[: asked.place], asked, said),
        chart=chart[0],
        tree=_in_words(tree, asked.words),
        parseval=parseval(tree, asked.gold) if asked.gold is not None and len(asked.words) > 1 else None,
    )


def _prompt(task: Task, asked: Asked) -> list[int]:
    return [task.vocab.bos, *task.vocab.encode(asked.asked)]


def _answer(stack: TransformerStack, task: Task, asked: Asked) -> list[int]:
    """The tokens of the answer, without EOS."""
    vocab, prompt = task.vocab, _prompt(task, asked)
    if task.name == "dyck":  # the best closing bracket, as the accuracy has it
        scores = stack.logits(torch.tensor([prompt], device=stack.device))[0, 0, -1].tolist()
        return [max((i for word, i in vocab.index.items() if word.endswith(")")), key=scores.__getitem__)]
    room = max(len(text.split()) for text in (asked.asked, *asked.rules.values())) + 2
    answer = greedy(stack, [prompt], room)[0, 0].tolist()
    return answer[: answer.index(vocab.eos)] if vocab.eos in answer else answer


def _words(task: Task, answer: list[int]) -> list[str]:
    return [task.vocab.words[token] if token < task.vocab.size else "<bos>" for token in answer]


@torch.no_grad()
def _attention(
    stack: TransformerStack, prompt: list[int], before: list[int], asked: Asked, said: list[str]
) -> pd.DataFrame:
    """The attention of the last token of prompt and answer so far, by layer, head and part."""
    tokens = torch.tensor([[*prompt, *before]], device=stack.device)
    weights = torch.stack([layer[0, 0, :, -1] for layer in stack.attention(tokens)]).flatten(0, 1).cpu()  # [L H, T]
    rest, shares = torch.ones(tokens.shape[1], dtype=torch.bool), {}
    for name, places in asked.parts.items():
        copies = [i for i in places if i < len(before) and said[i] == asked.words[i]]
        at = [*(1 + i for i in places), *(len(prompt) + i for i in copies)]
        shares[name] = weights[:, at].sum(1).numpy()
        rest[at] = False
    numbers = [(i + 1, h + 1) for i in range(stack.config.depth) for h in range(stack.config.heads)]
    return pd.DataFrame(numbers, columns=["layer", "head"]).assign(**shares, rest=weights[:, rest].sum(1).numpy())


def _in_words(tree: Tree, words: list[str]) -> Tree:
    return tuple(_in_words(child, words) for child in tree) if isinstance(tree, tuple) else words[int(tree)]
