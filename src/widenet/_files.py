"""Files that are complete or absent whenever the process ends: written beside their place, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path in the same folder to write to, which takes the place of `path` when the block ends without an error.

    Where the block fails, or is interrupted, what it wrote goes and `path` stays as it was. Errors of the file system
    are left to the caller, who knows what the file is.

    Example:
        >>> import tempfile
        >>> note = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with replaced(note) as aside:
        ...     _ = aside.write_text("whole")
        >>> note.read_text()
        'whole'
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
