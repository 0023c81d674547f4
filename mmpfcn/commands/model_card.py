"""The README.md of a published model, as the Hugging Face Hub shows it."""

from mmpfcn.apis.checkpoint import config_text

CARD = """\
---
library_name: mmpfcn
pipeline_tag: image-segmentation
tags: [panoptic-segmentation, panoptic-fcn]
---

# {name}

[Panoptic FCN](https://arxiv.org/abs/2012.00720), {millions:.1f} million weights{training}.

```sh
mmpfcn predict photo.jpg --model {name}
```

```python
from mmpfcn import PanopticInferencer

inferencer = PanopticInferencer.from_pretrained('{name}')
result = inferencer('photo.jpg')['predictions'][0]
```

`{name}` is this folder, or `hf://user/{name}` once it is on the Hugging Face Hub.{config}

## Figures

{figures}

## Classes

{classes}
"""
CONFIG_LINE = """
`config.py` is the whole config: `mmpfcn train config.py` trains it again."""
NO_FIGURES = (
    'The checkpoint has none. In this folder `mmpfcn test config.py .` measures it on the data of '
    'its config.'
)


def model_card(checkpoint: dict, name: str) -> str:
    """Text of the card.

    Args:
        checkpoint: with ``state_dict``, and with what else of a training's checkpoint there is.
        name: of the folder.
    """
    meta = checkpoint.get('meta', {})
    iterations = meta.get('iter')
    return CARD.format(
        name=name,
        millions=sum(weight.numel() for weight in checkpoint['state_dict'].values()) / 1e6,
        training=f', trained for {iterations} iterations' if iterations else '',
        config=CONFIG_LINE if config_text(checkpoint) else '',
        figures=_figures(checkpoint),
        classes=_classes(meta.get('dataset_meta', {})),
    )


def _figures(checkpoint: dict) -> str:
    """A table of the last validation, which mmengine logs as ``val/METRIC``."""
    logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
    figures = {key.removeprefix('val/'): log for key, log in logs.items() if key.startswith('val/')}
    if not figures:
        return NO_FIGURES
    rows = [f'| {key} | {log.current():.4g} |' for key, log in figures.items()]
    title = 'Of the last validation of its training before these weights were saved:'
    return '\n'.join([f'{title}\n', '| metric | value |', '| --- | --- |', *rows])


def _classes(dataset_meta: dict) -> str:
    names = {key.lower(): value for key, value in dataset_meta.items()}
    kinds = {'Things': 'thing_classes', 'Stuff': 'stuff_classes'}
    if 'thing_classes' not in names:
        kinds = {'Classes': 'classes'}
    lines = [f'{kind}: {", ".join(names[key])}.' for kind, key in kinds.items() if names.get(key)]
    return '\n\n'.join(lines) or 'The checkpoint does not name them.'
