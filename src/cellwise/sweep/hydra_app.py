"""cellwise as a plain Hydra application, so that any launcher and sweeper made for Hydra can drive it.

`python -m cellwise.sweep.hydra_app -m hydra/launcher=cellwise cell=lstm,gru seed=0,1`: the same configuration, runs
and records as `cellwise train -m`. A run returns its score on the validation data for a sweeper to optimise. Here
`hydra/launcher` decides where it runs; the group `launcher` has no effect.
"""

from __future__ import annotations

import json
import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cellwise.errors import CellwiseError
from cellwise.resources import resource_folder
from cellwise.sweep.compose import parse_overrides, register_outside_cells
from cellwise.sweep.hydra_jobs import JobFailedError

# The record has all that Hydra would write, so its files stay in one folder, out of the way.
_SETTINGS = {
    "hydra.output_subdir": "null",
    "hydra.job.name": "cellwise",
    "hydra/job_logging": "stdout",
    "hydra.run.dir": "${runs_dir}/.hydra",
    "hydra.sweep.dir": "${runs_dir}/.hydra/${now:%Y-%m-%dT%H-%M-%S}",
    "hydra.sweep.subdir": ".",
}


def run(_: DictConfig) -> float:
    """Train the run that the overrides mean, or skip it, and return its validation score."""
    from cellwise.sweep.plan import plan

    try:
        planned = plan(list(HydraConfig.get().overrides.task))[0]  # composed as everywhere, with budget and checks
        from cellwise.training.train import train  # seconds, for which bad input need not wait

        outcome = train(planned.config)
    except CellwiseError as error:
        raise JobFailedError(str(error)) from error
    print(f"{planned.label}: {outcome.note}\nrecord: {outcome.folder}")
    return float(json.loads((outcome.folder / "summary.json").read_text(encoding="utf-8"))["validation"])


def main() -> None:
    """Run the application; bad input is told in one line."""
    words = sys.argv[1:]
    try:
        register_outside_cells(parse_overrides([word for word in words if word.startswith("cell_modules=")]))
    except CellwiseError as error:
        sys.exit(f"cellwise: {error}")
    given = {word.partition("=")[0] for word in words}
    sys.argv += [f"{key}={value}" for key, value in _SETTINGS.items() if key not in given]
    hydra.main(version_base="1.3", config_path=str(resource_folder("conf")), config_name="config")(run)()


if __name__ == "__main__":
    main()
