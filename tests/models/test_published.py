"""Imported weights give the logits of the network that they come from."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

import atrous
from atrous.bench import SIZE, Contender
from atrous.cli import app
from atrous.data.dataset import open_dataset
from atrous.errors import DataError, RecipeError, RunError, WeightsError
from atrous.export.facts import manifest_of, source_of
from atrous.losses import at_pixels
from atrous.models.published import Imported, deeplab_pytorch, import_weights
from atrous.models.published.encoders import RESNETS, resnet_name
from atrous.predict.engines.torch import TorchEngine
from atrous.runs import read_model, weights_file

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
CAFFE_BGR = torch.tensor([104.008, 116.669, 122.675])
FCN_BGR = torch.tensor([104.00698793, 116.66876762, 122.67891434])
ODD, EVEN = (65, 91), (64, 96)
NO_PEER = "the peers to compare with are not installed (dependency group parity)"


@pytest.fixture(autouse=True)
def _same_weights_each_time():
    """Peers draw their weights from torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def folder():
    """Gone afterwards: pytest keeps its own, and these hold hundreds of megabytes."""
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


def picture(size, seed=0):
    """Soft blobs of colour and some noise: of noise alone deep features would hold little."""
    random = torch.Generator().manual_seed(size[0] + 1000 * seed)
    blobs = F.interpolate(torch.rand(1, 3, 5, 6, generator=random), size=size, mode="bicubic")
    noise = torch.randn(1, 3, *size, generator=random)
    pixels = (255 * blobs + 8 * noise).clamp(0, 255)
    return pixels.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def normalised(image):
    return ((image / 255 - MEAN) / STD).permute(0, 3, 1, 2)


def our_logits(run, image):
    engine = atrous.load(run).engine
    logits = torch.from_numpy(engine(image.numpy()))
    height, width = image.shape[1:3]
    return at_pixels(logits, grid=engine.grid, size=(height, width))


def assert_same(run, theirs, sizes):
    """`theirs` gives logits at the pixels of a picture; they must be neither flat nor huge."""
    for size in sizes:
        image = picture(size)
        with torch.inference_mode():
            expected = theirs(image)
        assert expected.shape[2:] == size
        assert expected.std((2, 3)).max() > 0.02 and expected.abs().max() < 10
        torch.testing.assert_close(our_logits(run, image), expected, rtol=0, atol=1e-4)


@torch.no_grad()
def lived_in(model, classifier, sizes, pictures=2):
    """Random batch norms with statistics near those of a picture: else signals vanish or grow.

    What a residual block adds is small, as in trained networks, so that rounding stays small.
    The classifier is scaled so that the largest logit in pictures of `sizes` is 2.
    """
    random = torch.Generator().manual_seed(0)
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for name, norm in norms.items():
        last = name.endswith("bn3") or (name.endswith("bn2") and f"{name[:-1]}3" not in norms)
        gain = 0.3 if last else 1.0
        norm.weight.copy_(gain * (0.6 + 0.8 * torch.rand(norm.num_features, generator=random)))
        norm.bias.copy_(0.2 * torch.randn(norm.num_features, generator=random))
        norm.momentum = 1.0
    model.train()(normalised(torch.cat([picture(EVEN, seed) for seed in range(pictures)])))
    for norm in norms.values():
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        variance.mul_(0.8 + 0.4 * torch.rand(norm.num_features, generator=random))
        variance.add_(0.1 * mean.square())  # two pictures are few for image pooling
    logits = [model.eval()(normalised(picture(size))) for size in sizes]
    scale = 2 / max((x["out"] if isinstance(x, dict) else x).abs().max() for x in logits)
    classifier.weight.mul_(scale)
    classifier.bias.mul_(scale)
    return model


# torchvision


@pytest.mark.parametrize(
    ("name", "num_classes", "aux"),
    [
        ("fcn_resnet50", 21, True),
        ("fcn_resnet101", 5, False),
        ("deeplabv3_resnet50", 5, False),
        ("deeplabv3_resnet101", 21, False),
        ("deeplabv3_mobilenet_v3_large", 21, True),
    ],
)
def test_torchvision_gives_the_same_logits(name, num_classes, aux, folder):
    networks = pytest.importorskip("torchvision.models.segmentation", reason=NO_PEER)
    build = getattr(networks, name)
    model = build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=aux)
    sizes, pictures = (ODD, EVEN), 4 if "mobilenet" in name else 2
    lived_in(model, model.classifier[-1], sizes, pictures)
    torch.save(model.state_dict(), folder / "theirs.pth")
    imported = import_weights(folder / "theirs.pth", origin="torchvision", out=folder / "run")
    assert len(imported.classes) == num_classes
    assert_same(folder / "run", lambda image: model(normalised(image))["out"], sizes)
    if aux and "mobilenet" not in name:
        engine = atrous.load(folder / "run").engine
        assert isinstance(engine, TorchEngine)
        with torch.inference_mode():
            aux = engine.model.eval().supervised(picture(ODD))[1]
            ours = at_pixels(aux.logits, grid=aux.grid, size=ODD)
            theirs = model(normalised(picture(ODD)))["aux"]
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_auxiliary_head_of_a_mobilenet_is_left_out_and_said(mobile, folder):
    imported = import_weights(mobile, origin="torchvision", out=folder / "run")
    assert "auxiliary" in imported.notes[0]


# segmentation-models-pytorch


def test_weights_learn_the_names_of_their_classes_from_a_data_set(smp, folder, shapes):
    model = smp.DeepLabV3("resnet18", encoder_weights=None, classes=3)
    torch.save(model.state_dict(), folder / "theirs.pth")
    options = {"origin": "smp", "out": folder / "run"}
    imported = import_weights(folder / "theirs.pth", data=shapes, **options)
    assert imported.classes.names == ("grass", "disc", "square")
    assert atrous.load(folder / "run").classes == imported.classes
    dataset = open_dataset(shapes)
    assert dataset.notes and imported.notes[-len(dataset.notes) :] == dataset.notes
    assert json.loads((folder / "run/dataset.json").read_text()) == dataset.record()
    model = smp.DeepLabV3("resnet18", encoder_weights=None, classes=4)
    torch.save(model.state_dict(), folder / "other.pth")
    with pytest.raises(DataError, match=r"3 logits .*the network has 4"):
        import_weights(folder / "other.pth", origin="smp", out=folder / "other", data=shapes)


@pytest.fixture(scope="module")
def smp():
    return pytest.importorskip("segmentation_models_pytorch", reason=NO_PEER)


def smp_model(smp, kind, encoder, **options):
    model = getattr(smp, kind)(encoder, encoder_weights=None, **options)
    return lived_in(model, model.segmentation_head[0], (EVEN,))


@pytest.mark.parametrize("kind", ["DeepLabV3", "DeepLabV3Plus"])
@pytest.mark.parametrize(
    ("encoder", "classes"),
    [("resnet18", 1), ("resnet34", 4), ("resnet50", 21), ("tu-efficientnet_lite0", 11)],
)
def test_smp_gives_the_same_logits(smp, kind, encoder, classes, folder):
    model = smp_model(smp, kind, encoder, classes=classes)
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "theirs.pth")
    imported = import_weights(folder / "theirs.pth", origin="smp", out=folder / "run")
    assert imported.classes.task == ("binary" if classes == 1 else "multiclass")
    assert "defaults" in imported.notes[0]
    assert ("tu-tf_efficientnet_lite0" in str(imported.notes)) == encoder.startswith("tu-")
    assert_same(folder / "run", lambda image: model(normalised(image)), (EVEN, (80, 64)))


def test_what_smp_writes_beside_a_file_tells_stride_and_rates(smp, folder):
    options = {"encoder_output_stride": 16, "decoder_atrous_rates": (3, 6, 9)}
    model = smp_model(smp, "DeepLabV3", "resnet18", decoder_aspp_separable=True, **options)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = json.dumps({**options, "_model_class": "DeepLabV3"})
    (folder / "config.json").write_text(config)
    imported = import_weights(folder / "model.safetensors", origin="smp", out=folder / "run")
    assert imported.notes == ("Output stride 16 and rates 3, 6, 9 are those of config.json.",)
    assert_same(folder / "run", lambda image: model(normalised(image)), (EVEN,))
    (folder / "config.json").write_text(config.replace("DeepLabV3", "DeepLabV3Plus"))
    with pytest.raises(WeightsError, match="DeepLabV3Plus"):
        import_weights(folder / "model.safetensors", origin="smp", out=folder / "other")


def test_older_names_of_smp_and_of_lightning_are_known(smp, folder):
    model = smp_model(smp, "DeepLabV3", "resnet18", classes=2)
    older = {"decoder.aspp": "decoder.0", "decoder.conv": "decoder.1", "decoder.bn": "decoder.2"}
    tensors = {}
    for key, tensor in model.state_dict().items():
        name = next((key.replace(new, old) for new, old in older.items() if new in key), key)
        tensors[f"model.{name}"] = tensor
    torch.save({"state_dict": tensors}, folder / "theirs.ckpt")
    import_weights(folder / "theirs.ckpt", origin="smp", out=folder / "run")
    assert_same(folder / "run", lambda image: model(normalised(image)), (EVEN,))


@pytest.mark.parametrize("name", RESNETS)
def test_a_resnet_is_told_by_its_shapes(name):
    import timm

    with torch.device("meta"):
        tensors = timm.create_model(name).state_dict()
    assert resnet_name({f"encoder.{key}": t for key, t in tensors.items()}, "encoder.") == name


# pytorch-fcn: the published definition, written out.

VGG = [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]
FC = 48  # 4096 as published; the file says
SCALES = (0.002, 0.001, 0.0005)  # of the last layer: logits about 1


def random_layer(random, *shape, bias=True):
    scale = (2 / np.prod(shape[1:])) ** 0.5
    layer = {"weight": scale * torch.randn(*shape, generator=random)}
    return layer | ({"bias": 0.1 * torch.randn(shape[0], generator=random)} if bias else {})


def fcn_weights(skips, num_classes):
    """The keys of their checkpoints; the trunk is the same for all three networks."""
    random, channels, layers = torch.Generator().manual_seed(0), 3, {}
    for block, maps in enumerate(VGG, 1):
        for i, width in enumerate(maps, 1):
            layers[f"conv{block}_{i}"] = random_layer(random, width, channels, 3, 3)
            channels = width
    layers["fc6"] = random_layer(random, FC, 512, 7, 7)
    layers["fc7"] = random_layer(random, FC, FC, 1, 1)
    layers["score_fr"] = random_layer(random, num_classes, FC, 1, 1)
    for pool, width in (("pool4", 512), ("pool3", 256))[:skips]:
        layers[f"score_{pool}"] = random_layer(random, num_classes, width, 1, 1)
    ups = (("upscore", 64),), (("upscore2", 4), ("upscore16", 32))
    for name, side in (*ups, (("upscore2", 4), ("upscore_pool4", 4), ("upscore8", 16)))[skips]:
        up = torch.randn(num_classes, num_classes, side, side, generator=random)
        layers[name] = {"weight": up * (SCALES[skips] if side > 4 else num_classes**-0.5)}
    return {f"{name}.{part}": t for name, layer in layers.items() for part, t in layer.items()}


def fcn_logits(weights, skips, image):
    """FCN-32s, 16s, 8s as published: padding 100, crops 5, 9 and 19, 27, 31."""

    def conv(name, x, padding=0):
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=padding)

    def up(name, x, stride):
        return F.conv_transpose2d(x, weights[f"{name}.weight"], stride=stride)

    def cut(x, begin, like):
        height, width = like.shape[2:]
        return x[:, :, begin : begin + height, begin : begin + width]

    x = picture_bgr = (image.flip(3).float() - FCN_BGR).permute(0, 3, 1, 2)
    pools = []
    for block, maps in enumerate(VGG, 1):
        for i in range(1, len(maps) + 1):
            x = conv(f"conv{block}_{i}", x, padding=100 if (block, i) == (1, 1) else 1).relu()
        x = F.max_pool2d(x, 2, 2, ceil_mode=True)
        pools.append(x)
    x = conv("score_fr", conv("fc7", conv("fc6", x).relu()).relu())
    if skips == 0:
        return cut(up("upscore", x, 32), 19, picture_bgr)
    x = up("upscore2", x, 2)
    x = x + cut(conv("score_pool4", pools[3]), 5, x)
    if skips == 1:
        return cut(up("upscore16", x, 16), 27, picture_bgr)
    x = up("upscore_pool4", x, 2)
    x = x + cut(conv("score_pool3", pools[2]), 9, x)
    return cut(up("upscore8", x, 8), 31, picture_bgr)


@pytest.mark.parametrize(("skips", "num_classes"), [(0, 21), (1, 3), (2, 21)])
def test_pytorch_fcn_gives_the_logits_of_its_definition(skips, num_classes, folder):
    weights = fcn_weights(skips, num_classes)
    # The form of their time, in which no zip file was.
    torch.save(weights, folder / "fcn.pth", _use_new_zipfile_serialization=False)
    imported = import_weights(folder / "fcn.pth", origin="pytorch-fcn", out=folder / "run")
    assert ("FCN8sAtOnce" in str(imported.notes)) == (skips == 2)
    assert imported.inexact == ()
    assert imported.to_dict()["rules"]["mean"] == [122.679, 116.669, 104.007]
    sizes = ((21, 47), (40, 33))
    assert_same(folder / "run", lambda image: fcn_logits(weights, skips, image), sizes)


# deeplab-pytorch: the published definition, written out.

BLOCKS = (3, 4, 23, 3)


def deeplab_weights(num_classes):
    """The keys of their checkpoints; the last layer of a block is small, so that sums stay so."""
    random, tensors = torch.Generator().manual_seed(0), {}

    def unit(name, *shape, gain=1.0):
        tensors[f"{name}.conv.weight"] = random_layer(random, *shape, bias=False)["weight"]
        noise = torch.rand(3, shape[0], generator=random)
        tensors[f"{name}.bn.weight"] = gain * (0.6 + 0.8 * noise[0])
        tensors[f"{name}.bn.bias"] = 0.1 * noise[1]
        tensors[f"{name}.bn.running_mean"] = 0.1 * torch.randn(shape[0], generator=random)
        tensors[f"{name}.bn.running_var"] = 0.8 + 0.4 * noise[2]

    unit("base.layer1.conv1", 64, 3, 7, 7, gain=1 / 64)  # pixels are in 0-255
    channels = 64
    for layer, blocks in enumerate(BLOCKS, 2):
        maps = 64 * 2**layer
        for block in range(1, blocks + 1):
            name = f"base.layer{layer}.block{block}"
            unit(f"{name}.reduce", maps // 4, channels, 1, 1)
            unit(f"{name}.conv3x3", maps // 4, maps // 4, 3, 3)
            unit(f"{name}.increase", maps, maps // 4, 1, 1, gain=0.3)
            if block == 1:
                unit(f"{name}.shortcut", maps, channels, 1, 1, gain=0.7)
            channels = maps
    for i in range(4):
        layer = random_layer(random, num_classes, 2048, 3, 3)
        tensors |= {f"base.aspp.c{i}.{part}": 0.3 * tensor for part, tensor in layer.items()}
    return tensors


def deeplab_base(weights, x):
    """DeepLab v2 at stride 8: stride in a stage's first 1x1, all of layer4 and 5 dilated."""

    def unit(name, x, **options):
        x = F.conv2d(x, weights[f"{name}.conv.weight"], **options)
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(weights[f"{name}.bn.{part}"] for part in parts))

    x = unit("base.layer1.conv1", x, stride=2, padding=3).relu()
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    first_strides, rates = (1, 2, 1, 1), (1, 1, 2, 4)
    for i, blocks in enumerate(BLOCKS):
        layer, first, rate = i + 2, first_strides[i], rates[i]
        for block in range(1, blocks + 1):
            name, stride = f"base.layer{layer}.block{block}", first if block == 1 else 1
            h = unit(f"{name}.reduce", x, stride=stride).relu()
            h = unit(f"{name}.conv3x3", h, padding=rate, dilation=rate).relu()
            h = unit(f"{name}.increase", h)
            x = (h + (unit(f"{name}.shortcut", x, stride=stride) if block == 1 else x)).relu()
    branches = []
    for i, rate in enumerate((6, 12, 18, 24)):
        layer = (weights[f"base.aspp.c{i}.{part}"] for part in ("weight", "bias"))
        branches.append(F.conv2d(x, *layer, padding=rate, dilation=rate))
    return torch.stack(branches).sum(0)


def deeplab_logits(weights, image):
    """The largest of three scales, at the cells of the largest, then at the picture's pixels."""
    x = (image.flip(3).float() - CAFFE_BGR).permute(0, 3, 1, 2)
    logits = deeplab_base(weights, x)
    scaled = [F.interpolate(x, scale_factor=s, mode="bilinear") for s in (0.5, 0.75)]
    others = [
        F.interpolate(deeplab_base(weights, s), size=logits.shape[2:], mode="bilinear")
        for s in scaled
    ]
    return F.interpolate(torch.stack([logits, *others]).amax(0), size=x.shape[2:], mode="bilinear")


OLD_AND_NEW = (
    "layer1.conv1.conv.weight",
    "layer2.block1.shortcut.bn.running_var",
    "layer5.block3.increase.bn.bias",
    "aspp.c3.bias",
)


def older_key(key):
    key = key.replace("base.", "scale.").replace("shortcut", "proj")
    return key.replace("aspp.c", "aspp.stages.c")


def test_deeplab_pytorch_gives_the_logits_of_its_definition(folder):
    weights = deeplab_weights(21)
    torch.save(weights, folder / "deeplab.pth")
    import_weights(folder / "deeplab.pth", origin="deeplab-pytorch", out=folder / "run")
    assert_same(folder / "run", lambda image: deeplab_logits(weights, image), (ODD, (70, 57)))


@pytest.mark.parametrize("older", [older_key, lambda key: key.removeprefix("base.")])
def test_older_names_of_deeplab_pytorch_are_known(older):
    keys = [f"base.{key}" for key in OLD_AND_NEW]
    tensors = {older(key): torch.zeros(2) for key in keys}
    assert list(deeplab_pytorch.recognise(tensors, Path("older.pth")).tensors) == keys


# What a run of imported weights is


@pytest.fixture(scope="module")
def mobile(tmp_path_factory):
    networks = pytest.importorskip("torchvision.models.segmentation", reason=NO_PEER)
    model = networks.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )
    path = tmp_path_factory.mktemp("mobile") / "theirs.pth"
    torch.save(model.state_dict(), path)
    return path


def test_a_run_carries_classes_normalisation_corners_and_padding_of_its_origin(mobile, folder):
    imported = import_weights(mobile, origin="torchvision", out=folder / "run")
    assert isinstance(imported, Imported)
    predictor = atrous.load(folder / "run")
    assert predictor.description == "weights of torchvision (theirs.pth)"
    assert predictor.classes.names[:2] == ("background", "aeroplane")
    assert predictor.classes.colours[:2] == ((0, 0, 0), (128, 0, 0))
    assert predictor(picture(ODD)[0].numpy()).mask.shape == ODD
    about = read_model(weights_file(folder / "run")).about
    assert about["recipe"]["model"]["origin"] == "torchvision"
    assert about["origin"]["from"] == "torchvision" and len(about["origin"]["sha256"]) == 64
    rules = imported.to_dict()["rules"]
    assert rules["mean"] == [123.675, 116.28, 103.53] and rules["padding"] == "none"
    assert rules["align_corners"] is False and rules["inexact_tiles"]


def test_nobody_knows_the_pictures_that_imported_weights_were_trained_on(
    mobile, folder, monkeypatch
):
    import_weights(mobile, origin="torchvision", out=folder / "run")
    assert "crop" not in manifest_of(source_of(folder / "run")).model
    monkeypatch.setattr(Contender, "start", lambda self: None)  # nothing is measured here
    benchmark = atrous.bench(folder / "run", threads=1)
    assert (benchmark.size, benchmark.why) == (SIZE, "no other is known")


def test_a_run_is_never_written_over(mobile, folder):
    import_weights(mobile, origin="torchvision", out=folder / "run")
    with pytest.raises(RunError, match="holds a run already"):
        import_weights(mobile, origin="torchvision", out=folder / "run")


def test_the_command_tells_what_became_of_a_file_and_how_to_go_on(mobile, folder, capsys):
    words = ["import-weights", str(mobile), "--from", "torchvision", "--out"]
    assert app([*words, str(folder / "run")], result_action="return_value") == 0
    out, err = capsys.readouterr()
    assert "deeplabv3 on mobilenetv3_large_100, as in torchvision" in out
    assert "21: background, aeroplane" in out and "less 123.675, 116.28, 103.53" in out
    assert "not as the whole picture" in out and "corners not aligned" in out
    assert f"atrous predict {folder / 'run'} " in err and "auxiliary head" in err
    app([*words, str(folder / "other"), "--json"], result_action="return_value")
    assert json.loads(capsys.readouterr().out)["rules"]["padding"] == "none"
    app(["info", str(folder / "run")], result_action="return_value")
    assert "imported from torchvision (theirs.pth)" in capsys.readouterr().out


# What does not match


@pytest.fixture
def changed(mobile, folder):
    """A function that changes the file's tensors, imports them and gives the error."""

    def error(change, origin="torchvision"):
        tensors = torch.load(mobile)
        change(tensors)
        torch.save(tensors, folder / "changed.pth")
        with pytest.raises(WeightsError) as caught:
            import_weights(folder / "changed.pth", origin=origin, out=folder / "run")
        assert not (folder / "run").exists()
        return str(caught.value)

    return error


def test_missing_keys_are_listed(changed):
    def change(tensors):
        del tensors["classifier.4.weight"], tensors["classifier.0.convs.4.2.running_var"]

    message = changed(change)
    assert "lacks classifier.0.convs.4.2.running_var, classifier.4.weight" in message
    assert "another shape" not in message and "no place" not in message


def test_further_keys_are_listed_with_their_number(changed):
    message = changed(
        lambda tensors: tensors.update({f"more.{i}": torch.zeros(1) for i in range(9)})
    )
    assert "has no place for more.0, more.1" in message and "(9 in all)" in message


def test_other_shapes_are_listed(changed):
    def change(tensors):
        tensors["classifier.4.bias"] = torch.zeros(7)
        tensors["classifier.0.convs.4.2.weight"] = torch.zeros(3)
        tensors["backbone.0.0.weight"] = torch.zeros(16, 3, 3, 3, dtype=torch.int64)

    message = changed(change)
    assert "classifier.4.bias (7), not 21" in message
    assert "classifier.0.convs.4.2.weight (3)" in message
    assert "backbone.0.0.weight (16 x 3 x 3 x 3 of int64)" in message


@pytest.mark.parametrize("origin", ["smp", "pytorch-fcn", "deeplab-pytorch"])
def test_keys_of_another_origin_are_listed(changed, origin):
    message = changed(lambda tensors: None, origin)
    assert "backbone.0.0.weight" in message and "in all)" in message and origin in message


def test_an_unknown_origin_is_named_with_those_there_are(mobile, folder):
    with pytest.raises(RecipeError, match=r"'mmseg', but .* torchvision, smp, pytorch-fcn, deep"):
        import_weights(mobile, origin="mmseg", out=folder / "run")


class Hostile:
    """Unpickled as it asks, it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("new_form", [True, False])
def test_a_file_that_would_run_code_is_refused(folder, new_form):
    content = {"backbone.0.0.weight": torch.zeros(1), "then": Hostile(folder / "made")}
    torch.save(content, folder / "hostile.pth", _use_new_zipfile_serialization=new_form)
    with pytest.raises(WeightsError, match="without running code"):
        import_weights(folder / "hostile.pth", origin="torchvision", out=folder / "run")
    assert not (folder / "made").exists() and not (folder / "run").exists()
