"""A real SLURM of one node, from Debian's packages, in a private folder: nothing is installed, nothing is left behind.

`apt-get download` needs no root. The daemons stay in the foreground as children that the system ends with this process,
so a test run that is killed leaves none.
"""

from __future__ import annotations

import ctypes
import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

# The daemons, the commands, and the libraries that a small Debian lacks.
PACKAGES = (
    *("slurmctld", "slurmd", "slurm-client", "slurm-wlm-basic-plugins", "munge", "libmunge2", "libhwloc15", "libjwt0"),
    *("libfreeipmi17", "libipmimonitoring6", "liblua5.1-0", "libnuma1", "libjansson4", "libb64-0d", "libjson-c5"),
    *("libyaml-0-2", "libdbus-1-3", "liblz4-1"),
)

CONFIGURATION = """\
ClusterName=one_node
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits for as long as a credential lives, 120 s by default.
AuthInfo=socket={run}/munge.socket,cred_expire={requeue_seconds}
CredType=cred/munge
PluginDir={plugins}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={run}/slurmctld.pid
SlurmdPidFile={run}/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
SlurmctldPort={controller_port}
SlurmdPort={node_port}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
MailProg=/bin/true
KillWait=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory={memory_mb} State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2
"""


class NoSlurmError(Exception):
    """SLURM can't be brought up here; the text says what is missing."""


class OneNode:
    """A running SLURM with the partitions `debug` and `urgent`, which preempts `debug`.

    Args:
        folder: empty, of this user, with a short path (a socket's name has 107 characters).
        requeue_seconds: what a requeued job waits before it starts again.

    Attributes:
        environment: what commands need to reach it.

    Raises:
        NoSlurmError: no Debian, no package, or a daemon that does not come up.
    """

    def __init__(self, folder: Path, requeue_seconds: int = 5):
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        root = _unpack(folder)
        libraries = root / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
        for name in ("run", "log", "state", "spool"):
            (folder / name).mkdir(mode=0o755)
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": f"{libraries}:{libraries / 'slurm-wlm'}",
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{root / 'usr' / 'bin'}:{os.environ['PATH']}",
        }
        (folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=socket.gethostname(),
                user=pwd.getpwuid(os.getuid()).pw_name,
                folder=folder,
                run=folder / "run",
                plugins=libraries / "slurm-wlm",
                controller_port=_free_port(),
                node_port=_free_port(),
                cores=os.cpu_count(),
                memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**21,
                requeue_seconds=requeue_seconds,
            )
        )
        try:
            self._start(root / "usr")
        except BaseException:
            self.stop()
            raise

    def _start(self, usr: Path) -> None:
        key, run, log = self.folder / "munge.key", self.folder / "run", self.folder / "log"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self._daemon(
            usr / "sbin" / "munged",
            *("--foreground", "--force", f"--key-file={key}", f"--socket={run / 'munge.socket'}"),
            *(f"--pid-file={run / 'munged.pid'}", f"--log-file={log / 'munged.log'}", f"--seed-file={run / 'seed'}"),
        )
        self._until((run / "munge.socket").exists, "munged")
        configuration = str(self.folder / "slurm.conf")
        self._daemon(usr / "sbin" / "slurmctld-wlm", "-D", "-f", configuration)
        step = usr / "sbin" / "slurmstepd-wlm"
        self._daemon(usr / "sbin" / "slurmd-wlm", "-D", "-f", configuration, "-d", str(step))
        self._until(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"), "slurmctld and slurmd")

    def _daemon(self, *command: str | Path) -> None:
        log = open(self.folder / "log" / f"{Path(command[0]).name}.out", "wb")  # noqa: SIM115 (the child's)
        with log:
            self._daemons.append(
                subprocess.Popen(
                    [str(word) for word in command],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=_die_with_parent,
                )
            )

    def _until(self, condition: object, what: str) -> None:
        assert callable(condition)
        deadline = time.monotonic() + 30
        while not condition():
            dead = [daemon.args for daemon in self._daemons if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                said = " | ".join(
                    path.read_text(errors="replace").strip()[-300:] for path in sorted((self.folder / "log").iterdir())
                )
                raise NoSlurmError(f"{what} did not come up: {' '.join(said.split())}")
            time.sleep(0.1)

    def run(self, *command: str) -> str:
        """Return what a command of SLURM prints."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        return done.stdout

    def cancel_all(self) -> None:
        """End all jobs."""
        user = pwd.getpwuid(os.getuid()).pw_name
        self.run("scancel", f"--user={user}", "--signal=KILL")
        self.run("scancel", f"--user={user}")
        deadline = time.monotonic() + 20
        while self.run("squeue", "-h").strip() and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self) -> None:
        """End all jobs and the daemons."""
        if self._daemons:
            self.cancel_all()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _unpack(folder: Path) -> Path:
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoSlurmError(f"no {tool} here: the one-node SLURM is made of Debian 12's packages")
    packages = folder / "packages"
    packages.mkdir()
    _must(["apt-get", "download", *PACKAGES], packages, "type `apt-get update` as root, on Debian 12")
    for package in sorted(packages.glob("*.deb")):
        _must(["dpkg-deb", "-x", str(package), str(folder / "root")], folder, "the package is damaged")
    return folder / "root"


def _must(command: Sequence[str], cwd: Path, hint: str) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise NoSlurmError(f"{' '.join(command[:2])} failed: {' '.join(done.stderr.split())}; {hint}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
