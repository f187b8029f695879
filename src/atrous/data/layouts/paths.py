"""Paths that were written elsewhere, on another machine or for another folder, and where they lead.

Nothing is known of their beginning, so their last parts count.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path

from atrous.data.images import is_image
from atrous.data.layouts.pairs import files_below, plain, split_name

_PICTURES = frozenset("data images image imgs img jpegimages pictures photos".split())


def tails(text: str) -> list[str]:
    """What a path that was written elsewhere may be here: its last parts, from most to fewest.

    Example:
        >>> tails("C:\\\\mine\\\\a\\\\x.jpg")
        ['mine/a/x.jpg', 'a/x.jpg', 'x.jpg']
    """
    parts = [part for part in text.replace("\\", "/").split("/") if part.strip(". ")]
    parts = [part for part in parts if not part.endswith(":")]  # drives
    return ["/".join(parts[at:]) for at in range(len(parts))]


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; a name that no system can hold is not there."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or with a zero in it
        return False


def is_absolute(text: str) -> bool:
    """Whether a path is whole on the system it was written on, Windows or another.

    Example:
        >>> is_absolute("/data/x.jpg"), is_absolute("D:x.jpg"), is_absolute("data/x.jpg")
        (True, True, False)
    """
    return text.startswith(("/", "\\")) or text[1:2] == ":"


class Pictures:
    """The pictures below a folder, to be found by paths that were written elsewhere.

    Of those whose file name agrees, in any case, the one has it whose folders agree in most
    last parts; then the one that lies exactly where the path leads from `base`, the one with
    most folders above it in common with `near`, one whose folders are named by `split`, one in
    a folder called `images` or the like; at last the one in whose folder the others lie deeper.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = [path for path in files_below(root) if is_image(path)]
        self._by_stem: dict[str, list[Path]] = {}
        for path in self.paths:
            self._by_stem.setdefault(_key(path.stem), []).append(path)
        self._by_folder: dict[tuple[str, ...], dict[str, list[Path]]] = {}

    def find(
        self,
        text: str,
        *,
        near: Path | None = None,
        base: Path | None = None,
        split: str = "",
        apart: Path | None = None,
    ) -> list[Path]:
        """The pictures that a path means: none, one, or several that fit equally.

        A path without a picture's suffix means a picture with any. `base` is `near` unless
        given. What lies below `apart` is no picture.
        """
        parts = [part for part in plain(text).replace("\\", "/").split("/") if part.strip(". ")]
        if not parts:
            return []
        *folders, name = parts
        whole = is_image(Path(name))
        found: list[Path] = []
        for called in self._called(_key(Path(name).stem if whole else name), folders):
            found = [p for p in called if not whole or _key(p.name) == _key(name)]
            found = [p for p in found if apart is None or not p.is_relative_to(apart)]
            if found:
                break
        if len(found) < 2:
            return found
        above, start = self._parts(near), self._parts(base or near)
        exact = None if start is None else [*start, *folders]
        fits = [self._fit(path, name, above or [], exact, split) for path in found]
        best = max(fits)
        best_paths = [path for path, fit in zip(found, fits, strict=True) if fit == best]
        return self._highest(best_paths, folders)

    def beside(self, used: Iterable[Path]) -> tuple[Path, ...]:
        """The pictures that lie in the folders of the used ones, and are not used."""
        used = set(used)
        places = {path.parent for path in used}
        return tuple(p for p in self.paths if p.parent in places and p not in used)

    def _called(self, stem: str, folders: list[str]) -> list[list[Path]]:
        """Pictures of a name: those whose folders agree in most last parts, in one less, in none.

        A name that very many share is looked up folder by folder, not file by file.
        """
        key, groups = (stem,), [self._by_stem.get(stem, [])]
        for depth, folder in enumerate(reversed(folders), 1):
            if len(groups[0]) < 2:
                break
            if key not in self._by_folder:
                self._by_folder[key] = {}
                for path in groups[0]:
                    own = self._folders(path)
                    place = own[-depth] if len(own) >= depth else ""
                    self._by_folder[key].setdefault(place, []).append(path)
            if folder not in self._by_folder[key]:
                break
            groups.insert(0, self._by_folder[key][folder])
            key = (folder, *key)
        return groups

    def _folders(self, path: Path) -> list[str]:
        return [plain(part) for part in path.relative_to(self.root).parent.parts]

    def _parts(self, folder: Path | None) -> list[str] | None:
        return self._folders(folder / "x") if folder else None

    def _fit(
        self, path: Path, name: str, above: list[str], exact: list[str] | None, split: str
    ) -> tuple[bool, int, bool, bool, bool]:
        own = self._folders(path)
        return (
            own == exact,
            shared(own, above),
            bool(split) and _says(split, own),
            any(part.lower() in _PICTURES for part in own),
            plain(path.name) == name,
        )

    def _highest(self, paths: list[Path], folders: list[str]) -> list[Path]:
        """The pictures from whose place the path leads to no other one.

        That is the folder from which the path leads to a picture, as far as it agrees.
        """
        depths = [shared(self._folders(path)[::-1], folders[::-1]) for path in paths]
        places = [path.parents[depth] for path, depth in zip(paths, depths, strict=True)]
        every = {*places}
        pairs = zip(paths, places, strict=True)
        return [path for path, place in pairs if every.isdisjoint(place.parents)]


def shared(first: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two sequences have in common at their beginning.

    Example:
        >>> shared("abcd", "abx")
        2
    """
    pairs = zip(first, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def split_in(text: str) -> str:
    """The split that a word of a name says; "" where none does.

    Example:
        >>> split_in("instances_train2017"), split_in("labels")
        ('train', '')
    """
    words = re.split(r"[^A-Za-z]+", text)
    return next((split for word in words if (split := split_name(word))), "")


def split_of(path: Path, root: Path) -> str:
    """The split of a file, by its name, else by the folders that it is in; "" where none says."""
    parts = path.relative_to(root).parts
    return next((split for part in reversed(parts) if (split := split_in(part))), "")


def _says(split: str, folders: list[str]) -> bool:
    """Whether folders are a split's: the outermost called as a split is, else a word in any."""
    called = next((own for folder in folders if (own := split_name(folder))), None)
    return called == split if called else split in map(split_in, folders)


def _key(text: str) -> str:
    return plain(text).casefold()
