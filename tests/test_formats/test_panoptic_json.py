"""Everything that is wrong with a panoptic JSON; each flaw: test_datasets/test_bad_input.py."""

import pytest
from helpers.files import edited, read_json
from helpers.panoptic_files import CATEGORIES, write

from mmpfcn.formats.panoptic_json import arrange_classes, problems, read_panoptic_json


def test_all_problems_are_listed_and_the_first_is_raised(tmp_path):
    path = write(tmp_path) / 'panoptic.json'
    assert list(problems(read_json(path))) == []
    content = read_panoptic_json(str(path))
    assert list(content.annotations) == [content.images[0]['id']] == ['image-0']
    categories = [dict(CATEGORIES[0], isthing='1'), *CATEGORIES[1:], dict(CATEGORIES[1])]
    path = write(tmp_path, categories=categories) / 'panoptic.json'
    with edited(path) as content:
        del content['images'][0]['height']
    flaws = list(problems(content))
    assert [flaw.kind for flaw in flaws] == ['field', 'category_id', 'field']
    with pytest.raises(ValueError, match='unusable isthing') as error:
        read_panoptic_json(str(path))
    assert str(error.value).endswith(flaws[0].text)


@pytest.mark.parametrize('number', [0, 255])
def test_labels_are_bytes(number):
    categories = [dict(id=i, name=str(i), isthing=1) for i in range(number)]
    with pytest.raises(ValueError, match=f'has {number} classes, expected 1 to 254'):
        arrange_classes(categories, {}, 'a.json')


@pytest.mark.parametrize(
    'key, field, value, message',
    [('categories', 'id', 10**30, 'categories have the id 1000000'),
     ('categories', 'name', '', 'categories with an unusable name'),
     ('images', 'id', -(2**63) - 1, 'images have the id -9223')],
)  # fmt: skip
def test_ids_are_numbers_of_64_bits_and_names_not_empty(tmp_path, key, field, value, message):
    path = write(tmp_path) / 'panoptic.json'
    with edited(path) as content:
        content[key][0][field] = value
    with pytest.raises(ValueError, match=message):
        read_panoptic_json(str(path))
