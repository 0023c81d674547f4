"""What the network said about the last images, so that a new threshold does not run it again."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from mmpfcn.apis import PanopticInferencer
from mmpfcn.formats.read_image import decode_image
from mmpfcn.structures import NetworkOutput

Key = tuple[str, str]


class Outputs:
    """Network outputs by the content of the image and the name of the model, within a memory limit.

    The content is the key, not the user: users cannot get each other's results, for the same
    content has the same result, and nothing of a user has to be kept or cleared away.
    """

    def __init__(
        self,
        models: dict[str, PanopticInferencer],  # by name; one network runs at a time
        max_bytes: int,  # of all outputs; the one used longest ago is dropped first
        max_pixels: int,  # of an image
        log: Callable[[str], None],  # gets a line for each run of the network
    ) -> None:
        self.models, self.log = models, log
        self.max_bytes, self.max_pixels = max_bytes, max_pixels
        self._entries: OrderedDict[Key, NetworkOutput] = OrderedDict()
        self._entries_lock, self._network_lock = threading.Lock(), threading.Lock()

    def get(self, content: bytes, name: str, model: str) -> NetworkOutput:
        """The output of a model for an image file; runs the network if it is not there.

        ``name`` is for the ValueError where it is no image, or too large.
        """
        key = (model, sha256(content).hexdigest())
        output = self._find(key)
        if output is None:
            with self._network_lock:
                output = self._find(key)  # another user may have waited with the same image
                if output is None:
                    rule = self.models[model].rule
                    image = decode_image(content, name, self.max_pixels, rule)
                    begin, (height, width) = time.monotonic(), image.shape[:2]
                    output = self.models[model].run_network(image)
                    seconds = time.monotonic() - begin
                    self.log(f'network {model}: {width} x {height} pixels, {seconds:.2f} s')
                    self._keep(key, output)
        return output

    def _find(self, key: Key) -> NetworkOutput | None:
        with self._entries_lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def _keep(self, key: Key, output: NetworkOutput) -> None:
        with self._entries_lock:
            self._entries[key] = output
            total = sum(map(num_bytes, self._entries.values()))
            while total > self.max_bytes and len(self._entries) > 1:
                _, dropped = self._entries.popitem(last=False)
                total -= num_bytes(dropped)


def num_bytes(output: NetworkOutput) -> int:
    tensors = [output.mask_feats, *(maps for level in output.levels for maps in level)]
    # mask_feats and maps of a batch of one have storages of their own
    return output.image.nbytes + sum(tensor.nbytes for tensor in tensors)
