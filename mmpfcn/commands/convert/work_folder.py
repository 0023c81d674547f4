"""The folder in which a converter works until everything is done.

It is called `<name of the JSON>.partial`, lies beside the target, and holds::

    recipe.json                  what it was begun with
    png/<png_name>               the annotations that are done
    records/<png_name>.json      each image's part of the JSON, written after its PNG
    panoptic.json                the merged JSON: there only when every image is done

The last step moves `png` and `panoptic.json` to their names, so what has its name is whole.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Job(NamedTuple):
    """One image to convert.

    Attributes:
        image: COCO image record: `id`, `file_name` and whatever else; plain JSON values. `height`
            and `width` are added from the annotation where they are absent.
        png_name: `file_name` of the annotation, relative, with forward slashes.
        source: Arguments for reading it; picklable.
    """

    image: dict
    png_name: str
    source: tuple


class Record(NamedTuple):
    """What became of a job: its part of the JSON, and what had to be put right (for the user)."""

    image: dict
    annotation: dict
    notes: list[str]


def load_json(path: Path) -> dict | None:
    """A JSON object; None if there is none or it is torn."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def write_json(path: Path, value: object) -> None:
    """Write a JSON file that is absent or whole; its folder is made."""
    from mmpfcn.formats.panoptic_png import write_atomic

    write_atomic(path, json.dumps(value).encode())


class WorkFolder:
    """The working folder for a JSON."""

    def __init__(self, json_file: Path) -> None:
        self.json_file = json_file
        self.png_target = json_file.with_suffix('')
        self.path = json_file.with_name(f'{self.png_target.name}.partial')
        self.png = self.path / 'png'
        self.merged = self.path / 'panoptic.json'

    def prepare(self, recipe: dict, overwrite: bool) -> None:
        """Make the folder, or keep what a run of the same recipe left.

        Raises:
            SystemExit: It was begun with another recipe, or is not from here.
        """
        found = load_json(self.path / 'recipe.json')
        if self.path.exists() and found != recipe:
            begun = any(self.path.iterdir()) if self.path.is_dir() else True
            if begun and not overwrite:
                raise SystemExit(
                    f'error: {self.path} is left from something else (its recipe: {found}, asked '
                    f'for: {recipe}): delete it, or pass --overwrite to replace it'
                )
            _remove(self.path)
        write_json(self.path / 'recipe.json', recipe)

    def is_done(self, job: Job) -> bool:
        """Whether an earlier run finished the image."""
        record = load_json(self._record_path(job))
        return record is not None and job.image.items() <= record['image'].items()

    def add(self, job: Job, record: Record) -> None:
        """Note that the image is finished."""
        write_json(self._record_path(job), record._asdict())

    def merge(self, jobs: Sequence[Job], categories: list[dict], recipe: dict) -> list[Record]:
        """Write `panoptic.json` from the records of all jobs."""
        records = [Record(**load_json(self._record_path(job))) for job in jobs]
        wanted = {self.png / job.png_name for job in jobs}
        for path in self.png.rglob('*'):
            # Of a run that was killed, or of an image that was taken out before a restart.
            if path.is_file() and path not in wanted:
                path.unlink()
        whole = dict(
            info=dict(recipe=recipe),
            images=[record.image for record in records],
            annotations=[record.annotation for record in records],
            categories=categories,
        )
        write_json(self.merged, whole)
        return records

    def publish(self) -> None:
        """Put the result under its name. It may be killed anywhere and called again."""
        if self.png.is_dir():
            self.json_file.unlink(missing_ok=True)  # an older one does not fit to the new PNGs
            if self.png_target.exists():
                _remove(self.png_target)
            self.png.rename(self.png_target)
        self.merged.replace(self.json_file)
        shutil.rmtree(self.path)

    def leave(self) -> str:
        """Tell how to go on after a failure; a folder in which nothing is done is removed."""
        if any((self.path / 'records').rglob('*.json')):
            return f'What is done is kept in {self.path}: the same command goes on from there.'
        shutil.rmtree(self.path, ignore_errors=True)
        return 'Nothing was written.'

    def _record_path(self, job: Job) -> Path:
        return self.path / 'records' / f'{job.png_name}.json'


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
