"""State dicts as the released code has them."""

import torch


def authors_state(classes=71, width=32, ffn=48, depth=2) -> dict[str, torch.Tensor]:
    """Random weights of a model, with what is in a checkpoint beside them: positions and a decoder that is not used."""
    draw = torch.Generator().manual_seed(0)
    layer = {
        "self_attn.data_to_q.weight": (width, width),
        "self_attn.data_to_kv.weight": (2 * width, width),
        "self_attn.multi_head_merge.weight": (width, width),
        "linear1.weight": (ffn, width),
        "linear1.bias": (ffn,),
        "linear2.weight": (width, ffn),
        "linear2.bias": (width,),
    }
    layer |= {f"norm{number}.{part}": (width,) for number in (1, 2) for part in ("weight", "bias")}
    shapes = {f"trafo.encoder.layers.{i}.{name}": shape for i in range(depth) for name, shape in layer.items()}
    shapes |= {"input_embedding.weight": (classes, width), "output_map.weight": (classes, width)}
    shapes |= {"output_map.bias": (classes,), "pos.pe": (1, 50, width), "trafo.decoder.layers.0.linear1.weight": (9, 9)}
    state = {name: 0.2 * torch.randn(shape, generator=draw) for name, shape in shapes.items()}
    state |= {name: 1 + weight for name, weight in state.items() if name.endswith(("norm1.weight", "norm2.weight"))}
    return state | {"int_seq": torch.arange(50)}
