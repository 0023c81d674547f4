"""What the HTML pages share."""

import base64

import cv2
import numpy as np
from markupsafe import Markup

from mmpfcn.commands.page import html_part, thumbnail


def test_pages_and_thumbnails():
    sections = {'a part': lambda: Markup('<p>text</p>')}
    page = html_part('macros.html', 'page', 'a <b> & c', 'note', sections)
    assert '<title>a &lt;b&gt; &amp; c</title>' in page and '<p>text</p>\n</section>' in page
    assert 'http' not in page and '<script' not in page
    color = html_part('macros.html', 'chip', np.array([1, 2, 3]))
    assert color == '<span class="chip" style="background: rgb(1, 2, 3)"></span>'
    picture = np.full((50, 200, 3), (200, 100, 50), np.uint8)
    kind, _, data = thumbnail(picture, 100).partition(',')
    assert kind == 'data:image/jpeg;base64'
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image.shape == (25, 100, 3) and abs(image.astype(int) - picture[0, 0]).max() <= 4
