"""The data sets of nowcasting that are fetched, declared without importing torch.

Radar files are the user's own: none of their owners' archives has a fixed content to check.
"""

from __future__ import annotations

from cellwise.data.get import DataFile, DataSet

_LICENCE = "none stated by the authors; often given as CC BY-SA 3.0"
_MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist"  # the publisher's own page refuses most downloads

TRAIN = DataSet(
    name="mnist_train",
    description="MNIST, 60,000 handwritten digits of 28 x 28, for Moving MNIST",
    licence=_LICENCE,
    address=f"{_MIRROR}/train-images-idx3-ubyte.gz",
    files=(
        DataFile("mnist/train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    ),
)
T10K = DataSet(
    name="mnist_test",
    description="MNIST's test set, 10,000 handwritten digits of 28 x 28, for Moving MNIST",
    licence=_LICENCE,
    address=f"{_MIRROR}/t10k-images-idx3-ubyte.gz",
    files=(
        DataFile("mnist/t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    ),
)
DATA_SETS = {dataset.name: dataset for dataset in (TRAIN, T10K)}
