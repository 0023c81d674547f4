"""The page that browse_dataset.py puts beside its pictures: one file, which needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from ..page import chip, html_page

MANY_CLASSES = 40  # whose list is folded, or nothing else would be on the screen of a phone

STYLE = """
.classes { list-style: none; display: flex; flex-wrap: wrap; gap: .3rem .9rem; padding: 0;
  margin: .4rem 0 .8rem }
.classes li { display: flex; align-items: center; gap: .35rem; white-space: nowrap }
.absent { opacity: .45 }
main { display: grid; gap: 1rem;
  align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)) }
"""


class Card(NamedTuple):
    """One picture of the page.

    Args:
        file_name: Of the picture, in the folder of the page.
        thumbnail: What _page.thumbnail() gives.
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
    body = f"""
<h1>{escape(title)}</h1>
<p>{escape(note)}</p>
<details{opened}>
<summary>Classes, with the number of their segments in these pictures</summary>
{groups}
</details>
<main>
{figures}
</main>
"""
    return html_page(title, STYLE, body)


def _class_list(name: str, entries: Sequence[ClassEntry]) -> str:
    items = '\n'.join(
        f'<li{"" if entry.count else " class=absent"}>'
        f'{chip(entry.color)}'
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
