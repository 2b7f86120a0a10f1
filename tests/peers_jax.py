"""The same step in JAX: jit, and batches padded to lengths that are multiples of four.

What did not make it faster on a CPU (Zen 5, tense, 4 layers): heads before tokens, dot_product_attention, one-hot
products for embedding and loss, all weights in one vector, wider vectors, oneDNN, XNNPACK.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.scipy.special import logsumexp
from peers import padded

from grokkit.config import Config
from grokkit.model.packing import PAD
from grokkit.model.transformer import TransformerStack, sinusoids
from grokkit.randomness import derive_seed
from grokkit.training.batches import Batches


class Jax:
    """All runs of a stack in one program, side by side (jax.vmap) or one after the other (jax.lax.map)."""

    def __init__(self, stack: TransformerStack, batches: Batches, side_by_side: bool = False):
        self.config, self.batches, self.seeds, self.updates = stack.config, batches, stack.seeds, 0
        self.runs = slice(None) if stack.runs > 1 else 0  # one run alone has no axis of runs: that is faster
        self.weights = {name: jnp.array(w[self.runs].detach().numpy()) for name, w in stack.weights.items()}
        self.moments = [jax.tree.map(jnp.zeros_like, self.weights) for _ in range(2)]
        of_runs = one = partial(update, self.config)
        if stack.runs > 1 and side_by_side:
            of_runs = jax.vmap(one, in_axes=(None, None, 0, 0, 0, 0))
        elif stack.runs > 1:
            of_runs = lambda lr, t, *runs: jax.lax.map(lambda run: one(lr, t, *run), runs)  # noqa: E731
        self.update = jax.jit(of_runs, donate_argnums=(2, 3))

    def take(self, step: int) -> jax.Array:
        self.updates += 1
        tokens = padded(self.batches, self.batches.line_indices(step), 4).int().numpy()
        keys = np.array([derive_seed(seed, "dropout", step) % 2**31 for seed in self.seeds])
        lr = self.config.learning_rate * self.config.learning_rate_factor(step)
        given = lr, float(self.updates), self.weights, self.moments, tokens[self.runs], keys[self.runs]
        self.weights, self.moments, losses = self.update(*given)
        return losses


def update(c: Config, lr, t, weights: dict, moments: list, tokens, key):
    """Update number t (from 1) of one run: its weights and moments after it, its loss before."""
    found, grads = jax.value_and_grad(loss)(weights, c, tokens, jax.random.key(key))
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in grads.values()))
    scale = jnp.minimum(1.0, c.clip_norm / (norm + 1e-6))

    def adamw(w, m, v, g):
        g = g * scale
        m, v = c.beta1 * m + (1 - c.beta1) * g, c.beta2 * v + (1 - c.beta2) * g * g
        root = jnp.sqrt(v / (1 - c.beta2**t)) + c.epsilon
        return w * (1 - lr * c.weight_decay) - lr / (1 - c.beta1**t) * m / root, m, v

    new = {name: adamw(w, *(part[name] for part in moments), grads[name]) for name, w in weights.items()}
    weights, *moments = ({name: part[i] for name, part in new.items()} for i in range(3))
    return weights, moments, found


def loss(w: dict, c: Config, tokens, key):
    """Mean cross entropy over the tokens [B, T + 1] of one run but the first of each line."""
    scores, targets = logits(w, c, tokens[:, :-1], key), tokens[:, 1:]
    lacking = logsumexp(scores, -1) - jnp.take_along_axis(scores, targets[..., None], -1)[..., 0]
    return jnp.mean(lacking, where=targets != PAD)


def logits(w: dict, c: Config, tokens, key):
    """Scores of the next token [B, T, C]."""
    B, T = tokens.shape
    sites = iter(jax.random.split(key, 1 + 4 * c.depth)) if c.dropout else None
    positions, causal = sinusoids(torch.arange(T), c.width).numpy(), jnp.tril(jnp.ones((T, T), bool))

    def drop(x):
        return (
            jnp.where(jax.random.bernoulli(next(sites), 1 - c.dropout, x.shape), x / (1 - c.dropout), 0) if sites else x
        )

    def norm(x, at):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-5) * w[f"{at}.weight"] + w[f"{at}.bias"]

    x = drop(w["embedding"][tokens] * math.sqrt(c.width) + positions).reshape(B * T, -1)  # rows: flat ones are faster
    for i in range(c.depth):
        at = f"layers.{i}"
        q, k, v = jnp.moveaxis((x @ w[f"{at}.qkv"]).reshape(B, T, 3, c.heads, -1), 2, 0)
        seen = jnp.einsum("bqhc,bkhc->bhqk", q, k) / math.sqrt(c.width // c.heads)
        seen = drop(jax.nn.softmax(jnp.where(causal, seen, -jnp.inf)))
        read = jnp.einsum("bhqk,bkhc->bqhc", seen, v).reshape(B * T, -1)
        x = norm(x + drop(read @ w[f"{at}.merge"]), f"{at}.norm1")
        h = drop(jax.nn.relu(x @ w[f"{at}.ffn1.weight"] + w[f"{at}.ffn1.bias"]))
        x = norm(x + drop(h @ w[f"{at}.ffn2.weight"] + w[f"{at}.ffn2.bias"]), f"{at}.norm2")
    return (x @ w["output.weight"] + w["output.bias"]).reshape(B, T, -1)
