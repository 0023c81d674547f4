"""Packaging. The versions of the OpenMMLab packages are not requirements of the package itself.

A user with a working CUDA environment installs with ``pip install -e .`` and keeps the torch, mmcv
and mmdet that are there; mmpfcn/compat.py checks them at import. See requirements/ for the pinned
environment of the tests.
"""

import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_ENTRIES = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Copies configs, tools and the model index to mmpfcn/.mim, where `mim train mmpfcn` looks.

    Not in an editable install: mim looks for them beside the metadata in site-packages only, and
    there they are not. In a clone one calls tools/train.py.
    """

    def run(self):
        super().run()
        if getattr(self, 'editable_mode', False):  # setuptools < 64 has no such attribute
            return
        target = Path(self.build_lib, 'mmpfcn', '.mim')
        shutil.rmtree(target, ignore_errors=True)  # entries deleted since the last build
        target.mkdir(parents=True)
        for entry in MIM_ENTRIES:
            if (ROOT / entry).is_dir():
                ignore = shutil.ignore_patterns('__pycache__')
                shutil.copytree(ROOT / entry, target / entry, ignore=ignore)
            else:
                shutil.copyfile(ROOT / entry, target / entry)


def distribution_extras() -> dict[str, list[str]]:
    """`pip install mmpfcn[onedl]` and `[openmmlab]`: the two sets that compat.py accepts."""
    compat = runpy.run_path(str(ROOT / 'mmpfcn' / 'compat.py'))
    return {
        title.split()[0]: [compat['requirement'](*entry) for entry in packages.values()]
        for title, packages in compat['SUPPORTED'].items()
    }


def pinned(name: str) -> list[str]:
    """The requirements in requirements/``name``.txt, without comments."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text('utf-8').splitlines()
    return [line.split('#')[0].strip() for line in lines if line.split('#')[0].strip()]


setup(
    name='mmpfcn',
    version=runpy.run_path(str(ROOT / 'mmpfcn' / 'version.py'))['__version__'],
    description='Panoptic FCN (CVPR 2021) as a component toolkit for MMDetection',
    long_description=(ROOT / 'README.md').read_text('utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='panoptic segmentation, computer vision, mmdetection',
    packages=find_packages(include=['mmpfcn', 'mmpfcn.*']),
    package_data={'mmpfcn.commands': ['pages/*', 'web/*.css']},
    cmdclass={'build_py': BuildWithMim},
    python_requires='>=3.10,<3.13',
    install_requires=['numpy', 'pillow'],  # both are in every environment that has mmdet
    extras_require={
        **distribution_extras(),
        'tests': pinned('tests'),
        'onnx': pinned('onnx'),
        'openvino': ['openvino>=2025.0'],
        'quantize': [*pinned('onnx'), 'openvino>=2025.0', 'nncf>=3.0'],
        'hub': ['huggingface_hub>=0.24', 'safetensors>=0.4'],
        'tiff': ['tifffile', 'imagecodecs'],
        'timm': ['timm>=1.0.9'],
        'large': ['rasterio>=1.3'],
        'tensorboard': ['tensorboard'],
        'web': ['gradio>=6,<7'],
        'panopticapi': ['panopticapi @ git+https://github.com/cocodataset/panopticapi.git'],
    },
    entry_points={'console_scripts': ['mmpfcn = mmpfcn.__main__:main']},
    zip_safe=False,
)
