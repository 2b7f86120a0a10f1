"""Sentences and their trees: the three tasks of the paper, generated from a seed or read from the released
files."""

from grokkit.data.corpus import Corpus, NoGoldTrees, Split, Task, Tree, Vocabulary, token_table
from grokkit.data.dyck import TASK as DYCK
from grokkit.data.dyck import make_dyck
from grokkit.data.question import TASK as QUESTION
from grokkit.data.tense import TASK as TENSE

TASKS: dict[str, Task] = {task.name: task for task in (QUESTION, TENSE, DYCK)}

__all__ = ["TASKS", "Corpus", "NoGoldTrees", "Split", "Task", "Tree", "Vocabulary", "make_dyck", "token_table"]
