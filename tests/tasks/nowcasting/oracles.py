"""What pysteps says of some nowcasts and of a motion; `python -m tests.tasks.nowcasting.oracles` writes it down.

pysteps is built from source and so no part of the test environment: the quick tests compare with what is written down,
a slow one with pysteps itself. The fields are drawn anew each time; the file holds only their scores.
"""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

GOLDEN = Path(__file__).parent / "golden" / "pysteps.json"
THRESHOLDS = (0.5, 2.0, 5.0, 10.0, 30.0)
SCALES = (1, 3, 9, 17)
LEAD = 3

Fields = npt.NDArray[np.float32]


def nowcasts(frames: int = 8, height: int = 40, width: int = 33, seed: int = 5) -> tuple[Fields, Fields]:
    """Rain forecast and observed, (frames, height, width): quantised, many values on a threshold, NaN in both."""
    stream = np.random.default_rng(seed)
    shared = stream.gamma(0.35, 9.0, (frames, height, width))
    f, o = (0.6 * shared + 0.4 * stream.gamma(0.35, 9.0, shared.shape) for _ in range(2))
    f, o = (np.round(values * 2) / 2 for values in (f, o))  # halves: 0.5, 2, 5, 10 and 30 are among them
    f[:, :, :5] = np.nan  # beyond the inflow edge
    o[:, 30:, :10] = np.nan  # outside coverage
    f[stream.random(f.shape) < 0.02] = np.nan
    return f.astype(np.float32), o.astype(np.float32)


def wind(height: int = 30, width: int = 24) -> tuple[Fields, Fields]:
    """A field (height, width) with a hole, and a motion (2, height, width) that turns and shears."""
    stream = np.random.default_rng(11)
    field = stream.gamma(0.5, 6.0, (height, width)).astype(np.float32)
    field[4:8, 3:9] = np.nan
    y, x = np.mgrid[:height, :width]
    motion = np.stack((1.3 - 0.05 * (y - 12), 0.4 + 0.07 * (x - 10))).astype(np.float32)
    return field, motion


def pysteps_says() -> dict[str, Any]:
    """Return the numbers of pysteps for all of it."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from pysteps.extrapolation.semilagrangian import extrapolate
        from pysteps.utils.spectral import rapsd
        from pysteps.verification import detcatscores, detcontscores, spatialscores

        f, o = nowcasts()
        missing = np.isnan(f) | np.isnan(o)
        found: dict[str, Any] = {"categorical": {}, "fss": {}}
        for threshold in THRESHOLDS:
            # It asks for more than the threshold and takes NaN for no event, so: just below it, and known pixels alone.
            below = float(np.nextafter(np.float32(threshold), np.float32(0)))
            scores = detcatscores.det_cat_fct(f[~missing], o[~missing], below)
            found["categorical"][str(threshold)] = {k: float(v) for k, v in scores.items()}
            for scale in SCALES:
                sums = spatialscores.fss_init(threshold, scale)
                for said, seen, hole in zip(f, o, missing, strict=True):  # it takes NaN for no event: in both, then
                    spatialscores.fss_accum(sums, np.where(hole, np.nan, said), np.where(hole, np.nan, seen))
                found["fss"][f"{threshold},{scale}"] = float(spatialscores.fss_compute(sums))
        continuous = detcontscores.det_cont_fct(f[~missing].astype(float), o[~missing].astype(float))
        found["continuous"] = {k: float(continuous[k]) for k in ("MSE", "RMSE", "MAE", "corr_p")}
        found["spectrum"] = [
            rapsd(np.where(np.isnan(frame), 0, frame).astype(float), fft_method=np.fft).tolist() for frame in f[:2]
        ]
        field, motion = wind()
        carried = extrapolate(field.astype(float), motion.astype(float), LEAD, allow_nonfinite_values=True)
        found["carried"] = [[None if np.isnan(v) else float(v) for v in frame.ravel()] for frame in carried]
    return found


def golden() -> dict[str, Any]:
    """Return what was written down."""
    found: dict[str, Any] = json.loads(GOLDEN.read_text())
    return found


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(pysteps_says(), indent=0) + "\n")
