"""Settings of the documentation site; `make docs` builds it into build/docs."""

import re
import warnings
from pathlib import Path

# what the packages that autodoc imports say of each other is not about the documentation
warnings.filterwarnings('ignore', category=DeprecationWarning)

ROOT = Path(__file__).resolve().parents[1]

project = 'mmpfcn'
author = 'the mmpfcn authors'
copyright = 'the mmpfcn authors, Apache-2.0'
version_text = (ROOT / 'mmpfcn' / 'version.py').read_text('utf-8')
release = re.search(r"__version__ = '(.+)'", version_text).group(1)

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
exclude_patterns = []
nitpicky = False  # annotations name classes of torch and mmdet, which are not described here

myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']

autodoc_default_options = {'members': True, 'show-inheritance': True}
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_inherit_docstrings = False  # those of torch and mmengine have a markup of their own
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of data classes are described once, with the class

html_theme = 'furo'
html_title = f'mmpfcn {release}'
html_show_sphinx = False
html_copy_source = False


def read_page(app, docname: str, source: list[str]) -> None:
    """models.md is the model card, and the menu has the pages that index.md does not name."""
    if docname == 'models':
        card = ROOT / 'configs' / 'panoptic_fcn' / 'README.md'
        text = card.read_text('utf-8').replace('](../../docs/', '](')
        source[0] = re.sub(r'\]\((?=[\w-]+\.(?:py|yml)\))', '](../configs/panoptic_fcn/', text)
    elif docname == 'index':
        named = set(re.findall(r'\w+', source[0]))
        rest = sorted(app.env.found_docs - named - {'index'})
        source[0] = source[0].replace('@rest', '\n'.join(rest))


def setup(app) -> None:
    app.connect('source-read', read_page)
