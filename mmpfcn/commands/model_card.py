"""The README.md of a published model, as the Hugging Face Hub shows it."""

import json
from pathlib import Path

from mmpfcn.apis.checkpoint import config_text

from .page import fill_template

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
    # mmengine saves before it validates, so a checkpoint itself has only the validation before
    title, figures = (
        'Of these weights, on the validation data of the config:',
        _logged(meta, source),
    )
    if not figures:
        title = 'Of the last validation of its training before these weights were saved:'
        logs = checkpoint.get('message_hub', {}).get('log_scalars', {})
        figures = {k[4:]: log.current() for k, log in logs.items() if k.startswith('val/')}
    names = {key.lower(): value for key, value in meta.get('dataset_meta', {}).items()}
    kinds = {'Things': 'thing_classes', 'Stuff': 'stuff_classes'}
    if 'thing_classes' not in names:
        kinds = {'Classes': 'classes'}
    return fill_template(
        'model_card.md',
        name=name,
        millions=sum(weight.numel() for weight in checkpoint['state_dict'].values()) / 1e6,
        iterations=meta.get('iter'),
        has_config=bool(config_text(checkpoint)),
        title=title,
        figures=figures,
        no_figures=NO_FIGURES,
        classes={kind: names[key] for kind, key in kinds.items() if names.get(key)},
    )


def _logged(meta: dict, source: str) -> dict[str, float]:
    """What the log of the run that saved the checkpoint says of its iteration."""
    run = str(meta.get('experiment_name', ''))[-len('20261129_062100') :]
    log = Path(source).parent / run / 'vis_data' / 'scalars.json'
    for line in log.read_text('utf-8').splitlines() if log.is_file() else ():
        record = json.loads(line) if line.endswith('}') else {}  # a killed run leaves half a line
        if record.get('step') == meta.get('iter') and 'loss' not in record:
            return {key: value for key, value in record.items() if key not in NO_METRIC}
    return {}
