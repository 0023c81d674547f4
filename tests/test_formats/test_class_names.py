"""Names by label are the same ones in the same order, or a table says which are not."""

import pytest

from mmpfcn.formats.class_names import class_names, compare_class_names, other_names_allowed


@pytest.mark.parametrize('meta, names', [
    (dict(CLASSES=('a', 'b')), ['a', 'b']),
    (dict(thing_classes=['a'], stuff_classes=['b']), ['a', 'b']),
    (dict(thing_classes=['a']), ['a']),
    (dict(palette=[]), None),
])  # fmt: skip
def test_names_of_metainfo(meta, names):
    assert class_names(meta) == names


def test_names_are_compared_unless_a_config_allows_others():
    compare_class_names('one', ['a', 'b'], 'other', ('a', 'b'))
    compare_class_names('one', ['a'], 'other', None)
    with pytest.raises(ValueError, match=r'(?s)of one and of other .*\| 1 .*b .*\(none\)') as error:
        compare_class_names('one', ['a', 'b'], 'other', ['a'])
    assert '| 0 ' not in str(error.value)
    many = [str(i) for i in range(30)]
    with pytest.raises(ValueError, match='and 10 more labels'):
        compare_class_names('one', many, 'other', [f'x{name}' for name in many])
    hook = dict(type='ClassCountHook')
    assert not other_names_allowed(None) and not other_names_allowed([hook])
    assert other_names_allowed([dict(type='EMAHook'), dict(hook, allow_other_names=True)])
