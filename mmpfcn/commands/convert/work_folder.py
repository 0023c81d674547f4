"""The folder in which a converter works until everything is done.

It is called `<name of the result>.partial`, lies beside the target, and holds::

    recipe.json                  what it was begun with
    records/<png_name>.json      each image's part of the JSON, written after its files
    png/<png_name>               the annotations that are done
    panoptic.json                the merged JSON: there only when every image is done

The last step moves `png` and `panoptic.json` to their names, so what has its name is whole.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmpfcn.formats.atomic_files import write_atomic

MERGED = 'panoptic.json'


class Job(NamedTuple):
    """One image to convert."""

    # COCO image record: `id`, `file_name` and whatever else; plain JSON values. `height` and
    # `width` are added from the annotation where they are absent.
    image: dict
    png_name: str  # `file_name` of the annotation, relative, with forward slashes
    source: tuple  # arguments for reading it; picklable


class Record(NamedTuple):
    """What became of a job."""

    image: dict  # its record in the JSON
    annotation: dict  # its annotation in the JSON
    notes: list[str]  # what had to be put right, for the user
    # kind of annotations -> [how many, names of those that have no pixel]
    left_out: dict[str, list] = {}  # never modified


def load_json(path: Path) -> dict | None:
    """A JSON object; None if there is none or it is torn."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: object) -> None:
    """Write a JSON file that is absent or whole; its folder is made."""
    write_atomic(path, json.dumps(value).encode())


class WorkFolder:
    """What is done of the `target`; inside, `files` get those of the images."""

    def __init__(self, target: Path, files: str = 'png', recipe_name: str = 'recipe.json') -> None:
        self.target = target
        self.path = target.with_name(f'{target.name}.partial')
        self.files = self.path / files
        self._recipe = self.path / recipe_name

    def prepare(self, recipe: dict, overwrite: bool) -> None:
        """Make the folder, or keep what a run of the same recipe left; else SystemExit."""
        found = load_json(self._recipe)
        if self.path.exists() and found != recipe:
            torn = f'.{self._recipe.name}.'  # of a run that was killed at its start
            begun = not self.path.is_dir() or any(
                not path.name.startswith(torn) for path in self.path.iterdir()
            )
            if begun and found is None:
                raise SystemExit(
                    f'error: {self.path} is needed as working folder, but was not made by this '
                    'command: move it away, or choose another --out'
                )
            if begun and not overwrite:
                raise SystemExit(
                    f'error: {self.path} is left from something else (its recipe: {found}, asked '
                    f'for: {recipe}): delete it, or pass --overwrite to replace it'
                )
            remove(self.path)
        write_json(self._recipe, recipe)

    def is_done(self, job: Job) -> bool:
        """Whether an earlier run finished the image."""
        record = load_json(self._record_path(job))
        return record is not None and job.image.items() <= record['image'].items()

    def add(self, job: Job, record: Record) -> None:
        write_json(self._record_path(job), record._asdict())

    def records(self, jobs: Sequence[Job]) -> list[Record]:
        """What became of the jobs, when all are finished; other files are removed.

        They are of a run that was killed, or of images that were taken out before a restart.
        """
        wanted = {self.files / job.png_name for job in jobs}
        for path in [] if self.files == self.path else self.files.rglob('*'):
            if path.is_file() and path not in wanted:
                path.unlink()
        return [Record(**load_json(self._record_path(job))) for job in jobs]

    def leave(self) -> str:
        """Tell how to go on after a failure; a folder in which nothing is done is removed."""
        if any((self.path / 'records').rglob('*.json')):
            return f'What is done is kept in {self.path}: the same command goes on from there.'
        shutil.rmtree(self.path, ignore_errors=True)
        return 'Nothing was written.'

    def _record_path(self, job: Job) -> Path:
        return self.path / 'records' / f'{job.png_name}.json'


def merge(
    work: WorkFolder, records: Sequence[Record], categories: list[dict], recipe: dict
) -> None:
    """Write the JSON into the folder; what is left out of all images stands in its info."""
    total: dict[str, list] = {}
    for record in records:
        for kind, (count, names) in record.left_out.items():
            counted = total.setdefault(kind, [0, []])
            counted[0] += count
            counted[1] += [f'{record.image["file_name"]}: {name}' for name in names]
    left_out = {kind: counted for kind, counted in total.items() if counted[1]}
    whole = dict(
        info=dict(recipe=recipe, **(dict(left_out=left_out) if left_out else {})),
        images=[record.image for record in records],
        annotations=[record.annotation for record in records],
        categories=categories,
    )
    write_json(work.path / MERGED, whole)


def publish(work: WorkFolder) -> None:
    """Put JSON and PNGs under their names. It may be killed anywhere and called again."""
    json_file = work.target.with_name(f'{work.target.name}.json')
    if work.files.is_dir():
        json_file.unlink(missing_ok=True)  # an older one does not fit to the new PNGs
        if work.target.exists():
            remove(work.target)
        work.files.rename(work.target)
    (work.path / MERGED).replace(json_file)
    shutil.rmtree(work.path)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
