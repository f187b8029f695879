"""Near-misses of S1xx, F2xx and P3xx: odd pairs, files and pictures with which nothing is wrong."""

from pathlib import Path

import numpy as np
from PIL import Image as pil
from PIL.PngImagePlugin import PngInfo

from .clean import declare, opened, plan_clean, save, write, write_clean, write_list
from .defects_pairs import pictures_that_nobody_labelled
from .defects_pictures import write_floats
from .forms import (
    FILES,
    FOLDERS,
    LISTED,
    LOSSLESS,
    PLAIN,
    Encoding,
    Layout,
    draw_form,
    places,
)
from .pictures import photograph
from .planted import Kind, Planted

_ENDINGS = ".png .PNG .jpg .JPG .jpeg .jpe .jfif .tif .tiff .bmp .webp".split()
_DEEP = (".png", ".tif")
_END_OF_LINE = (13, 10)  # as grey levels: bytes that line-ending conversion looks for


def more_pictures_than_masks_in_voc(root: Path, rng: np.random.Generator) -> Planted:
    """Pascal VOC's pictures without masks are no mistake."""
    return pictures_that_nobody_labelled(root, rng)._replace(code="S101")


def hidden_files_among_masks(root: Path, rng: np.random.Generator) -> Planted:
    """A Mac and Windows left their files among the masks."""
    clean = write_clean(root, rng, draw_form(rng, encodings=FILES))
    for item in clean.items[:3]:
        item.mask.with_name(f"._{item.mask.name}").write_bytes(b"\0\5\x16\7")
    clean.items[0].mask.with_name(".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    clean.items[0].mask.with_name("Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    return Planted(root, "S102")


def other_files_beside_pictures(root: Path, rng: np.random.Generator) -> Planted:
    """Beside each picture lies what the camera noted, under the same name."""
    clean = write_clean(root, rng, draw_form(rng, encodings=FILES))
    for item in clean.items:
        item.image.with_suffix(".thm").write_bytes(b"\xff\xd8\xff\xd9")
        item.image.with_suffix(".gpx").write_text("<gpx/>")
    return Planted(root, "S103")


def names_that_differ_in_one_letter(root: Path, rng: np.random.Generator) -> Planted:
    """Names are alike but for a letter, an accent or a space, in any case."""
    form = draw_form(rng, layouts=("folder", "split"), encodings=FILES, styles=("numbers",))
    clean = plan_clean(root, rng, form)
    names = ("mare", "mars", "Maré", "ma re", "MARE1", "mare 1", "Māre", "marø", "maro")
    items = []
    for item, name in zip(clean.items, names, strict=True):
        image, mask = (root / place for place in places(form, item.split, name))
        items.append(item._replace(name=name, image=image, mask=mask))
    write(clean._replace(items=tuple(items)))
    return Planted(root, "S104")


def pictures_of_few_colours(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures are PNGs with palettes of some dozens of colours, as drawings are."""
    layouts: tuple[Layout, ...] = ("folder", "split", "undivided")
    encodings: tuple[Encoding, ...] = (*PLAIN, "0/255", "rgb")
    form = draw_form(
        rng, layouts=layouts, encodings=encodings, suffixes=(".png",), depths=(8,), bands=(3,)
    )
    clean = write_clean(root, rng, form)
    colours = int(rng.integers(40, 220))
    for item in clean.items:
        save(pil.fromarray(item.pixels).quantize(colours), item.image)
    return Planted(root, "S105")


def list_from_another_editor(root: Path, rng: np.random.Generator) -> Planted:
    """Lists have blank lines, file names in place of names, and Windows' line ends."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    for split in ("train", "val"):
        file = root / write_list(clean, split, [])
        lines = [item.name + item.image.suffix for item in clean.of(split)]
        file.write_bytes("\r\n".join(["", *lines, "", ""]).encode("utf-8-sig"))
    return Planted(root, "S106")


def same_names_in_both_splits(root: Path, rng: np.random.Generator) -> Planted:
    """Each split counts its pictures from 1."""
    form = draw_form(rng, layouts=FOLDERS, encodings=FILES, styles=("numbers",))
    clean = plan_clean(root, rng, form)
    items = []
    for split in ("train", "val"):
        for i, item in enumerate(clean.of(split), 1):
            image, mask = (root / place for place in places(form, split, f"{i:03}"))
            items.append(item._replace(name=f"{i:03}", image=image, mask=mask))
    write(clean._replace(items=tuple(items)))
    return Planted(root, "S107")


def labelled_pictures_in_no_list(root: Path, rng: np.random.Generator) -> Planted:
    """Two pictures that have masks are in no list."""
    clean = write_clean(root, rng, draw_form(rng, layouts=LISTED, encodings=FILES))
    write_list(clean, "train", [item.name for item in clean.of("train")[:-2]])
    return Planted(root, "S108")


def declaration_from_windows(root: Path, rng: np.random.Generator) -> Planted:
    """`dataset.toml` begins with a byte-order mark, and has comments."""
    form = draw_form(rng, declared=True, encodings=(*PLAIN, "0/1", "rgb"))
    declare(write_clean(root, rng, form), extra="# what is ignored:\nignore_index = 255")
    file = root / "dataset.toml"
    file.write_bytes(file.read_text("utf-8").replace("\n", "\r\n").encode("utf-8-sig"))
    return Planted(root, "S109")


def split_of_one_pair(root: Path, rng: np.random.Generator) -> Planted:
    """There is one picture for validation."""
    form = draw_form(rng, layouts=(*FOLDERS, *LISTED), encodings=FILES)
    clean = plan_clean(root, rng, form)
    write(clean._replace(items=(*clean.of("train"), clean.of("val")[0])))
    return Planted(root, "S110")


def pictures_with_notes_inside(root: Path, rng: np.random.Generator) -> Planted:
    """PNGs hold text, a profile that is none and broken EXIF; their pixels are whole."""
    clean = write_clean(root, rng, draw_form(rng, encodings=FILES, suffixes=(".png",)))
    for item in clean.items:
        notes = PngInfo()
        notes.add_text("Comment", "街道 " * 40)
        notes.add(b"eXIf", b"MM\0*\0\0\0\xff")
        opened(item.image).save(item.image, pnginfo=notes)
    return Planted(root, "F201")


def pictures_with_bytes_after_their_end(root: Path, rng: np.random.Generator) -> Planted:
    """Phones append what they like to a picture, a film for one."""
    form = draw_form(rng, encodings=FILES, suffixes=(".jpg", ".png"))
    clean = write_clean(root, rng, form)
    for item in clean.items:
        item.image.write_bytes(item.image.read_bytes() + b"\0" * 100 + rng.bytes(300))
    return Planted(root, "F202")


def empty_files_that_are_no_pictures(root: Path, rng: np.random.Generator) -> Planted:
    """`.gitkeep` has 0 bytes, and so has a hidden picture."""
    clean = write_clean(root, rng, draw_form(rng, encodings=FILES))
    for folder in {clean.items[0].image.parent, clean.items[0].mask.parent}:
        (folder / ".gitkeep").touch()
        (folder / ".trashed.png").touch()
    return Planted(root, "F203")


def panoramas(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures are very wide, and not large."""
    clean = plan_clean(root, rng, draw_form(rng, encodings=FILES), pairs=6)
    items = [
        item._replace(pixels=np.tile(item.pixels, (1, 12, 1)), labels=np.tile(item.labels, 12))
        for item in clean.items
    ]
    write(clean._replace(items=tuple(items)))
    return Planted(root, "F204")


def pictures_full_of_line_ends(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures are stored without compression, and their grey levels are often 13 and 10."""
    form = draw_form(rng, encodings=FILES, suffixes=(".png", ".bmp"), depths=(8,), bands=(1,))
    clean = write_clean(root, rng, form)
    for item in clean.items:
        grey = np.array(opened(item.image))
        grey[::3, 5:7] = _END_OF_LINE
        grey[1::3, 9] = _END_OF_LINE[1]
        pil.fromarray(grey).save(item.image, compress_level=0)
    return Planted(root, "F205")


def suffixes_of_all_spellings(root: Path, rng: np.random.Generator) -> Planted:
    """Each picture has another suffix, and all are true."""
    return _of_all_formats(root, rng, "F206")


def formats_of_all_kinds(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures of all formats have 8 bits, some with a palette."""
    return _of_all_formats(root, rng, "P301")


def pictures_with_alpha(root: Path, rng: np.random.Generator) -> Planted:
    """Some colour pictures have a palette, some an alpha band that is opaque everywhere."""
    return _of_several_modes(root, rng, "P302")


def fourth_bands_that_are_alpha(root: Path, rng: np.random.Generator) -> Planted:
    """Some pictures have four bands, but the fourth is alpha."""
    return _of_several_modes(root, rng, "P306")


def _of_several_modes(root: Path, rng: np.random.Generator, code: str) -> Planted:
    form = draw_form(rng, encodings=FILES, suffixes=(".png",), depths=(8,), bands=(3,))
    clean = write_clean(root, rng, form)
    for i, item in enumerate(clean.items):
        picture = pil.fromarray(item.pixels)
        save((picture, picture.convert("RGBA"), picture.quantize(200))[i % 3], item.image)
    return Planted(root, code)


def pictures_of_12_bits(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures of 16 bits hold 0 to 4095, as medical ones do."""
    clean = write_clean(root, rng, draw_form(rng, encodings=FILES, suffixes=_DEEP, depths=(16,)))
    for item in clean.items:
        save(pil.fromarray(np.asarray(opened(item.image)) >> 4), item.image)
    return Planted(root, "P303")


def pictures_of_16_bits(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures of 16 bits use the whole range."""
    write_clean(root, rng, draw_form(rng, encodings=FILES, suffixes=_DEEP, depths=(16,)))
    return Planted(root, "P303")


def pictures_of_floats(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures hold floats, some below zero, all finite."""
    write_floats(root, rng)
    return Planted(root, "P304")


def dark_pictures(root: Path, rng: np.random.Generator) -> Planted:
    """Pictures were taken at night: hardly any light, but not none."""
    form = draw_form(rng, encodings=FILES, suffixes=LOSSLESS)
    clean = plan_clean(root, rng, form)
    night = np.float32(rng.uniform(0.03, 0.06))
    items = [
        item._replace(pixels=(photograph(item.scene, clean.look) * night).round().astype(np.uint8))
        for item in clean.items
    ]
    write(clean._replace(items=tuple(items)))
    return Planted(root, "P305")


def _of_all_formats(root: Path, rng: np.random.Generator, code: str) -> Planted:
    layouts: tuple[Layout, ...] = ("folder", "split", "lists", "undivided")
    form = draw_form(rng, layouts=layouts, encodings=FILES, depths=(8,))
    clean = plan_clean(root, rng, form, pairs=len(_ENDINGS))
    items = tuple(
        item._replace(image=item.image.with_suffix(ending))
        for item, ending in zip(clean.items, _ENDINGS, strict=True)
    )
    write(clean._replace(items=items))
    return Planted(root, code)


NEAR = (
    Kind("S101", more_pictures_than_masks_in_voc),
    Kind("S102", hidden_files_among_masks),
    Kind("S103", other_files_beside_pictures),
    Kind("S104", names_that_differ_in_one_letter),
    Kind("S105", pictures_of_few_colours),
    Kind("S106", list_from_another_editor),
    Kind("S107", same_names_in_both_splits),
    Kind("S108", labelled_pictures_in_no_list),
    Kind("S109", declaration_from_windows),
    Kind("S110", split_of_one_pair),
    Kind("F201", pictures_with_notes_inside),
    Kind("F202", pictures_with_bytes_after_their_end),
    Kind("F203", empty_files_that_are_no_pictures),
    Kind("F204", panoramas),
    Kind("F205", pictures_full_of_line_ends),
    Kind("F206", suffixes_of_all_spellings),
    Kind("P301", formats_of_all_kinds),
    Kind("P302", pictures_with_alpha),
    Kind("P306", fourth_bands_that_are_alpha),
    Kind("P303", pictures_of_12_bits),
    Kind("P303", pictures_of_16_bits),
    Kind("P304", pictures_of_floats),
    Kind("P305", dark_pictures),
)
