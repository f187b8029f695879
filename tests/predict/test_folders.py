import sys
from pathlib import Path

import pytest

from atrous.errors import DataError, RunError
from atrous.predict import folders


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    for name in ("a.jpg", "b/a.jpg", "b/c d.PNG", "b/街道.png", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def plan(inputs, out, **options):
    return folders.plan(folders.pictures(inputs, out), out, **options)


def again(inputs, out, **options):
    """Jobs and, once their files are there, those of the same command."""
    jobs = plan(inputs, out, **options)
    for job in jobs:
        for file in job.files(options.get("wanted", folders.MASKS)):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return jobs, plan(inputs, out, **options)


def masks(inputs, out):
    return {job.mask.relative_to(out).as_posix() for job in plan(inputs, out)}


def test_a_folder_is_searched_through_and_mirrored(pictures, tmp_path):
    assert masks([pictures], tmp_path / "out") == {"a.png", "b/a.png", "b/c d.png", "b/街道.png"}


def test_pictures_and_globs_are_taken_by_name(pictures, tmp_path):
    assert masks([pictures / "a.jpg", f"{pictures}/b/*.png"], tmp_path) == {"a.png", "街道.png"}


def test_the_same_picture_twice_is_one_job(pictures, tmp_path):
    assert len(plan([pictures / "a.jpg", f"{pictures}/*.jpg"], tmp_path)) == 1


@pytest.mark.parametrize("planes", [(), ("sky",)])
@pytest.mark.parametrize(
    ("inputs", "out"),
    [
        (["pictures"], "."),
        (["pictures"], "pictures/masks"),
        (["."], "masks"),
        (["pictures/**/*.*[gG]"], "pictures/masks"),
        (["pictures/*.jpg", "pictures/b/c*"], "pictures"),
        (["pictures/b"], "pictures"),
        (["pictures/b/*"], "pictures/b/masks"),
    ],
)
def test_every_command_that_is_accepted_is_accepted_again(
    pictures, tmp_path, monkeypatch, inputs, out, planes
):
    monkeypatch.chdir(tmp_path)
    (pictures / "b/a.jpg").unlink()
    wanted = folders.Wanted(overlay=bool(planes), confidence=True)
    first, second = again(inputs, Path(out), planes=planes, wanted=wanted)
    assert first == second and first


@pytest.mark.parametrize(
    ("inputs", "out", "wanted"),
    [
        (["pictures"], "pictures", folders.MASKS),
        (["pictures/*"], "pictures", folders.MASKS),
        (["pictures", "out/a"], "out", folders.MASKS),
        (["*/*.jpg"], ".", folders.Wanted(overlay=True)),
    ],
)
def test_what_would_be_taken_for_pictures_the_next_time_is_refused_at_once(
    tmp_path, monkeypatch, inputs, out, wanted
):
    monkeypatch.chdir(tmp_path)
    for name in ("pictures/b.jpg", "pictures/a/b.jpg", "out/a/c.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    if inputs == ["*/*.jpg"]:
        Path("out/a/c.jpg").unlink()
    with pytest.raises(RunError, match="would be one of the pictures when the same command"):
        plan(inputs, Path(out), wanted=wanted)


def test_names_that_differ_in_case_or_form_collide_where_the_disk_takes_them_for_one(
    tmp_path, monkeypatch
):
    for name in ("one/a.jpg", "one/A.bmp", "two/\u00fc.jpg", "two/u\u0308.bmp", "three/b.PNG"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert len(plan([tmp_path / "one"], tmp_path / "out")) == 2
    monkeypatch.setattr(folders, "ONE_CASE", True)
    for name in ("one", "two"):
        with pytest.raises(RunError, match="would be the mask of both"):
            plan([tmp_path / name], tmp_path / "out")
    with pytest.raises(RunError, match="is one of the pictures to predict"):
        plan([tmp_path / "three/b.PNG"], tmp_path / "three")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_the_picture_that_it_leads_to(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.png").touch()
    (tmp_path / "links").mkdir()
    (tmp_path / "links/a.png").symlink_to(tmp_path / "out/a.png")
    for given in (tmp_path / "links", tmp_path / "links/a.png", f"{tmp_path}/links/*"):
        with pytest.raises(RunError, match="is one of the pictures to predict"):
            plan([given], tmp_path / "out")
    (tmp_path / "links/a.jpg").symlink_to(tmp_path / "out/a.png")
    assert len(plan([tmp_path / "links"], tmp_path / "masks")) == 1


def test_two_pictures_for_one_mask_stop_before_the_first_write(pictures, tmp_path):
    with pytest.raises(RunError) as caught:
        plan([pictures / "a.jpg", pictures / "b" / "a.jpg"], tmp_path / "out")
    assert str(pictures / "a.jpg") in str(caught.value)
    assert str(pictures / "b" / "a.jpg") in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_picture_is_never_written_over(pictures):
    with pytest.raises(RunError, match=r"街道\.png: is one of the pictures to predict"):
        plan([pictures], pictures)


@pytest.mark.parametrize("name", ["nowhere.jpg", "empty", "*.webp"])
def test_an_input_without_pictures_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name.replace("*", r"\*")):
        plan([Path(tmp_path) / name], tmp_path / "out")


def test_masks_written_inside_the_folder_of_pictures_are_not_predicted(pictures):
    out = pictures / "masks"
    out.mkdir()
    (out / "a.png").touch()
    assert masks([pictures], out) == {"a.png", "b/a.png", "b/c d.png", "b/街道.png"}


def test_a_glob_through_folders_finds_each_picture_once(pictures, tmp_path):
    (pictures / "b" / "a.jpg").unlink()
    assert len(plan([f"{pictures}/**"], tmp_path)) == 3


def test_planes_of_a_mask_lie_in_a_folder_of_its_name(pictures, tmp_path):
    jobs = plan([pictures], tmp_path / "out", planes=("sky", "road"))
    job = next(job for job in jobs if job.image == pictures / "b" / "c d.PNG")
    folder = tmp_path / "out" / "b" / "c d"
    assert (job.mask, job.planes) == (folder, (folder / "sky.png", folder / "road.png"))
    assert job.overlay == tmp_path / "out" / "overlay" / "b" / "c d.jpg"


def test_planes_that_collide_stop_before_the_first_write(pictures, tmp_path):
    (pictures / "a").mkdir()
    (pictures / "a" / "sky.png.jpg").touch()  # its folder would be the file of a plane
    with pytest.raises(RunError, match=r"sky\.png: would be the mask of both"):
        plan([pictures], tmp_path / "out", planes=("sky",))
    (pictures / "a" / "sky.png.jpg").rename(pictures / "a.png")
    with pytest.raises(RunError, match="would be the mask of both"):
        plan([pictures], tmp_path / "out", planes=("sky",))
    assert not (tmp_path / "out").exists()


def test_a_plane_is_never_written_over_a_picture(pictures):
    (pictures / "a").mkdir()
    (pictures / "a" / "sky.png").touch()
    with pytest.raises(RunError, match=r"sky\.png: is one of the pictures to predict"):
        plan([pictures], pictures, planes=("sky",))
