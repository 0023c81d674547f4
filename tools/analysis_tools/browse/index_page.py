"""The page that browse_dataset.py puts beside its pictures: one file, which needs nothing else."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote

import cv2
import numpy as np

THUMBNAIL_WIDTH = 480  # px
JPEG_QUALITY = 80
MANY_CLASSES = 40  # whose list is folded, or nothing else would be on the screen of a phone

STYLE = """
:root { color-scheme: light dark; --text: #1b1f24; --page: #fff; --soft: #5b6470; --line: #d8dde3;
  --card: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaef; --page: #14171b; --soft: #9aa4b0;
  --line: #333a43; --card: #1d2127 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1500px; padding: 1rem; background: var(--page);
  color: var(--text); font: 16px/1.45 system-ui, sans-serif }
h1 { font-size: 1.35rem; margin: 0 0 .3rem; overflow-wrap: anywhere }
p { color: var(--soft); margin: 0 0 1rem }
details { margin: 0 0 1rem } summary { cursor: pointer }
.classes { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem .9rem; padding: 0;
  margin: .4rem 0 .8rem }
.classes li { display: flex; align-items: center; gap: .35rem; white-space: nowrap }
.absent { opacity: .45 }
.chip { width: 1em; height: 1em; border: 1px solid var(--line); border-radius: 3px }
main { display: grid; gap: 1rem;
  align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)) }
figure { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px }
img { display: block; width: 100%; height: auto; border-radius: 3px }
figcaption { margin-top: .4rem; font-size: .85rem; color: var(--soft); overflow-wrap: anywhere }
figcaption b { color: var(--text); font-weight: 600 }
""".strip()


class Card(NamedTuple):
    """One picture of the page.

    Args:
        file_name: Of the picture, in the folder of the page.
        thumbnail: What thumbnail() gives.
        title: First line of the caption.
        facts: Second line.
    """

    file_name: str
    thumbnail: str
    title: str
    facts: str


class ClassEntry(NamedTuple):
    """A class in the list of classes, and how many segments of it the pictures have."""

    name: str
    color: Sequence[int]
    count: int


def thumbnail(picture: np.ndarray) -> str:
    """A small JPEG of an RGB picture as an address that holds all of it."""
    height, width = picture.shape[:2]
    size = (THUMBNAIL_WIDTH, max(1, round(height * THUMBNAIL_WIDTH / width)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg.tobytes()).decode()


def index_page(
    title: str, note: str, classes: Mapping[str, Sequence[ClassEntry]], cards: Sequence[Card]
) -> str:
    """HTML of the page.

    Args:
        title: Headline.
        note: The sentence below it.
        classes: Group, such as 'things' -> its classes.
        cards: The pictures, in order.
    """
    groups = '\n'.join(_class_list(name, entries) for name, entries in classes.items())
    figures = '\n'.join(map(_figure, cards))
    opened = ' open' if sum(map(len, classes.values())) <= MANY_CLASSES else ''
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE}
</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(note)}</p>
<details{opened}>
<summary>Classes, with the number of their segments in these pictures</summary>
{groups}
</details>
<main>
{figures}
</main>
</body>
</html>
"""


def _class_list(name: str, entries: Sequence[ClassEntry]) -> str:
    items = '\n'.join(
        f'<li{"" if entry.count else " class=absent"}>'
        f'<span class="chip" style="background: rgb{tuple(map(int, entry.color))}"></span>'
        f'{escape(entry.name)} {entry.count}</li>'
        for entry in entries
    )
    return f'{escape(name)}\n<ul class="classes">\n{items}\n</ul>'


def _figure(card: Card) -> str:
    link, title = quote(card.file_name), escape(card.title)
    return (
        f'<figure><a href="{link}"><img src="{card.thumbnail}" alt="{title}" loading="lazy"></a>\n'
        f'<figcaption><b>{title}</b><br>{escape(card.facts)}</figcaption></figure>'
    )
