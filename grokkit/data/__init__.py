"""Sentences and their trees: the three tasks of the paper, generated from a seed or read from the released files.

>>> TASKS["question"].gold_tree("the yak does sleep .")
(('the', 'yak'), ('does', 'sleep'))
>>> TASKS["question"].rules["hierarchical"]("the yak does sleep . quest")
'does the yak sleep ?'
"""

from grokkit.data.corpus import Corpus, NoGoldTrees, Split, Task, Vocabulary, token_table
from grokkit.data.dyck import TASK as DYCK
from grokkit.data.dyck import make_dyck
from grokkit.data.question import TASK as QUESTION
from grokkit.data.tense import TASK as TENSE
from grokkit.data.tree import Tree

TASKS: dict[str, Task] = {task.name: task for task in (QUESTION, TENSE, DYCK)}

__all__ = ["TASKS", "Corpus", "NoGoldTrees", "Split", "Task", "Tree", "Vocabulary", "make_dyck", "token_table"]
