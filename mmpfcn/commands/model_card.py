"""The README.md of a published model, as the Hugging Face Hub shows it."""

from mmpfcn.apis.checkpoint import config_text

from .page import fill_template


def model_card(checkpoint: dict, name: str) -> str:
    """Text of the card.

    Args:
        checkpoint: with ``state_dict``, and with what else of a training's checkpoint there is.
        name: of the folder.
    """
    meta = checkpoint.get('meta', {})
    names = {key.lower(): value for key, value in meta.get('dataset_meta', {}).items()}
    kinds = {'Things': 'thing_classes', 'Stuff': 'stuff_classes'}
    if 'thing_classes' not in names:
        kinds = {'Classes': 'classes'}
    logs = checkpoint.get('message_hub', {}).get('log_scalars', {})  # mmengine logs val/METRIC
    return fill_template(
        'model_card.md',
        name=name,
        millions=sum(weight.numel() for weight in checkpoint['state_dict'].values()) / 1e6,
        iterations=meta.get('iter'),
        has_config=bool(config_text(checkpoint)),
        figures={
            key.removeprefix('val/'): log.current()
            for key, log in logs.items()
            if key.startswith('val/')
        },
        classes={kind: names[key] for kind, key in kinds.items() if names.get(key)},
    )
