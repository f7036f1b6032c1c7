"""Files that are whole or not there: written aside, then renamed."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widenet.errors import InvalidFile


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes the name `path` when the block ends, and goes if the block fails.

    Raises:
        InvalidFile: If the folder does not exist or cannot be written to.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> with written_aside(folder / "note.txt") as aside:
        ...     _ = aside.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['note.txt']
    """
    aside = _open_aside(path)
    try:
        yield aside
        os.replace(aside, path)
    except OSError as error:
        raise InvalidFile(f"{path} cannot be written", error.strerror or type(error).__name__) from error
    finally:
        aside.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise InvalidFile where `path` could not be written, before the work whose result it takes."""
    if path.is_dir():
        raise InvalidFile(f"{path} must name a file", "a folder")
    _open_aside(path).unlink()


def _open_aside(path: Path) -> Path:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=path.suffix, dir=path.parent)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise InvalidFile(f"{path} cannot be written", reason, "Name a file in a folder you can write to") from None
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(name, 0o666 & ~umask)  # mkstemp gives 0o600
    return Path(name)
