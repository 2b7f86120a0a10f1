"""Charts against the definition: one forward pass a span, attention masked outside it at every layer."""

import numpy as np
import pytest
import torch
from chart_stacks import SENTENCES, VOCAB, stack_of, tokens_to_compute
from full_corpora import official_corpus
from torch_model import TorchModel, causal

from grokkit.config import Config
from grokkit.data import TASKS
from grokkit.data.corpus import Vocabulary
from grokkit.errors import GrokkitError
from grokkit.model import prefix_trie as prefixes
from grokkit.model.transformer import TransformerStack
from grokkit.trees import charts, left_branching, parseval, sci_charts, t_parseval, t_score


@torch.no_grad()
def chart_by_definition(stack, run: int, sentence: str) -> np.ndarray:
    words = VOCAB.encode(sentence)
    tokens, n = torch.tensor([[VOCAB.bos, *words]]), len(words)
    model = TorchModel(stack, run).double()
    contextual = model.layers_of(tokens)[0][0]
    chart = np.full((n, n), np.nan)
    for i in range(n):
        for j in range(i, n):
            inside = torch.zeros(n + 1, dtype=torch.bool)
            inside[i + 1 : j + 2] = True
            visible = inside.clone()
            visible[0] = True  # BOS
            may_see = causal(n + 1) & visible
            may_see |= torch.eye(n + 1, dtype=torch.bool)  # words outside the span, which are not used
            alone = model.layers_of(tokens, may_see=may_see)[0][0]
            a, b = alone[inside].sum(0), contextual[inside].sum(0)
            chart[i, j] = a @ b / (a.norm() * b.norm())
    return chart


@pytest.mark.parametrize(("depth", "scale"), [(1, 1.0), (3, 1.0), (4, 3.0)])
def test_charts_equal_the_definition(depth, scale):
    stack = stack_of(depth=depth, scale=scale)
    found = sci_charts(stack, SENTENCES, VOCAB)
    for sentence, chart in zip(SENTENCES, found, strict=True):
        n = len(sentence.split())
        assert chart.shape == (2, n, n) and chart.dtype == np.float32
        assert (chart[:, 0] == 1).all()  # spans that begin the sentence
        expected = [chart_by_definition(stack, run, sentence) for run in range(2)]
        # 1e-5: float32 in the stack against float64 here
        np.testing.assert_allclose(chart, expected, atol=1e-5, rtol=0, equal_nan=True)
    assert np.nanstd(found[1]) > 0.01  # the agreement is not one of constants


def assert_close(some: list[np.ndarray], others: list[np.ndarray]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6, equal_nan=True)  # order of float32 sums


def test_charts_depend_neither_on_batches_nor_on_company(monkeypatch):
    stack = stack_of(seeds=(1, 2, 3), scale=2.0)
    whole = sci_charts(stack, SENTENCES, VOCAB)
    assert_close(whole, sci_charts(stack, SENTENCES[::-1], VOCAB)[::-1])
    assert_close([chart[1:2] for chart in whole], sci_charts(stack.run(1), SENTENCES, VOCAB))
    for limit, width in ((1, 8), (30000, 16)):  # one pass at a time and one sentence a part; a few
        monkeypatch.setitem(prefixes.FLOATS_AT_ONCE, "cpu", limit)
        monkeypatch.setitem(charts._STORE, "cpu", limit)
        monkeypatch.setattr(prefixes, "WIDTH", width)
        assert_close(whole, sci_charts(stack, SENTENCES, VOCAB))


def counted_tokens(stack, monkeypatch) -> list[int]:
    """Tokens of all forward passes from now on, and how many tokens they might attend to, added up."""
    count, plain = [0, 0], stack.hidden

    def hidden(tokens, *args, **options):
        count[0] += tokens.numel()
        count[1] += tokens.numel() * tokens.shape[-1]
        return plain(tokens, *args, **options)

    monkeypatch.setattr(stack, "hidden", hidden)
    return count


def test_cost_grows_with_the_square_of_the_length(monkeypatch):
    """Counted, not timed: a sentence of n words that shares none with others costs n (n + 1) / 2 tokens."""
    vocab, rng = Vocabulary(f"w{i}" for i in range(5000)), np.random.default_rng(0)
    stack = stack_of(depth=1, vocabulary_size=vocab.size)
    for n in (5, 10, 20, 40):
        sentences = [" ".join(rng.choice(vocab.words[1:], n)) for _ in range(100)]
        count = counted_tokens(stack, monkeypatch)
        sci_charts(stack, sentences, vocab)
        monkeypatch.undo()
        words = 100 * n * (n + 1) / 2
        # one BOS for each place to start at; some suffixes of a word or two are the same
        assert 0.9 * words < tokens_to_compute(sentences, vocab) <= words + n
        # a pass repeats the words before its first new one, and the last pass is not full
        assert words < count[0] < 1.25 * words + 128, n
        assert count[1] <= 128 * count[0]  # attention costs no more than n**2 words either


def test_what_sentences_have_in_common_is_computed_once(monkeypatch):
    stack = stack_of(depth=1)
    one = tokens_to_compute(["the newt sees a newt"], VOCAB)
    assert one == 5 + 4 + 3 + 2 + 1 + 5  # words of the suffixes, and BOS before each start
    assert tokens_to_compute(["the newt sees a newt"] * 3, VOCAB) == one
    # "the newt" and its suffixes at the same places come twice; another last word is new in each suffix
    assert tokens_to_compute(["the newt sees a newt", "the newt sees a who"], VOCAB) == one + 5
    # a first word of its own changes the first suffix only
    assert tokens_to_compute(["the newt sees a newt", "a newt sees a newt"], VOCAB) == one + 5
    count = counted_tokens(stack, monkeypatch)
    sci_charts(stack, ["the newt sees a newt"] * 1000, VOCAB)
    assert count[0] == prefixes.WIDTH


def test_a_failed_run_gets_nan_and_spoils_no_other():
    stack, whole = stack_of(seeds=(1, 2)), stack_of(seeds=(1, 2))
    stack.weights["layers.1.merge"][0] = torch.nan
    found, expected = sci_charts(stack, SENTENCES, VOCAB), sci_charts(whole, SENTENCES, VOCAB)
    for one, other in zip(found, expected):
        assert np.isnan(one[0]).all()
        np.testing.assert_array_equal(one[1], other[1])
    score = t_score(found)
    assert np.isnan(score[0]) and score[1] == t_score(expected)[1]
    gold = [("the", ("newt", "sleeps"))]
    assert np.isnan(t_parseval(found[:1], gold)[0]) and not np.isnan(t_parseval(found[:1], gold)[1])


def test_bad_sentences_are_refused():
    with pytest.raises(GrokkitError, match="sentence 1 is empty"):
        sci_charts(stack_of(), ["the newt", " "], VOCAB)
    with pytest.raises(GrokkitError, match="unicorn"):
        sci_charts(stack_of(), ["the unicorn"], VOCAB)
    assert sci_charts(stack_of(), [], VOCAB) == []


def test_untrained_stack_is_a_control_on_official_sentences():
    """Before training the trees are no syntax: they stay below right-branching (.66), and t_score is small.
    It is not 0, because the induced tree has the best split of several at each node. Maximizing the whole sum
    instead gives left-branching trees: a span that begins the sentence has similarity 1 for nothing."""
    task, part = TASKS["question"], official_corpus("question")["val"]
    sources = [s for s, label in zip(part.sources, part.labels, strict=True) if label == "quest"][:100]
    sentences = [source.removesuffix(" .") for source in sources]
    config = Config("test", "question", 4, vocabulary_size=task.vocab.size, width=64, heads=4, ffn_width=64)
    found = sci_charts(TransformerStack(config, [42, 52, 62]), sentences, task.vocab)
    score = t_score(found)
    gold = [task.gold_tree(source) for source in sources]
    f1 = t_parseval(found, gold)
    assert ((score > 0) & (score < 0.5)).all(), score  # published, trained: .84 to .89
    assert (f1 < 0.60).all(), f1
    left = parseval([left_branching(len(sentence.split())) for sentence in sentences], gold).f1
    np.testing.assert_allclose(t_parseval(found, gold, tree="exact"), left, atol=0.02)  # a few trees differ
