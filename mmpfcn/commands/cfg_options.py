"""Values of ``--cfg-options KEY=VALUE``."""

import argparse
import re

CLOSING = {'(': ')', '[': ']'}
EXPECTED = (
    'expected KEY=VALUE pairs, with balanced brackets and without spaces around "=", such as '
    'train_cfg.max_iters=100'
)


class CfgOptions(argparse.Action):
    """Collects the pairs of ``--cfg-options`` in a dict; what is none is one message."""

    def __call__(self, parser, namespace, values, option_string=None):
        options = dict(getattr(namespace, self.dest, None) or {})
        for pair in values:
            try:
                key, value = split_pair(pair)
            except (ValueError, RecursionError) as error:
                raise argparse.ArgumentError(self, f'{EXPECTED}; got {pair!r}: {error}') from error
            options[key] = value
        setattr(namespace, self.dest, options)


def split_pair(pair: str) -> tuple[str, object]:
    """Key and value of ``KEY=VALUE``; ValueError where it is none."""
    key, equals, value = pair.partition('=')
    if not equals:
        raise ValueError('there is no "="')
    if not key or key != ''.join(key.split()):
        raise ValueError(f'{key!r} is no key')
    return key, parse_value(value)


def parse_value(text: str) -> object:
    """``1e-3``, ``true``, ``None``, ``[a,b]``, ``(1,2)``, ``a,b`` or a text.

    Blanks inside a text are kept, those around brackets and commas go. A text in quotes is taken as
    it stands, with its commas.

    Raises:
        ValueError: brackets do not match, or it is a dict.
    """
    inner = text.strip()
    if inner[:1] in ('"', "'") and inner[-1:] == inner[:1] and inner[:1] not in inner[1:-1]:
        quoted = inner[1:-1]
        # some shells hand over the quotes around a list
        return parse_value(quoted) if quoted[:1] in CLOSING else quoted
    if inner.startswith('{') and inner.endswith('}'):
        raise ValueError('a dict is given key by key, KEY.NAME=VALUE')
    if inner[:1] in CLOSING:
        end = next(place for place, depth in _depths(inner) if place > 0 and depth == 0)
        if end == len(inner) - 1:
            values = _split(inner[1:-1])
            return tuple(values) if inner[0] == '(' else values
    return _split(inner) if ',' in inner and _commas(inner) else parse_scalar(text)


def parse_scalar(text: str) -> object:
    """A number, a truth value, None, or the text itself."""
    word = text.strip()
    if word.lower() in ('true', 'false'):
        return word.lower() == 'true'
    if word == 'None':
        return None
    if re.fullmatch(r'[+-]?(0|[1-9][0-9]*)', word):
        return int(word)
    if '_' not in word and not re.fullmatch(r'[+-]?[0-9]+', word):
        try:
            return float(word)
        except ValueError:
            pass
    return text


def _split(text: str) -> list:
    """The elements between commas; brackets and quotes keep theirs."""
    elements, start = [], 0
    for comma in [*_commas(text), len(text)]:
        elements.append(text[start:comma].strip())
        start = comma + 1
    if elements[-1] == '':  # (a,) and []
        elements.pop()
    return [parse_value(element) for element in elements]


def _commas(text: str) -> list[int]:
    """Positions of the commas outside brackets and quotes."""
    return [place for place, depth in _depths(text) if text[place] == ',' and depth == 0]


def _depths(text: str) -> list[tuple[int, int]]:
    """Positions outside quotes, and how many brackets are open behind each; ValueError as above."""
    places, closing, quote, begins = [], [], '', True
    for place, letter in enumerate(text):
        if quote:
            quote = '' if letter == quote else quote
            continue
        if letter in '"\'' and begins and letter in text[place + 1 :]:
            quote = letter
            continue
        if letter in CLOSING:
            closing.append(CLOSING[letter])
        elif letter in CLOSING.values() and (not closing or closing.pop() != letter):
            raise ValueError(f'{letter!r} without its opening bracket')
        places.append((place, len(closing)))
        begins = letter in ',([' or (begins and letter == ' ')
    if closing:
        raise ValueError(f'{closing[-1]!r} is missing')
    return places
