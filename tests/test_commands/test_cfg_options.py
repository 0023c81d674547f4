"""Values of --cfg-options arrive as they were typed."""

import argparse

import pytest

from mmpfcn.commands.cfg_options import CfgOptions, parse_value


@pytest.mark.parametrize('text, value', [
    ('/home/a user/two  blanks/', '/home/a user/two  blanks/'),
    ('[fire truck, traffic sign ,dog]', ['fire truck', 'traffic sign', 'dog']),
    ('fire truck,dog', ['fire truck', 'dog']),
    ('fire truck,dog', ['fire truck', 'dog']), ('[]', []), ('["a, b","c"]', ['a, b', 'c']),
    ("'one, two'", 'one, two'), ("'[1,2]'", [1, 2]), ("it's", "it's"), ('a (1)', 'a (1)'),
    ('open (', 'open ('), ('1]', '1]'), ('f(a,b)', 'f(a,b)'), ('(a),(b)', [('a',), ('b',)]),
    ('1e-3', 0.001), ('-7', -7), ('2024_05', '2024_05'), ('007', '007'), ('true', True),
    ('None', None), ('', ''), ('a=b', 'a=b'),
    ('( [1, 2], (a b,) )', ([1, 2], ('a b',))),
])  # fmt: skip
def test_values(text, value):
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize('pair', [
    'a', '=1', 'a b=1', 'a =1', 'a=[1,2', 'a=[(1,2])', 'a=x,(y', 'a={"b":("c",)}',
    'a=' + '[' * 5000 + ']' * 5000,
])  # fmt: skip
def test_what_cannot_be_parsed_is_one_message(pair, refused):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=CfgOptions)
    message = refused(parser.parse_args, '--cfg-options', pair)
    assert 'expected KEY=VALUE pairs' in message
