"""Synthetic results tables with known properties, for the tests of results, statistics, figures and verdicts."""

import numpy as np
import pandas as pd

RIGHT = {"question": 0.66277, "tense": 0.50152}


def run(task, depth, seed, end=5000, every=250, preset="laptop", gen_end=0.9, grok_at=0.3, rng=None):
    """Rows of one run: val saturates at 10 % of the training, gen rises around `grok_at` to `gen_end`."""
    rng = rng or np.random.default_rng([depth, seed, len(task)])
    step = np.arange(0, end + 1, every)
    x = step / end
    noise = rng.normal(0, 0.02, len(step))
    val = np.clip(1 - np.exp(-x * 60), 0, 1)
    val[x >= 0.1] = 1.0
    gen = np.clip(gen_end / (1 + np.exp(-(x - grok_at * rng.uniform(0.8, 1.2)) * 25)) + noise, 0, 1)
    gen[0] = 0.0
    loss = 1.2 + 3 * np.exp(-x * 50) + np.abs(noise) / 20
    loss[0] = np.nan
    return pd.DataFrame(
        {
            **{"preset": preset, "data_source": "generated", "task": task, "depth": depth, "seed": seed, "step": step},
            "train_loss": loss,
            "val_accuracy": val,
            "gen_accuracy": gen,
            "weight_norm": (75 + 40 * np.sqrt(x) + rng.normal(0, 0.5)) / np.sqrt(depth),
            "attention_sparsity": -1.8 + 0.9 * np.sqrt(x) - 0.05 * depth + rng.normal(0, 0.02),
            "t_score": 0.3 + 0.5 * x * (1.2 if gen_end > 0.8 else 0.8) + rng.normal(0, 0.03) + noise,
            "t_parseval": np.nan if task == "dyck" else RIGHT[task] - 0.2 + 0.3 * np.sqrt(x) + noise,
            "gen_full_sentence": gen * 0.9,
            "status": "ok",
        }
    )


ENDS = {1: 0.35, 2: 0.55, 3: 0.88, 4: 0.95, 5: 0.6, 6: 0.4}


def table(
    tasks=("question", "tense", "dyck"), depths=(1, 2, 4, 5, 6), seeds=(42, 52, 62), fail=(), ends=None, **options
):
    """A whole experiment with an inverted U at 4 layers; `fail`: (task, depth, seed) of runs that fail half-way."""
    parts, ends = [], {**ENDS, **(ends or {})}
    for task in tasks:
        for depth in depths if task != "dyck" else (4,):
            for seed in seeds:
                jitter = np.random.default_rng([depth, seed]).normal(0, 0.08)
                part = run(task, depth, seed, gen_end=float(np.clip(ends[depth] + jitter, 0.1, 1.0)), **options)
                if (task, depth, seed) in fail:
                    part = part[part.step <= part.step.max() // 2].reset_index(drop=True)
                    part.loc[part.index[-1], part.columns[6:-1]] = np.nan
                    part.loc[part.index[-1], "status"] = "failed"
                parts.append(part)
    return pd.concat(parts, ignore_index=True).sort_values(["task", "depth", "seed", "step"], ignore_index=True)
