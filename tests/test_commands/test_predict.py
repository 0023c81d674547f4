"""tools/demo.py as users run it: images, videos, many processes, interruptions, bad input."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import shell, tiny, tiny_inferencer, tiny_run
from helpers.files import file_limit, read_json
from helpers.oracle import ROOT, coco200
from helpers.shell import children, environment, wait_until
from helpers.tiny_inferencer import picture
from pycocotools import mask as coco_mask

from mmpfcn.commands.predict.command import main
from mmpfcn.commands.predict.records import process_of_run
from mmpfcn.commands.predict.videos import Kept
from mmpfcn.formats import read_panoptic_png
from mmpfcn.formats.coco_results import PICTURE_FOLDER, PNG_FOLDER
from mmpfcn.formats.inputs import Input
from mmpfcn.formats.video_file import VideoFile, writable_rate

DEMO = ROOT / 'tools' / 'demo.py'
PROCESSES = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']


@pytest.fixture
def demo(model):
    """Runs the tool in this process: exit status."""

    def run(*arguments) -> int:
        try:
            return main([*model, *map(str, arguments)])
        except SystemExit as error:
            return error.code

    return run


@pytest.fixture(scope='module')
def inferencer_of(tmp_path_factory):
    return tiny_inferencer.inferencer(tmp_path_factory.mktemp('api'))


@pytest.fixture
def photos(tmp_path) -> Path:
    folder = tmp_path / 'photos'
    folder.mkdir()
    for seed in range(3):
        cv2.imwrite(str(folder / f'{seed}.png'), picture(seed=seed))
    return folder


def write_video(path: Path, num_frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 12.5, (96, 64))
    for seed in range(num_frames):
        writer.write(picture(seed=seed))
    writer.release()
    return path


def video_facts(path: Path) -> tuple[float, int, int]:
    """Frames per second, and frames by the header and by reading them."""
    video = cv2.VideoCapture(str(path))
    facts = video.get(cv2.CAP_PROP_FPS), int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    return *facts, sum(1 for _ in iter(lambda: video.read()[0], False))


def records(out: Path) -> list[dict]:
    lines = (line for path in out.glob('records/*.jsonl') for line in path.open())
    return [json.loads(line) for line in lines if line.endswith('\n')]


def test_folder_gives_maps_pictures_and_json(demo, photos, tmp_path):
    out = tmp_path / 'out'
    assert demo(photos, '--out-dir', out, '--instances', '--batch-size', 2) == 0
    content = read_json(out / 'panoptic.json')
    assert [i['file_name'] for i in content['images']] == [str(photos / f'{i}.png') for i in '012']
    assert [c['name'] for c in content['categories']] == tiny_inferencer.CLASSES
    for annotation in content['annotations']:
        ids = read_panoptic_png(str(out / PNG_FOLDER / annotation['file_name']))
        found = dict(zip(*map(np.ndarray.tolist, np.unique(ids, return_counts=True)), strict=True))
        found.pop(0, None)
        assert found == {s['id']: s['area'] for s in annotation['segments_info']}
    assert {p.name for p in (out / PICTURE_FOLDER).iterdir()} == {'0.jpg', '1.jpg', '2.jpg'}
    drawn = cv2.imread(str(out / PICTURE_FOLDER / '0.jpg'))
    assert drawn.shape[0] > 480 and drawn.shape[1] == 720  # enlarged, and a legend below
    assert read_json(out / 'instances.json')


def test_an_image_that_is_named_twice_is_one(demo, photos, tmp_path):
    assert demo(photos / '0.png', photos, '--out-dir', tmp_path / 'out', '--no-pictures') == 0
    assert {p.name for p in (tmp_path / 'out' / PNG_FOLDER).iterdir()} == {'0.png', '1.png', '2.png'}


def test_bad_images_are_named_and_the_others_done(demo, photos, tmp_path, capsys):
    whole = min((coco200() / 'val2017').glob('*.jpg')).read_bytes()
    (photos / 'a.jpg').write_text('no image')
    (photos / 'b.jpg').write_bytes(whole[: len(whole) // 2])
    out = tmp_path / 'out'
    assert demo(photos, tmp_path / 'none.png', '--out-dir', out, '--no-pictures') == 1
    errors = capsys.readouterr().err
    assert '3 images could not be used' in errors
    for text in ('a.jpg is no image', 'b.jpg is cut off', 'none.png is not there'):
        assert text in errors
    assert len(read_json(out / 'panoptic.json')['images']) == 3
    assert not (out / PICTURE_FOLDER).exists()


def test_images_of_odd_kinds(demo, tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    images = dict(
        one=picture()[:1, :1],
        wide=picture(48, 4800)[:40],
        grey=picture()[..., 0],
        alpha=np.dstack([picture(), np.full((64, 96), 9, np.uint8)]),
        deep=picture().astype(np.uint16) * 257,
    )
    for name, image in images.items():
        cv2.imwrite(str(folder / f'{name}.png'), image)
    assert demo(folder, '--out-dir', tmp_path / 'out') == 0
    maps = {name: tmp_path / 'out' / PNG_FOLDER / f'{name}.png' for name in images}
    maps = {name: read_panoptic_png(str(path)) for name, path in maps.items()}
    for name, image in images.items():
        assert maps[name].shape == image.shape[:2]
    assert np.array_equal(maps['alpha'], maps['deep'])


def test_only_what_is_new_is_computed(demo, photos, tmp_path, capsys):
    out = tmp_path / 'out'
    assert demo(photos / '0.png', photos / '1.png', '--out-dir', out) == 0
    before = (out / PNG_FOLDER / '0.png').stat().st_mtime_ns
    cut = next(out.glob('records/*.jsonl'))
    cut.write_text(cut.read_text()[:-20])  # as a killed process leaves it
    assert demo(photos, '--out-dir', out) == 0
    assert '1 of 3 images are finished already' in capsys.readouterr().out
    assert (out / PNG_FOLDER / '0.png').stat().st_mtime_ns == before
    assert len(read_json(out / 'panoptic.json')['images']) == 3
    assert demo(photos, '--out-dir', out) == 0
    cv2.imwrite(str(photos / '2.png'), picture(72, 40, 9))
    assert demo(photos, '--out-dir', out) == 0
    assert '2 of 3 images are finished already' in capsys.readouterr().out
    assert sizes(out)['photos/2.png'] == (72, 40)
    assert stems_by_name(out)[str(photos / '2.png')] == '2.png'


def test_results_of_other_options_are_not_mixed(demo, photos, tmp_path, capsys):
    out = tmp_path / 'out'
    usual = [photos, '--out-dir', out, '--no-pictures']
    assert demo(*usual) == 0
    changed = [*usual, '--cfg-options', 'model.test_cfg.score_thr=0.1']
    assert demo(*changed) == 2
    message = 'holds results with another settings: choose another --out-dir, or --overwrite'
    assert message in capsys.readouterr().err
    assert demo('--overwrite', *changed) == 0


def test_a_damaged_folder_of_results(demo, photos, tmp_path, capsys):
    """A record is computed again, options that can not be read are refused."""
    out = tmp_path / 'out'
    assert demo(photos, '--out-dir', out) == 0
    (file,) = out.glob('records/*.jsonl')
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b'\0' * (len(first) - 1) + b'\n' + b''.join(rest))
    assert demo(photos, '--out-dir', out) == 0
    assert '2 of 3 images are finished already' in capsys.readouterr().out
    (out / 'records' / 'run.json').write_bytes(b'{"checkp')
    assert demo(photos, '--out-dir', out) == 2
    assert 'run.json is damaged' in capsys.readouterr().err
    assert demo(photos, '--out-dir', out, '--overwrite') == 0


def test_which_process_this_is(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv('SLURM_PROCID', '0')
    monkeypatch.setenv('SLURM_NTASKS', '8')
    assert process_of_run() == (0, 1)  # a batch script, not one of srun's processes
    monkeypatch.setenv('SLURM_PROCID', '3')
    monkeypatch.setenv('SLURM_STEP_NUM_TASKS', '8')
    assert process_of_run() == (3, 8)
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert process_of_run() == (1, 2)


def test_records_are_bounded(demo, photos, tmp_path, monkeypatch):
    monkeypatch.setattr('mmpfcn.commands.predict.records.MAX_LINES', 2)
    assert demo(photos, '--out-dir', tmp_path / 'out', '--no-pictures') == 0
    lengths = sorted(len(p.read_text().splitlines()) for p in tmp_path.glob('out/records/*.jsonl'))
    assert lengths == [1, 2]


def test_videos(demo, tmp_path, capsys):
    clip, out = write_video(tmp_path / 'clip.mp4', 6), tmp_path / 'out'
    assert demo(clip, '--out-dir', out) == 0
    assert video_facts(out / 'clip.mp4') == (12.5, 6, 6)
    lines = [json.loads(line) for line in (out / 'clip.jsonl').read_text().splitlines()]
    assert [line['image']['file_name'] for line in lines] == [f'{clip}#{i}' for i in range(6)]
    assert all(line['annotation']['segments_info'] for line in lines)
    assert demo(clip, '--out-dir', out) == 0
    assert 'is finished already' in capsys.readouterr().out
    (tmp_path / 'broken.mp4').write_bytes(b'no video')
    assert demo(tmp_path / 'broken.mp4', '97', '--out-dir', tmp_path / 'none') == 1
    errors = capsys.readouterr().err
    assert 'broken.mp4 can not be read' in errors
    assert 'camera 97 can not be opened: try another number' in errors
    assert not list((tmp_path / 'none').glob('*.mp4'))


def json_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_track_numbers_things_and_keeps_masks(demo, tmp_path, capsys):
    clip = write_video(tmp_path / 'clip.mp4', 4)
    assert demo(tmp_path / '*.mp4', '--track', '--out-dir', tmp_path / 'out') == 0
    for line in json_lines(tmp_path / 'out' / 'clip.jsonl'):
        segments = line['annotation']['segments_info']
        tracks = {s['track_id'] for s in segments if s['category_id'] < tiny.NUM_THINGS}
        assert tracks and 0 not in tracks
        assert {s['track_id'] for s in segments if s['category_id'] >= tiny.NUM_THINGS} <= {0}
        for s in segments:
            assert coco_mask.area(s['segmentation']) == s['area']
    assert demo(clip, '--out-dir', tmp_path / 'out') == 2
    assert 'holds results with another track' in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / 'a.png'), picture())
    assert demo(clip, tmp_path / 'a.png', '--track', '--out-dir', tmp_path / 'none') == 2
    assert '--track follows objects through videos' in capsys.readouterr().err
    assert not (tmp_path / 'none').exists()


def test_a_killed_video_goes_on_with_the_same_ids(demo, model, tmp_path, capsys):
    clip, out, whole = write_video(tmp_path / 'clip.mp4', 60), tmp_path / 'out', tmp_path / 'whole'
    lines = out / 'clip.jsonl'
    run = tiny_run.start('demo.py', clip, '--out-dir', out, '--track', *model, cwd=tmp_path)
    wait_until(lambda: lines.is_file() and len(lines.read_text().splitlines()) > 27, run)
    run.kill()
    run.communicate(timeout=60)
    with lines.open('a') as file:
        file.write('{"half')
    for folder in (out, whole):
        assert demo(clip, '--out-dir', folder, '--track') == 0
    assert re.search('clip.mp4: (25|50) frames are finished already', capsys.readouterr().out)
    assert lines.read_text() == (whole / 'clip.jsonl').read_text()
    assert len(json_lines(lines)) == 60
    for folder in (out, whole):  # the same pictures, without rests of the killed run
        assert sorted(p.name for p in folder.iterdir()) == ['clip.jsonl', 'clip.mp4', 'records']
    assert (out / 'clip.mp4').read_bytes() == (whole / 'clip.mp4').read_bytes()


def test_finished_frames_are_drawn_as_they_were(tmp_path, capsys):
    """With the contrast that the model's rule of pixels gives them."""
    config = tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION)
    config.test_dataloader.dataset.pipeline[0] = dict(type='LoadImage', percentiles=(20, 80))
    config.dump(tmp_path / 'tiny.py')
    checkpoint = tiny_inferencer.write_checkpoint(tmp_path)
    clip, out = write_video(tmp_path / 'clip.mp4', 27), tmp_path / 'out'
    command = [str(clip), '--config', str(tmp_path / 'tiny.py'), '--checkpoint', checkpoint]
    written = []
    for _ in range(2):
        assert main([*command, '--device', 'cpu', '--out-dir', str(out)]) == 0
        written.append([(out / name).read_bytes() for name in ('clip.mp4', 'clip.jsonl')])
        for path in out.glob('records/*.jsonl'):  # as if the end had not been reached
            path.unlink()
        Kept(out, Input(str(clip), 'clip', str(clip))).note(25, None)
    assert 'clip.mp4: 25 frames are finished already' in capsys.readouterr().out
    assert written[0] == written[1]


def test_a_video_that_is_cut_off_is_not_finished(demo, tmp_path, capsys):
    """Its frames are there; a whole one in its place is computed."""
    (tmp_path / 'a[').mkdir()  # with the name of the file, what rich takes for markup
    clip, out = write_video(tmp_path / 'a[' / 'b].avi', 20), tmp_path / 'out'
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    for _ in range(2):
        assert demo(clip, '--out-dir', out) == 1
        told = re.search(r'b\].avi is cut off or damaged: it has (\d+) of 20', capsys.readouterr().err)
        number = int(told[1])
        assert 0 < number < 20 and video_facts(out / 'b].mp4')[1:] == (number, number)
        assert len((out / 'b].jsonl').read_text().splitlines()) == number
    clip.write_bytes(content)
    assert demo(clip, '--out-dir', out) == 0
    assert len((out / 'b].jsonl').read_text().splitlines()) == 20


def test_a_video_whose_size_changes_keeps_the_frames_before(demo, tmp_path, capsys):
    parts = []
    for size in ((96, 64), (64, 96)):
        writer = cv2.VideoWriter(str(tmp_path / 'part.ts'), cv2.VideoWriter_fourcc(*'mp4v'), 10, size)
        for seed in range(7):
            writer.write(picture(*size[::-1], seed=seed))
        writer.release()
        parts.append((tmp_path / 'part.ts').read_bytes())
    clip, out = tmp_path / 'clip.ts', tmp_path / 'out'
    clip.write_bytes(b''.join(parts))
    assert demo(clip, '--track', '--out-dir', out) == 1
    error = capsys.readouterr().err
    assert 'clip.ts changes its size from 96 x 64 to 64 x 96 pixels at frame 7: cut it there' in error
    assert len(json_lines(out / 'clip.jsonl')) == 7 and video_facts(out / 'clip.mp4')[1:] == (7, 7)


def stems_by_name(out: Path) -> dict[str, str]:
    content = read_json(out / 'panoptic.json')
    names = [i['file_name'] for i in content['images']]
    assert len(set(names)) == len(names)
    return dict(zip(names, (a['file_name'] for a in content['annotations']), strict=True))


def sizes(out: Path) -> dict[str, tuple[int, int]]:
    """(H, W) of the map of ids, by the last two parts of the image's name."""
    found = stems_by_name(out).items()
    shapes = {name: read_panoptic_png(str(out / PNG_FOLDER / png)).shape for name, png in found}
    return {'/'.join(Path(name).parts[-2:]): shape for name, shape in shapes.items()}


def test_an_image_is_known_by_its_file_and_not_by_its_stem(demo, photos, tmp_path, capsys):
    """One with the same stem comes before it, in the same folder; then one of another folder."""
    out, other = tmp_path / 'out', tmp_path / 'other'
    assert demo(photos, '--out-dir', out) == 0
    before = (out / PNG_FOLDER / '1.png').stat().st_mtime_ns
    cv2.imwrite(str(photos / '1.jpg'), picture(40, 56, 7))
    assert demo(photos, '--out-dir', out) == 0
    assert '3 of 4 images are finished already' in capsys.readouterr().out
    assert sizes(out) == {f'photos/{i}.png': (64, 96) for i in range(3)} | {'photos/1.jpg': (40, 56)}
    assert (out / PNG_FOLDER / '1.png').stat().st_mtime_ns == before
    other.mkdir()
    cv2.imwrite(str(other / '0.png'), picture(48, 40, 8))
    assert demo(other, '--out-dir', out) == 0
    assert sizes(out) == {'other/0.png': (48, 40)}
    assert demo(photos, other, '--out-dir', out) == 0
    assert '5 of 5 images are finished already' in capsys.readouterr().out
    assert sizes(out)['photos/0.png'] == (64, 96) and sizes(out)['other/0.png'] == (48, 40)


@pytest.mark.parametrize('inputs', ['', '**/*.*', 'list'])
@pytest.mark.parametrize('out', ['results', 'deep/er', 'deep/../results'])
def test_results_inside_the_inputs_are_no_inputs(demo, photos, tmp_path, inputs, out):
    (tmp_path / 'list.txt').write_text(f'{photos}\n')
    given = tmp_path / 'list.txt' if inputs == 'list' else photos / inputs
    for _ in range(3):
        assert demo(given, '--out-dir', photos / out) == 0
        assert len(stems_by_name(photos / out)) == 3


def test_results_do_not_replace_inputs(demo, photos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clip = write_video(tmp_path / 'clip.mp4', 3)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'vis').symlink_to(photos)
    for n in range(3):
        cv2.imwrite(str(photos / f'{n}.jpg'), picture(seed=n))
    cases = (
        ('clip.mp4', '.', 'the result clip.mp4 would take the place of the input clip.mp4'),
        (photos, 'out', 'out/vis/0.jpg would take the place of the input'),
        (photos, photos, 'is an input and the folder of the results'),
        ('before/vis/0.jpg', 'before', 'lies among the results'),
    )
    (tmp_path / 'before' / 'vis').mkdir(parents=True)
    cv2.imwrite('before/vis/0.jpg', picture())
    contents = {path: path.read_bytes() for path in (clip, *photos.iterdir())}
    for given, out, message in cases:
        assert demo(given, '--out-dir', out) == 2
        assert message in capsys.readouterr().err
    assert all(path.read_bytes() == content for path, content in contents.items())
    assert demo(clip, '--out-dir', 'other') == 0


@pytest.mark.parametrize('name', ['x' * 246, 'é' * 123, 'x' * 251, os.fsdecode(b'\xff\xfe')])
def test_any_name(demo, tmp_path, capsys, name):
    folders = [tmp_path / 'a', tmp_path / 'b']
    for folder in folders:
        folder.mkdir()
        cv2.imwrite(str(folder / 'p.png'), picture())
        (folder / 'p.png').rename(folder / f'{name}.png')
    for _ in range(2):
        assert demo(*folders, '--out-dir', tmp_path / 'out') == 0
        assert len(sizes(tmp_path / 'out')) == 2
    clip = write_video(tmp_path / 'clip.mp4', 2).rename(tmp_path / f'{name}.mp4')
    if not name.isprintable():  # OpenCV would end the process
        assert demo(clip, '--out-dir', tmp_path / 'out') == 1
        assert 'is not UTF-8: rename it' in capsys.readouterr().err
        return
    assert demo(clip, '--out-dir', tmp_path / 'out') == 0
    (line,) = tmp_path.glob('out/*.jsonl')
    assert len(line.read_text().splitlines()) == 2


def test_names_stay_below_the_folder(inferencer_of, tmp_path):
    stems = ['../../up', '/abs', 'a/../../b', '..', 'a\0b']
    inputs = [Input(f'n{i}', stem, picture(seed=i)) for i, stem in enumerate(stems)]
    results = inferencer_of(inputs, out_dir=tmp_path / 'deep' / 'er')['predictions']
    assert [result.stem for result in results] == ['up', 'abs', 'a/b', 'image', 'ab']
    outside = [p for p in tmp_path.rglob('*.*') if 'er' not in p.relative_to(tmp_path).parts]
    assert outside == []


@pytest.mark.parametrize('fps', [119.8812, 239.7602, 65.5357, 1000.123, 70000, 1e-5, 29.97])
def test_any_frame_rate_and_bad_videos_do_not_stop_the_others(demo, tmp_path, monkeypatch, fps):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    clip, last = write_video(tmp_path / 'clip.mp4', 3), write_video(tmp_path / 'last.mp4', 2)
    assert writable_rate(fps) == pytest.approx(min(max(fps, 0.01), 65535), rel=0.001)
    with VideoFile(tmp_path / 'rate.mp4', fps) as file:
        file.add(picture())
        file.add(picture(seed=1))
    assert video_facts(tmp_path / 'rate.mp4')[1:] == (2, 2)
    out = tmp_path / 'out'
    (out / 'clip.mp4' / 'in the way').mkdir(parents=True)
    assert demo(tmp_path / 'a.mp4', clip, last, '--out-dir', out, '--no-pictures') == 1
    assert len((out / 'last.jsonl').read_text().splitlines()) == 2


@pytest.mark.parametrize('arguments, message', [
    ('empty --out-dir out', 'there is no image in the folder empty'),
    ('*.nothing --out-dir out', r'no file matches the pattern \*.nothing'),
    ('a.png --out-dir a.png', '--out-dir a.png is a file'),
    ('a.png --out-dir a.png/out', 'error: --out-dir a.png is a file, expected a folder\n$'),
    ('a.png --out-dir /proc/out', '--out-dir /proc/out/panoptic.json can not be .* another --out-dir'),
    ('no.jpg no/more.jpg --out-dir out', 'error: input no.jpg is not there'),
    ('a.png --out-dir out --batch-size 0', '--batch-size 0, expected at least 1'),
    ('a.png --out-dir out --alpha 3', '--alpha 3.0, expected 0 to 1'),
])  # fmt: skip
def test_wrong_arguments(demo, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'empty').mkdir()
    cv2.imwrite('a.png', picture())
    assert demo(*arguments.split()) in (1, 2)
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / 'out').exists()


def test_checkpoint_of_another_model(demo, photos, tmp_path, capsys):
    config = ROOT / 'configs' / 'panoptic_fcn' / 'r18_shapes.py'
    (tmp_path / 'no.pth').write_text('no checkpoint')
    for options, message in (
        (['--config', config], 'belongs to another model than the config'),
        (['--checkpoint', tmp_path / 'no.pth'], 'is no checkpoint'),
        (['--checkpoint', tmp_path / 'none.pth'], 'checkpoint is not a file'),
    ):
        assert demo(photos, '--out-dir', tmp_path / 'out', *options) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / 'out' / 'panoptic.json').exists()


def start(*arguments: object, launcher: list = ()) -> subprocess.Popen:
    env = environment(PYTHONPATH=ROOT)
    return shell.start(sys.executable, *launcher, DEMO, *arguments, env=env)


def test_killed_processes_lose_and_double_nothing(demo, model, tmp_path):
    """Two under torchrun, one of them killed with -9; then one process does the rest."""
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    for seed in range(120):
        cv2.imwrite(str(folder / f'{seed:03d}.png'), picture(seed=seed))
    run = start(folder, '--out-dir', out, *model, launcher=PROCESSES)
    wait_until(lambda: len(list(out.glob('records/*.jsonl'))) == 2 and len(records(out)) > 8, run)
    os.kill(children(run.pid)[0], signal.SIGKILL)
    run.communicate(timeout=60)
    assert run.returncode != 0
    for name in (f'{PNG_FOLDER}/.119.png.abcd1234', 'vis/.119.jpg.a_b2c3d4'):
        (out / name).touch()  # as if it had been killed while it wrote them
    done = len(records(out))
    assert 8 < done < 120 and not (out / 'panoptic.json').exists()
    assert demo(folder, '--out-dir', out) == 0
    counts = Counter(record['stem'] for record in records(out))
    assert counts == Counter(f'{seed:03d}' for seed in range(120))
    content = read_json(out / 'panoptic.json')
    assert [Path(i['file_name']).stem for i in content['images']] == sorted(counts)
    for annotation in content['annotations']:
        ids = read_panoptic_png(str(out / PNG_FOLDER / annotation['file_name']))
        assert set(np.unique(ids)) - {0} == {s['id'] for s in annotation['segments_info']}
    names = [p.name for p in out.rglob('*')]
    assert not [name for name in names if name.startswith('.')]


def test_two_processes_share_the_images(model, photos, tmp_path):
    out = tmp_path / 'out'
    command = 'demo.py', photos, '--out-dir', out, '--no-pictures', *model
    ranks = [dict(RANK=str(rank), WORLD_SIZE='2') for rank in range(2)]  # as torchrun says it
    for run in [tiny_run.start(*command, cwd=tmp_path, **rank) for rank in ranks]:
        tiny_run.finish(run)
    files = out.glob('records/*.jsonl')
    shares = sorted([json.loads(line)['stem'] for line in path.open()] for path in files)
    assert shares == [['0', '2'], ['1']]
    assert len(read_json(out / 'panoptic.json')['images']) == 3


def test_ctrl_c_during_a_video_leaves_one_that_plays(model, tmp_path):
    clip, out = write_video(tmp_path / 'clip.mp4', 400), tmp_path / 'out'
    run = start(clip, '--out-dir', out, *model)
    lines = out / 'clip.jsonl'
    wait_until(lambda: lines.is_file() and len(lines.read_text().splitlines()) > 5, run)
    run.send_signal(signal.SIGINT)
    output = run.communicate(timeout=60)[0]
    assert run.returncode == 130 and 'stopped. What was finished is in' in output
    assert 'Traceback' not in output
    fps, by_header, frames = video_facts(out / 'clip.mp4')
    assert fps == 12.5 and 5 < frames == by_header < 400
    assert abs(len(lines.read_text().splitlines()) - frames) <= 1
    assert not list(out.glob('.*'))


def test_a_full_disk_leaves_whole_lines_of_a_video(demo, tmp_path, capsys):
    """The same command goes on behind them."""
    clip, lines = write_video(tmp_path / 'clip.mp4', 40), tmp_path / 'out' / 'clip.jsonl'
    assert demo(clip, '--no-pictures', '--out-dir', tmp_path / 'whole') == 0
    whole = (tmp_path / 'whole' / 'clip.jsonl').read_bytes()
    with file_limit(len(whole) * 3 // 4):
        assert demo(clip, '--no-pictures', '--out-dir', tmp_path / 'out') == 1
    assert 'clip.jsonl could not be written: the disk is full' in capsys.readouterr().err
    assert whole.startswith(lines.read_bytes()) and lines.read_bytes().endswith(b'\n')
    assert 25 < len(json_lines(lines)) < 40
    assert demo(clip, '--no-pictures', '--out-dir', tmp_path / 'out') == 0
    assert '25 frames are finished already' in capsys.readouterr().out
    assert lines.read_bytes() == whole


def test_full_disk(demo, photos, tmp_path, capsys):
    """A limit on the size of files stands for it: pictures of 100 kB do not fit, maps do."""
    cv2.imwrite(str(photos / '1.png'), picture(640, 960, 1))
    with file_limit(60_000):
        assert demo(photos, '--out-dir', tmp_path / 'out') == 1
    output = ''.join(capsys.readouterr())
    assert 'What was finished is kept; the same command goes on' in output
    assert 'Traceback' not in output
    assert not [p for p in (tmp_path / 'out').rglob('*') if p.name.startswith('.')]
