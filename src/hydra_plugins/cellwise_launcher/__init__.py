"""`hydra/launcher=cellwise`: for any Hydra application, each job of a sweep in a process of its own.

Hydra looks for plugins in this folder, beside the package, and accepts no launcher from elsewhere. What it does is in
`cellwise.sweep.hydra_jobs`, which is imported when something is launched: Hydra imports this at every start.
"""

from hydra.core.config_store import ConfigStore

# A mapping: Hydra runs this file before the module has its name, and a dataclass looks for it.
ConfigStore.instance().store(
    group="hydra/launcher",
    name="cellwise",
    node={
        "_target_": "hydra_plugins.cellwise_launcher.launcher.CellwiseLauncher",
        "jobs": None,  # at a time; null: one a core
        "timeout_minutes": None,  # a job that takes longer is ended and has failed; null: no limit
    },
    provider="cellwise_launcher",
)
