"""Importing it lets mmengine load checkpoints without running code from them, for a config's sake.

custom_imports = dict(imports=['mmpfcn', 'mmpfcn.apis.safe_loading'])
"""

from .checkpoint import use_safe_loader

use_safe_loader()
