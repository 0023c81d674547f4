"""The README.md of a published model, as the Hugging Face Hub shows it."""

import json
from pathlib import Path

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
NO_METRIC = ('step', 'time', 'data_time')
NO_FIGURES = (
    'The checkpoint has none. In this folder `mmpfcn test config.py .` measures it on the data of '
    'its config.'
)


def model_card(checkpoint: dict, source: str, name: str) -> str:
    """Text of the card.

    Args:
        checkpoint: with ``state_dict``, and with what else of a training's checkpoint there is.
        source: the name that it was read by; a work dir has the log of its validation.
        name: of the folder.
    """
    meta = checkpoint.get('meta', {})
    iterations = meta.get('iter')
    return CARD.format(
        name=name,
        millions=sum(weight.numel() for weight in checkpoint['state_dict'].values()) / 1e6,
        training=f', trained for {iterations} iterations' if iterations else '',
        config=CONFIG_LINE if config_text(checkpoint) else '',
        figures=_figures(checkpoint, Path(source).parent),
        classes=_classes(meta.get('dataset_meta', {})),
    )


def _figures(checkpoint: dict, work_dir: Path) -> str:
    """A table of the validation of these weights, or of the last one before they were saved.

    mmengine saves before it validates, so a checkpoint itself has only the latter.
    """
    title = 'Of these weights, on the validation data of the config:'
    figures = _logged(checkpoint.get('meta', {}), work_dir)
    if not figures:
        title = 'Of the last validation of its training before these weights were saved:'
        logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
        figures = {k[4:]: log.current() for k, log in logs.items() if k.startswith('val/')}
    if not figures:
        return NO_FIGURES
    rows = [f'| {key} | {value:.4g} |' for key, value in figures.items()]
    return '\n'.join([f'{title}\n', '| metric | value |', '| --- | --- |', *rows])


def _logged(meta: dict, work_dir: Path) -> dict[str, float]:
    """What the log of the run that saved the checkpoint says of its iteration."""
    run = str(meta.get('experiment_name', ''))[-len('20261129_062100') :]
    log = work_dir / run / 'vis_data' / 'scalars.json'
    for line in log.read_text('utf-8').splitlines() if log.is_file() else ():
        record = json.loads(line) if line.endswith('}') else {}  # a killed run leaves half a line
        if record.get('step') == meta.get('iter') and 'loss' not in record:
            return {key: value for key, value in record.items() if key not in NO_METRIC}
    return {}


def _classes(dataset_meta: dict) -> str:
    names = {key.lower(): value for key, value in dataset_meta.items()}
    kinds = {'Things': 'thing_classes', 'Stuff': 'stuff_classes'}
    if 'thing_classes' not in names:
        kinds = {'Classes': 'classes'}
    lines = [f'{kind}: {", ".join(names[key])}.' for kind, key in kinds.items() if names.get(key)]
    return '\n\n'.join(lines) or 'The checkpoint does not name them.'
